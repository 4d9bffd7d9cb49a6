"""Inference: its bounds, the faults it words, and what it leaves open."""

import contextlib

import pytest

from npugate.facts import inference
from npugate.limits import Limits
from tests.facts.test_inference import HEAD, facts_of, faults, shape


def test_inference_is_bounded_by_the_nodes_and_the_size_of_what_it_works_on(monkeypatch):
    asked = []

    def native(seconds, memory):
        asked.append((seconds, memory))
        return contextlib.nullcontext()

    monkeypatch.setattr(inference.confine, "native", native)
    text = HEAD.format(14) + "(float[1, 8] x) => (y) { a = Relu (x) b = Abs (a) y = Neg (b) }"
    for way in ("full", "traced"):
        facts_of(text, way)
    facts_of(text, "full", limits=Limits(seconds=1))
    (seconds, memory), traced, (least, _) = asked
    assert seconds == pytest.approx(1 + 3 * 0.004)
    assert traced == (seconds, memory)
    assert least == 0.5
    assert 192 << 20 < memory < (192 << 20) + 32 * 1000


def test_a_node_whose_result_depends_on_data_is_no_fault():
    text = HEAD.format(14) + "(float[1, 8] x) => (y) { n = NonZero (x) y = Cast <to = 1> (n) }"
    facts = facts_of(text)
    assert shape(facts, "n")[0] == 2
    assert not faults(facts).get("shape-inference-failed")


def test_a_long_reason_is_cut():
    names = "n" * 1000
    nodes = f"y = MatMul (x, {names})"
    text = HEAD.format(14) + f"(float[1, 8] x, float[3, 5] {names}) => (y) {{ {nodes} }}"
    (problem,) = facts_of(text).problems("shape-inference-failed")
    assert problem.message.startswith("MatMul: ")
    assert len(problem.message) <= len("MatMul: ") + 400


def test_without_an_import_of_the_standard_nothing_of_it_is_inferred():
    text = '<ir_version: 8, opset_import: ["own" : 1]> net '
    text += "(float[1, 8] x) => (y) { y = own.Thing (x) }"
    facts = facts_of(text)
    assert facts.opset == 0
    assert shape(facts, "y") is None
    assert not faults(facts).get("shape-inference-failed")

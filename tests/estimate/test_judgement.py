"""No operator leaves the NPU without a finding, and no finding says so of one that stays."""

from pathlib import Path

import pytest

from npugate.errors import ModelError
from npugate.estimate import assemble
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import load
from npugate.report.estimate import Engine, Place
from npugate.rules import check, registry
from npugate.target import profiles
from tests.estimate.test_placement import CASES, IMAGE, KERNEL, SCALES, conv, facts_of, q
from tests.evidence import FOLDER, needs_evidence

ROOT = Path(__file__).resolve().parents[2]
TOOLCHAINS = ("2.2", "4.0")
SAYS = {"cpu-operator", "float-island"}
"""Rules that say of an operator that it leaves the NPU; operator-constraint does by some rows."""


def contradictions(facts, target):
    """Yield each operator off the NPU without a finding, and each finding that says so falsely."""
    rules = registry.rules()
    outcome = check.run(facts, rules, list(rules), target, lambda _: None)
    assert outcome.tracebacks == ()
    constraints = (row for rows in target.constraints.values() for row in rows)
    leaving = {row.id for row in constraints if row.effect == "cpu"}
    said, why = set(), set()
    kinds = {hit.location.op_type for _, hit in outcome.hits}  # one finding may speak for a kind
    for rule, hit in outcome.hits:
        name = rules[rule].name
        is_said = name == "operator-constraint" and hit.message.partition(":")[0] in leaving
        if name in SAYS or is_said:
            said.add(hit.location.node)
        elif name == "unquantized-weight":
            why.add(hit.location.node)
    whole = {rules[rule].name for rule, hit in outcome.hits if not hit.location.node}
    placed = assemble.operators(facts, target)
    for node, found in placed:
        is_told = node.label in said | why
        if found.place is Place.UNKNOWN:
            is_told = is_told or node.full_type in kinds
        if found.place not in {Place.NPU, Place.FOLDED} and not is_told:
            yield f"{node.full_type} {node.label} is {found.place}, no finding says so"
    off = {node.label for node, found in placed if found.place not in {Place.NPU, Place.FOLDED}}
    yield from (f"a finding says that {name} leaves the NPU" for name in said - off)
    if facts.quantization.form != "float":
        epochs = assemble.epochs(facts, target)
        left = {o.location.node for e in epochs if e.engine is not Engine.NPU for o in e.operators}
        yield from (f"{name} is off the NPU in the estimate alone" for name in left - off)
    elif facts.quantization.weighted and "float-model" not in whole:
        yield "nothing says that the whole model runs on the CPU"


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
@pytest.mark.parametrize("case", CASES)
def test_every_pattern_is_judged_once(case, toolchain, tmp_path):
    facts = facts_of(CASES[case][0], tmp_path)
    assert list(contradictions(facts, profiles.load("stm32n6", toolchain))) == []


def models():
    """Return the models of the evidence folder that are small enough for every run."""
    folders = (FOLDER / "groundtruth" / "models", FOLDER / "corpus")
    found = [path for folder in folders for path in sorted(folder.rglob("*.onnx"))]
    return [path for path in found if path.stat().st_size < 8_000_000]


@needs_evidence()
@pytest.mark.parametrize("path", models(), ids=lambda path: path.stem)
def test_every_operator_of_the_corpus_is_judged_once(path):
    try:
        facts = Facts(load(path, path.name, Limits()))
    except ModelError:
        return  # no model; unreadable-model is its finding
    for toolchain in TOOLCHAINS:
        assert list(contradictions(facts, profiles.load("stm32n6", toolchain))) == []


def judged(text, folder, toolchain="2.2"):
    facts = facts_of(text, folder)
    placed = assemble.operators(facts, profiles.load("stm32n6", toolchain))
    return {node.label: found for node, found in placed}


def test_each_place_has_its_reason_and_cost(tmp_path):
    text = f"""{IMAGE} <{SCALES}, {KERNEL}, float[4, 1, 1] k> {{ {q("x")} {conv("x", "c")} {q("c")}
        m = Sub (c_d, k) {q("m")} p = Softmax <axis = 1> (m_d) {q("p")} out = Identity (p_d) }}"""
    found = judged(text, tmp_path)
    assert {name: item.place for name, item in found.items() if item.place is not Place.FOLDED} == {
        "c": Place.NPU, "m": Place.CPU, "p": Place.CPU,
    }  # fmt: skip
    assert (found["m"].rule, found["m"].reason) == ("float", "its constant 'k' is float")
    assert found["m"].evidence
    assert found["m"].advice
    assert found["c"].cost is None
    assert found["p"].cost.microseconds is None  # no Softmax was measured
    assert found["p"].cost.written_bytes == 4 * 8 * 8
    assert found["m"].cost.written_bytes == 4 * 8 * 8 * (4 + 4 + 1)  # in, the result, out


def test_the_cost_of_a_measured_operator_is_an_interval(tmp_path):
    text = CASES["a view before the scale"][0]
    cost = judged(text, tmp_path, "4.0")["m"].cost
    low, likely, high = cost.microseconds
    assert 0 < low < likely < high


def test_what_the_table_does_not_know_is_unknown(tmp_path):
    found = judged("(float[1, 4] x) => (float[1, 4] y) { h = Celu (x)  y = Relu (h) }", tmp_path)
    assert found["h"].place is Place.UNKNOWN
    assert (found["y"].place, found["y"].is_forecast) == (Place.NPU, True)


def test_an_operator_of_two_halves_is_partly_on_the_npu(tmp_path):
    (found,) = (
        item for item in judged(CASES["nearest resize, 2.2"][0], tmp_path).values() if item.rule
    )
    assert (found.place, found.rule) == (Place.HYBRID, "resize-nearest")

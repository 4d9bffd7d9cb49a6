"""What the compiler makes of a pattern: the operators off the NPU, and the number of epochs."""

import sys
from collections import Counter
from pathlib import Path

import onnx
import pytest

from npugate.estimate import assemble
from npugate.estimate.counting import compiler_macs, plain_macs
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import load
from npugate.report.estimate import Engine
from npugate.rules.testing import model_from_text
from npugate.target import profiles
from tests.evidence import FOLDER, needs_evidence

ROOT = Path(__file__).resolve().parents[2]
HEAD = '<ir_version: 8, opset_import: ["" : 14]> net '
SCALES = "float s = {0.1}, float u = {0.2}, int8 z = {3}, int8 o = {0}"


def q(name, scale="s"):
    """Quantise and dequantise a value: NAME -> NAME_d."""
    return f"""{name}_q = QuantizeLinear ({name}, {scale}, z)
               {name}_d = DequantizeLinear ({name}_q, {scale}, z)
            """


def conv(read, made, weight="w"):
    return f"""{made}_w = DequantizeLinear ({weight}, s, o)
               {made} = Conv ({read}_d, {made}_w)
            """


IMAGE = "(float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] out)"
KERNEL = "int8[4, 3, 1, 1] w"
END = "out = Identity (y_d)"
CASES = {
    # name: text, toolchain, operators off the NPU, epochs
    "conv": (
        f"{IMAGE} <{SCALES}, {KERNEL}> {{ {q('x')} {conv('x', 'y')} {q('y')} {END} }}",
        "2.2", {}, 1,
    ),
    "activation fused": (
        (f"{IMAGE} <{SCALES}, {KERNEL}> {{ {q('x')} {conv('x', 'c')} {q('c')} y = Relu (c_d) "
        f"{q('y')} {END} }}"),
        "2.2", {}, 1,
    ),
    "swish": (
        (f"{IMAGE} <{SCALES}, {KERNEL}> {{ {q('x')} {conv('x', 'c')} {q('c')} g = Sigmoid (c_d) "
        f"{q('g')} y = Mul (c_d, g_d) {q('y')} {END} }}"),
        "2.2", {}, 1,
    ),
    "float weights": (
        f"{IMAGE} <{SCALES}, float[4, 3, 1, 1] w> {{ {q('x')} y = Conv (x_d, w) {q('y')} {END} }}",
        "2.2", {"DequantizeLinear": 1, "Conv": 1}, 2,
    ),
    "float operator between integer ones": (
        (f"{IMAGE} <{SCALES}, {KERNEL}, float[4, 1, 1] k> {{ {q('x')} {conv('x', 'c')} {q('c')} "
        f"m = Sub (c_d, k) {q('m')} y = Relu (m_d) {q('y')} {END} }}"),
        "2.2", {"DequantizeLinear": 1, "Sub": 1, "QuantizeLinear": 1}, 5,
    ),
    "a view before the scale": (
        (f"(float[1, 4, 8, 8] x) => (float[1, 4] out) <{SCALES}, int64[2] f = {{1, 4}}, "
        f"int64[2] a = {{2, 3}}> {{ {q('x')} m = ReduceMean <axes = [2, 3]> (x_d) "
        f"y = Reshape (m, f) {q('y')} {END} }}"),
        "4.0", {"DequantizeLinear": 1, "GlobalAveragePool": 1}, 2,
    ),
    "nearest resize, 2.2": (
        (f"(float[1, 4, 4, 4] x) => (float[1, 4, 8, 8] out) <{SCALES}, "
        f"float[4] r = {{1, 1, 2, 2}}> {{ {q('x')} y = Resize <mode = \"nearest\", "
        f'coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (x_d, , r) '
        f"{q('y')} {END} }}"),
        "2.2", {"DepthToSpace": 1}, 2,
    ),
    "strided ConvTranspose": (
        (f"(float[1, 4, 4, 4] x) => (float[1, 4, 8, 8] out) <{SCALES}, int8[4, 4, 2, 2] w> "
        f"{{ {q('x')} t = DequantizeLinear (w, s, o) "
        f"y = ConvTranspose <strides = [2, 2]> (x_d, t) {q('y')} {END} }}"),
        "2.2", {"Concat": 1, "DepthToSpace": 1}, 4,
    ),
    "concat of the last axis, 2.2": (
        (f"(float[1, 4, 8] x) => (float[1, 4, 16] out) <{SCALES}> {{ {q('x')} "
        f"y = Concat <axis = -1> (x_d, x_d) {q('y')} {END} }}"),
        "2.2", {"Concat": 1}, 1,
    ),
    "concat of the rows": (
        (f"(float[1, 4, 8, 8] x) => (float[1, 4, 16, 8] out) <{SCALES}> {{ {q('x')} "
        f"y = Concat <axis = 2> (x_d, x_d) {q('y')} {END} }}"),
        "2.2", {"Concat": 1}, 1,
    ),
    "two heads": (
        (f"(float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] out) <{SCALES}> {{ {q('x')} "
        f"y = MatMul (x_d, x_d) {q('y')} {END} }}"),
        "4.0", {"Split": 2, "Conv": 2}, 4,
    ),
    "softmax at the end, float": (
        f"(float[1, 4] x) => (float[1, 4] out) <{SCALES}> {{ {q('x')} out = Softmax (x_d) }}",
        "2.2", {"DequantizeLinear": 1, "Softmax": 1}, 2,
    ),
    "a transpose of heads": (
        (f"(float[1, 4, 2, 8] x) => (float[1, 2, 4, 8] out) <{SCALES}> {{ {q('x')} "
        f"y = Transpose <perm = [0, 2, 1, 3]> (x_d) {q('y')} {END} }}"),
        "2.2", {"Transpose": 1}, 1,
    ),
    "a change of layout": (
        (f"(float[1, 8, 8, 4] x) => (float[1, 4, 8, 8] out) <{SCALES}> {{ {q('x')} "
        f"y = Transpose <perm = [0, 3, 1, 2]> (x_d) {q('y')} {END} }}"),
        "2.2", {}, 1,
    ),
    "a fully connected layer": (
        (f"(float[1, 8] x) => (float[1, 4] out) <{SCALES}, int8[8, 4] w> {{ {q('x')} "
        f"t = DequantizeLinear (w, s, o) y = Gemm (x_d, t) {q('y')} {END} }}"),
        "2.2", {}, 2,
    ),
    "a kernel of height 1 has any width": (
        (f"(float[1, 4, 1, 64] x) => (float[1, 4, 1, 26] out) <{SCALES}, int8[4, 4, 1, 39] w> "
        f"{{ {q('x')} {conv('x', 'y')} {q('y')} {END} }}"),
        "4.0", {}, 1,
    ),
    "a float model": (
        ("(float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) <float[4, 3, 1, 1] w> "
        "{ c = Conv (x, w) y = Relu (c) }"),
        "2.2", {"Conv": 1, "Relu": 1}, 2,
    ),
}  # fmt: skip


def facts_of(text, folder):
    model = model_from_text(HEAD + text)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return Facts(load(path, "model.onnx", Limits()))


@pytest.mark.parametrize("name", CASES)
def test_a_pattern_becomes_what_the_compiler_makes_of_it(name, tmp_path):
    text, toolchain, operators, epochs = CASES[name]
    found = assemble.epochs(facts_of(text, tmp_path), profiles.load("stm32n6", toolchain))
    off = [o for e in found if e.engine is not Engine.NPU for o in e.operators]
    assert Counter(o.kind for o in off) == operators
    assert len(found) == epochs
    assert all(o.reason for o in off)
    assert [epoch.index for epoch in found] == list(range(len(found)))


def test_where_a_pattern_runs_depends_on_the_toolchain(tmp_path):
    facts = facts_of(CASES["nearest resize, 2.2"][0], tmp_path)
    engines = [
        assemble.epochs(facts, profiles.load("stm32n6", t))[-1].engine for t in ("2.2", "4.0")
    ]
    assert engines == [Engine.CPU, Engine.HYBRID]


def test_an_epoch_reads_and_writes_what_crosses_its_border(tmp_path):
    (epoch,) = assemble.epochs(facts_of(CASES["swish"][0], tmp_path), profiles.load("stm32n6"))
    assert [access.tensor for access in epoch.writes] == ["y"]
    assert [(a.tensor, a.size_bytes, a.is_weight) for a in epoch.reads] == [
        ("x_d", 192, False),
        ("c_w", 12, True),
    ]
    assert epoch.macs == 8 * 8 * 4 * 3
    assert (epoch.window.channels_in, epoch.window.size_out) == (3, (8, 8))


def test_an_operator_has_the_module_that_the_exporter_wrote():
    file = Path(__file__).parents[1] / "fixtures/models/rppg_4d_fp32_dynamo.onnx"
    epochs = assemble.epochs(Facts(load(file, file.name, Limits())), profiles.load("stm32n6"))
    found = [epoch.operators[0].scope for epoch in epochs]
    assert {"spatial/1", "temporal/0", "head/2"} <= set(found), found


def test_the_two_counts_differ_as_the_reports_do(tmp_path):
    facts = facts_of(CASES["a float model"][0], tmp_path)
    assert plain_macs(facts) == 768
    # 2.2 counts a bias a channel and the Relu; 4.0 half an operation for each element's bias.
    assert compiler_macs(facts, profiles.load("stm32n6", "2.2")) == 768 + 4 + 256
    assert compiler_macs(facts, profiles.load("stm32n6", "4.0")) == 768 + 128


@needs_evidence()
def test_the_reports_of_the_compiler_are_met():
    sys.path.insert(0, str(ROOT / "tools"))
    import accuracy_placement as tool  # noqa: PLC0415 - a script beside the package

    rows = tool.rows(FOLDER)
    for toolchain in ("2.1", "2.2", "4.0"):
        share, precision, count = tool.recall([r for r in rows if r.toolchain == toolchain])
        assert share >= 0.95, toolchain
        assert precision >= 0.9, toolchain
        assert count, toolchain
    counts = [abs(row.mac_error) for row in rows if row.mac_error is not None]
    assert sorted(counts)[-2] < 0.01  # all but one: MobileNetV2 under 4.0
    errors = sorted(abs(row.epoch_error) for row in rows)
    assert errors[len(errors) // 2] <= 0.1

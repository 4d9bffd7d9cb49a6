from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from fixers import (
    avoid_bool_tensors,
    copy_shared_weights,
    drop_empty_inputs,
    fold_batch,
    merge_views,
    normalize_slices,
    split_einsum,
    use_global_pools,
    use_initializers,
)
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import load
from npugate.rules import registry
from npugate.rules.testing import model_from_text
from npugate.rules.values import Repair
from npugate.surgery.draft import Draft
from npugate.surgery.results import Applied, Declined, RepairOptions, RepairResult, Skipped
from npugate.target.values import Target
from tests.repaired import TARGET, apply, proved

REPAIRS = (
    avoid_bool_tensors.REPAIR,
    copy_shared_weights.REPAIR,
    drop_empty_inputs.REPAIR,
    fold_batch.REPAIR,
    merge_views.REPAIR,
    normalize_slices.REPAIR,
    split_einsum.REPAIR,
    use_global_pools.REPAIR,
    use_initializers.REPAIR,
)
HEAD = '<ir_version: 8, opset_import: ["" : 14]> net '
Q = "<float s = {0.1}, int8 z = {3}, float[1] least = {0.2}, float[4] some = {1, 2, 3, 4}>"


def kinds(model: ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("repair", REPAIRS, ids=lambda repair: repair.name)
def test_the_example_of_a_repair_is_repaired(repair: Repair) -> None:
    proved(repair, model_from_text(repair.example))


@pytest.mark.parametrize("repair", REPAIRS, ids=lambda repair: repair.name)
def test_a_repair_leaves_a_plain_network_alone(repair: Repair) -> None:
    text = HEAD + "(float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) <float[4, 3, 1, 1] w>"
    result, _ = apply(repair, model_from_text(text + "{ y = Conv (x, w) }"))
    assert isinstance(result, Skipped)


def examples() -> list[tuple[str, str]]:
    names = {repair.name for repair in REPAIRS}
    rules = registry.rules().values()
    return [(rule.id, rule.name) for rule in rules if rule.repair in names]


UNREPAIRABLE = {"NPU226", "NPU303"}
"""Rules whose example shows a case that has no equivalent: an input as slope, a mask as output."""


@pytest.mark.parametrize(("number", "name"), examples())
def test_the_finding_of_a_rule_is_gone_after_the_repair_it_names(
    number: str, name: str, tmp_path: Path
) -> None:
    rule = registry.rules()[number]
    repair = next(item for item in REPAIRS if item.name == rule.repair)
    for index, example in enumerate(rule.examples):
        model = model_from_text(example.bad)
        if example.edit is not None:
            example.edit(model)
        result, repaired = apply(repair, model)
        if number in UNREPAIRABLE:
            assert isinstance(result, Declined | Skipped), result
            continue
        assert isinstance(result, Applied), result
        path = tmp_path / f"{index}.onnx"
        onnx.save(repaired, path)
        facts = Facts(load(path, path.name, Limits()))
        assert list(rule.check(facts, TARGET)) == []


SLICES = (
    ("{-3}", "{9223372036854775807}", "{1}", "{1}"),
    ("{-99}", "{-1}", "{1}", "{1}"),
    ("{1}", "{99}", "{-1}", "{2}"),
    ("{3}", "{-4}", "{1}", "{1}"),
)


@pytest.mark.parametrize(("start", "end", "axis", "step"), SLICES)
def test_slices_take_the_same_elements(start: str, end: str, axis: str, step: str) -> None:
    text = (
        f"(float[1, 6] x) => (float[1, N] y) <int64[1] a = {start}, int64[1] b = {end},"
        f" int64[1] axis = {axis}, int64[1] step = {step}>"
        " { y = Slice (x, a, b, axis, step) }"
    )
    _, repaired = proved(normalize_slices.REPAIR, model_from_text(HEAD + text))
    for name in repaired.graph.node[0].input[1:3]:
        item = next(item for item in repaired.graph.initializer if item.name == name)
        bound = int(onnx.numpy_helper.to_array(item)[0])
        assert 0 <= bound <= 6


def test_a_slice_that_runs_backwards_stays() -> None:
    text = (
        "(float[1, 6] x) => (float[1, 6] y) <int64[1] a = {-1}, int64[1] b = {-99},"
        " int64[1] axis = {1}, int64[1] step = {-1}> { y = Slice (x, a, b, axis, step) }"
    )
    assert isinstance(apply(normalize_slices.REPAIR, model_from_text(HEAD + text))[0], Skipped)


def test_an_empty_value_in_front_of_axes_goes_with_them() -> None:
    model = model_from_text(
        '<ir_version: 8, opset_import: ["" : 18]> net (float[1, 4, 3] x) => (float[1, 7, 3] y)'
        " <int64[2] p = {1, 2}, int64[1] axes = {1}> { y = Pad (x, p, , axes) }"
    )
    _, repaired = proved(drop_empty_inputs.REPAIR, model)
    assert len(repaired.graph.node[0].input) == 2


def test_a_pad_with_a_value_stays() -> None:
    text = "(float[1, 4] x) => (float[1, 6] y) <int64[4] p = {0, 1, 0, 1}, float v = {1.0}>"
    model = model_from_text(HEAD + text + "{ y = Pad (x, p, v) }")
    assert isinstance(apply(drop_empty_inputs.REPAIR, model)[0], Skipped)


def test_a_slope_behind_copies_and_views_becomes_an_initializer() -> None:
    text = (
        "(float[1, 4, 2, 2] x) => (float[1, 4, 2, 2] y) <float[4] slope, int64[2] axes = {1, 2}>"
        " { a = Identity (slope)  b = Unsqueeze (a, axes)  y = PRelu (x, b) }"
    )
    _, repaired = proved(use_initializers.REPAIR, model_from_text(HEAD + text))
    assert kinds(repaired) == ["PRelu"]


def test_a_quantised_bound_keeps_its_value() -> None:
    text = (
        "(float[1, 8] x) => (float[1, 8] y) <float s = {0.3}, int8 z = {-3}, int8 top = {7}>"
        " { d = DequantizeLinear (top, s, z)  y = Clip (x, , d) }"
    )
    _, repaired = proved(use_initializers.REPAIR, model_from_text(HEAD + text), integers=False)
    assert kinds(repaired) == ["Clip"]


def test_a_quantised_shared_weight_is_copied_with_its_dequantisation() -> None:
    text = (
        "(float[1, 4] x) => (float[1, 4] y)"
        " <int8[4, 4] w, float[4] s = {0.1, 0.2, 0.3, 0.4}, int8[4] z = {0, 0, 0, 0}>"
        " { d = DequantizeLinear <axis = 0> (w, s, z)  t = Transpose <perm = [1, 0]> (d)"
        "   a = MatMul (x, t)  b = Gemm <transB = 1> (a, d)  y = MatMul (b, t) }"
    )
    _, repaired = proved(copy_shared_weights.REPAIR, model_from_text(HEAD + text), integers=False)
    assert kinds(repaired).count("DequantizeLinear") == 3
    sizes = [list(item.dims) for item in repaired.graph.initializer]
    assert sizes.count([4, 4]) == 3


def test_copies_over_the_budget_are_declined() -> None:
    model = model_from_text(copy_shared_weights.REPAIR.example)
    result, _ = apply(copy_shared_weights.REPAIR, model, RepairOptions(weight_budget_bytes=15))
    assert isinstance(result, Declined)
    assert "16 bytes" in result.reason


LABELS = "abcdef"


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.data())
def test_any_product_of_two_operands_is_a_matmul(data: st.DataObject) -> None:
    roles = data.draw(st.lists(st.sampled_from("brck"), min_size=1, max_size=6))
    named = list(zip(LABELS, roles, strict=False))
    sizes = {label: data.draw(st.integers(1, 3)) for label, _ in named}
    left = data.draw(st.permutations([c for c, role in named if role in "brk"]))
    right = data.draw(st.permutations([c for c, role in named if role in "bck"]))
    result = data.draw(st.permutations([c for c, role in named if role in "brc"]))
    equation = f"{''.join(left)},{''.join(right)}->{''.join(result)}"
    node = onnx.helper.make_node("Einsum", ["a", "b"], ["y"], name="e", equation=equation)

    def info(name: str, labels: list[str]) -> onnx.ValueInfoProto:
        return onnx.helper.make_tensor_value_info(name, 1, [sizes[c] for c in labels])

    graph = onnx.helper.make_graph(
        [node], "g", [info("a", left), info("b", right)], [info("y", result)]
    )
    opset = [onnx.helper.make_opsetid("", 14)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    _, repaired = proved(split_einsum.REPAIR, model)
    for made in repaired.graph.node:
        if made.op_type == "Transpose":
            assert made.attribute[0].ints[0] == 0
            assert len(made.attribute[0].ints) <= 5


@pytest.mark.parametrize(
    ("equation", "reason"),
    [
        ("aa,ab->b", "a label is repeated"),
        ("...a,ab->...b", "an ellipsis"),
        ("ab,ac->b", "over a label of one operand alone"),
    ],
)
def test_other_sums_are_declined(equation: str, reason: str) -> None:
    text = f'(float[3, 3] x, float[3, 3] w) => (float[N] y) {{ y = Einsum <equation = "{equation}">'
    result, _ = apply(split_einsum.REPAIR, model_from_text(HEAD + text + " (x, w) }"))
    assert isinstance(result, Declined)
    assert reason in result.reason


QUANT = " q = QuantizeLinear (x, s, z)  d = DequantizeLinear (q, s, z)"
MASKS = (
    "m = {} (d, least)  y = Where (m, d, some)".replace("{}", op)
    for op in ("Greater", "Less", "Equal", "GreaterOrEqual", "LessOrEqual")
)
LOGIC = (
    "a = Greater (d, least)  b = Less (d, some)  m = And (a, b)  n = Not (m)"
    "  o = Or (n, a)  p = Xor (o, b)  y = Where (p, some, d)"
)


@pytest.mark.parametrize(
    "body",
    [
        *MASKS,
        LOGIC,
        "a = Cast <to = 9> (d)  y = Cast <to = 1> (a)",
        "a = Equal (d, d)  i = Cast <to = 6> (a)  y = Cast <to = 1> (i)",
    ],
)
def test_masks_are_arithmetic_with_the_same_numbers(body: str) -> None:
    text = HEAD + f"(float[3, 4] x) => (float[3, 4] y) {Q} {{ {QUANT} {body} }}"
    _, repaired = proved(avoid_bool_tensors.REPAIR, model_from_text(text), integers=False)
    masks = {"Where", "And", "Or", "Xor", "Not", "Equal", "Greater", "Less"}
    assert masks.isdisjoint(kinds(repaired))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("e = Exp (d)  m = Greater (e, least)  y = Where (m, d, some)", "maybe not finite"),
        ("m = Greater (d, least)  y = NonZero (m)", "NonZero 'n3' has no arithmetic form"),
    ],
)
def test_masks_without_an_exact_form_are_declined(body: str, reason: str) -> None:
    text = HEAD + f"(float[3, 4] x) => (float[N, M] y) {Q} {{ {QUANT} {body} }}"
    text = text.replace("float[N, M] y", "int64[2, K] y") if "NonZero" in body else text
    result, _ = apply(avoid_bool_tensors.REPAIR, model_from_text(text))
    assert isinstance(result, Declined)
    assert reason in result.reason


def test_masks_of_a_float_model_stay() -> None:
    text = "(float[1, 4] x) => (float[1, 4] y) { m = Greater (x, x)  y = Where (m, x, x) }"
    assert isinstance(apply(avoid_bool_tensors.REPAIR, model_from_text(HEAD + text))[0], Skipped)


@pytest.mark.parametrize(
    ("op_type", "keep", "pool"),
    [("ReduceMean", 1, "GlobalAveragePool"), ("ReduceMax", 0, "GlobalMaxPool")],
)
@pytest.mark.parametrize("axes", ["[2, 3]", "[-1, -2]", "[3, 2]"])
def test_reductions_over_space_are_pools(op_type: str, keep: int, pool: str, axes: str) -> None:
    shape = "float[2, 3, 1, 1]" if keep else "float[2, 3]"
    text = (
        f"(float[2, 3, 4, 5] x) => ({shape} y) {{ y = {op_type} <axes = {axes}, keepdims = {keep}>"
    )
    _, repaired = proved(
        use_global_pools.REPAIR, model_from_text(HEAD + text + " (x) }"), tolerance=1e-6
    )
    assert kinds(repaired) == ([pool] if keep else [pool, "Reshape"])


@pytest.mark.parametrize(
    "body",
    ["ReduceMean <axes = [1, 2]> (x)", "ReduceMean <axes = [3]> (x)", "ReduceSum (x)"],
)
def test_other_reductions_stay(body: str) -> None:
    text = f"(float[2, 3, 4, 5] x) => (float[A, B, C, D] y) {{ y = {body} }}"
    assert isinstance(apply(use_global_pools.REPAIR, model_from_text(HEAD + text))[0], Skipped)


def test_the_mean_of_a_token_is_no_pool() -> None:
    text = "(float[1, 16, 8] x) => (float[1, 16, 1] y) { y = ReduceMean <axes = [2]> (x) }"
    assert isinstance(apply(use_global_pools.REPAIR, model_from_text(HEAD + text))[0], Skipped)


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("y = Reshape <allowzero = 1> (x, whole)", ["Reshape"]),
        ("y = Reshape (x, open)", ["Reshape"]),
        ("a = Squeeze (x)  y = Flatten (a)", ["Reshape"]),
        ("a = Reshape (x, open)  b = Relu (a)  y = Reshape (b, whole)", ["Reshape", "Relu"]),
        ("a = Unsqueeze (x, axes)  b = Relu (a)  y = Flatten (b)", ["Reshape", "Relu", "Reshape"]),
    ],
)
def test_views_become_fewest_reshapes(body: str, left: list[str]) -> None:
    shape = "float[2, 12]" if "Flatten" in body and "Unsqueeze" not in body else "float[1, 24]"
    text = (
        f"(float[1, 2, 3, 4] x) => ({shape} y)"
        f" <int64[2] whole = {{1, 24}}, int64[2] open = {{1, -1}}, int64[1] axes = {{0}}>"
        f" {{ {body} }}"
    )
    _, repaired = proved(merge_views.REPAIR, model_from_text(HEAD + text))
    assert kinds(repaired) == left
    for node in repaired.graph.node:
        if node.op_type == "Reshape":
            target = next(i for i in repaired.graph.initializer if i.name == node.input[1])
            assert min(onnx.numpy_helper.to_array(target)) > 0
            assert not node.attribute


def test_a_view_of_unknown_shape_stays() -> None:
    text = "(float[1, N, 4] x) => (float[A, B] y) { y = Flatten (x) }"
    assert isinstance(apply(merge_views.REPAIR, model_from_text(HEAD + text))[0], Skipped)


def test_a_declared_shape_is_not_believed() -> None:
    text = "(float[1, 4, 1] x, int64[1] axes) => (float[1, 4] y) { y = Squeeze (x, axes) }"
    assert isinstance(apply(merge_views.REPAIR, model_from_text(HEAD + text))[0], Skipped)


def test_a_wrong_repair_would_be_noticed() -> None:
    broken = Repair(name="broken", doc="", edit=_halve)
    text = "(float[1, 4] x) => (float[1, 4] y) <float[4] w> { y = Add (x, w) }"
    model = model_from_text(HEAD + text)
    with pytest.raises(AssertionError):
        proved(broken, model)


def _halve(draft: Draft, target: Target, options: RepairOptions) -> RepairResult:
    node = draft.nodes[0]
    array = draft.array(node.inputs[1])
    assert array is not None
    draft.set_input(node, 1, draft.constant(np.asarray(array / 2)))
    return Applied(("halved",))

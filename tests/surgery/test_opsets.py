"""Conversions between operator sets: the same numbers, or a reason."""

import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from npugate.rules import registry, testing
from npugate.surgery.node import NoFormError
from npugate.surgery.opsets import schemas
from npugate.surgery.opsets.convert import convert
from npugate.surgery.opsets.decompositions import DECOMPOSITIONS
from npugate.surgery.opsets.down import DOWN
from npugate.surgery.opsets.up import REDUCTIONS, UP
from npugate.surgery.results import Applied, Declined, RepairOptions, Skipped
from npugate.target import profiles
from tests.repaired import run

X = "float[1, 4, 6, 6] x"


def repair():
    list(registry._modules(registry.bundled("fixers"), "npugate.fixers"))
    return sys.modules["npugate.fixers.convert_opset"].REPAIR


def apply(model, toolchain=None, **options):
    profile = profiles.load("stm32n6", toolchain)
    return repair().edit_message(model, profile, RepairOptions(**options))


def net(source, line, weights="", inputs=X, outputs="float[?, ?, ?, ?] y"):
    rank = inputs.split("]")[0].count(",") + 1
    outputs = outputs.replace("?, ?, ?, ?", ", ".join("?" * rank))
    held = f"<{weights}>" if weights else ""
    return testing.model_from_text(
        f"""<ir_version: {8 if source < 21 else 10}, opset_import: ["" : {source}]>
        net ({inputs}) => ({outputs}) {held} {{ {line} }}"""
    )


def feeds_of(model):
    rng = np.random.default_rng(5)
    found = {}
    weights = {item.name for item in model.graph.initializer}
    for info in model.graph.input:
        if info.name not in weights:
            dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
            dtype = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
            found[info.name] = (rng.normal(size=dims) * 3).astype(dtype)
    return found


# (name, from, to, nodes, weights, operators afterwards, more for net())
SAME = [
    ("softmax over what follows", 11, 14, "y = Softmax (x)", "",
     ["Reshape", "Softmax", "Reshape"]),
    ("softmax over everything", 11, 14, "y = LogSoftmax <axis = 0> (x)", "",
     ["Reshape", "LogSoftmax", "Reshape"]),
    ("softmax over the last axis", 11, 14, "y = Softmax <axis = 3> (x)", "", ["Softmax"]),
    ("hardmax over what follows", 11, 14, "y = Hardmax <axis = 2> (x)", "",
     ["Reshape", "Hardmax", "Reshape"]),
    ("squeeze and unsqueeze", 11, 14,
     "a = Squeeze <axes = [0]> (x) y = Unsqueeze <axes = [0]> (a)", "", ["Squeeze", "Unsqueeze"]),
    ("a sum", 11, 14, "y = ReduceSum <axes = [1, 2]> (x)", "", ["ReduceSum"]),
    ("a sum over everything", 11, 14, "y = ReduceSum (x)", "", ["ReduceSum"]),
    ("a split by sizes", 11, 14,
     "a, b = Split <axis = 1, split = [1, 3]> (x) n = Neg (a) y = Concat <axis = 1> (b, n)", "",
     ["Split", "Neg", "Concat"]),
    ("a pad of opset 10", 10, 14,
     "y = Pad <pads = [0, 0, 1, 0, 0, 0, 0, 2], value = 3.0> (x)", "", ["Pad"]),
    ("a reflecting pad", 10, 14,
     'y = Pad <mode = "reflect", pads = [0, 0, 1, 0, 0, 0, 0, 2]> (x)', "", ["Pad"]),
    ("a slice of opset 9", 9, 14, "y = Slice <axes = [2], starts = [-3], ends = [99]> (x)", "",
     ["Slice"]),
    ("a clip", 10, 14, "y = Clip <min = -1.0, max = 2.0> (x)", "", ["Clip"]),
    ("a clip with one end", 10, 14, "y = Clip <max = 2.0> (x)", "", ["Clip"]),
    ("a dropout", 11, 14, "y = Dropout <ratio = 0.9> (x)", "", ["Dropout"]),
    ("a dropout with an unread mask", 9, 14, "y, mask = Dropout (x)", "", ["Dropout"]),
    ("an upsample by attribute", 7, 14,
     'y = Upsample <mode = "linear", scales = [1.0, 1.0, 2.0, 1.5]> (x)', "", ["Resize"]),
    ("an upsample to the nearest", 9, 14, 'y = Upsample <mode = "nearest"> (x, s)',
     "float[4] s = {1, 1, 1.7, 2}", ["Resize"]),
    ("a resize of opset 10", 10, 14, 'y = Resize <mode = "linear"> (x, s)',
     "float[4] s = {1, 1, 2, 2.5}", ["Resize"]),
    ("a resize of opset 10 to opset 11", 10, 11, "y = Resize (x, s)",
     "float[4] s = {1, 1, 2, 2.5}", ["Resize"]),
    ("a resize of opset 11 with empty inputs", 11, 14,
     'y = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (x, r, e, s)',
     "float[0] r = {}, float[0] e = {}, int64[4] s = {1, 4, 9, 11}", ["Resize"]),
    ("the first of opset 9", 9, 14, "y, i = TopK <axis = 3, k = 2> (x)", "", ["TopK"]),
    ("a normalisation", 8, 14, "y = BatchNormalization <spatial = 1> (x, a, a, a, a)",
     "float[4] a = {1, 2, 3, 4}", ["BatchNormalization"]),
    ("a mean of opset 18", 18, 14, "y = ReduceMean (x, a)", "int64[2] a = {2, 3}", ["ReduceMean"]),
    ("a mean over everything", 18, 14, "y = ReduceMean (x)", "", ["ReduceMean"]),
    ("a mean over nothing", 18, 14, "y = ReduceMean <noop_with_empty_axes = 1> (x)", "",
     ["Identity"]),
    ("a mean to opset 18", 13, 18, "y = ReduceMean <axes = [1]> (x)", "", ["ReduceMean"]),
    ("an uneven split", 18, 14,
     "a, b = Split <axis = 3, num_outputs = 2> (x) y = Add (a, b)", "", ["Split", "Add"]),
    ("an even split to opset 18", 13, 18, "a, b = Split <axis = 1> (x) y = Add (a, b)", "",
     ["Split", "Add"]),
    ("a pad with axes", 18, 14, "y = Pad (x, p, , a)",
     "int64[4] p = {1, 0, 0, 2}, int64[2] a = {-1, 2}", ["Pad"]),
    ("a resize with axes", 18, 14, "y = Resize <axes = [3, 2]> (x, , s)",
     "float[2] s = {2, 3}", ["Resize"]),
    ("a resize with sizes and axes", 19, 14, 'y = Resize <mode = "linear", axes = [3]> (x, , , s)',
     "int64[1] s = {9}", ["Resize"]),
    ("a part of a shape", 15, 14,
     "s = Shape <start = 1, end = -1> (x) f = Cast <to = 1> (s) r = ReduceSum (f) y = Add (x, r)",
     "", ["Shape", "Slice", "Cast", "ReduceSum", "Add"]),
    ("a layer normalisation", 17, 14,
     "y = LayerNormalization <axis = 2, epsilon = 0.1> (x, a, b)",
     "float[6, 6] a, float[6] b = {1, 2, 3, 4, 5, 6}",
     ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add"]),
    ("a layer normalisation without a bias", 17, 14, "y = LayerNormalization (x, b)",
     "float[6] b = {1, 2, 3, 4, 5, 6}",
     ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Div", "Mul"]),
    ("a gelu", 20, 14, "y = Gelu (x)", "", ["Mul", "Erf", "Mul", "Add", "Mul"]),
    ("a gelu by tanh", 20, 14, 'y = Gelu <approximate = "tanh"> (x)', "",
     ["Mul", "Mul", "Mul", "Add", "Mul", "Tanh", "Mul", "Add", "Mul"]),
    ("a root mean square", 23, 14, "y = RMSNormalization <axis = 2, epsilon = 0.1> (x, a)",
     "float[6, 6] a", ["Mul", "ReduceMean", "Add", "Sqrt", "Div", "Mul"]),
    ("a swish", 24, 14, "y = Swish <alpha = 0.5> (x)", "", ["Mul", "Sigmoid", "Mul"]),
    ("a mish", 18, 14, "y = Mish (x)", "", ["Softplus", "Tanh", "Mul"]),
    ("a hard swish", 14, 13, "y = HardSwish (x)", "", ["HardSigmoid", "Mul"]),
    ("a group normalisation by group", 18, 14,
     "y = GroupNormalization <num_groups = 2> (x, a, a)", "float[2] a = {1, 2}",
     ["Reshape", "InstanceNormalization", "Reshape"]),
    ("a group normalisation by channel", 21, 14,
     "y = GroupNormalization <num_groups = 2> (x, a, a)", "float[4] a = {1, 2, 3, 4}",
     ["Reshape", "InstanceNormalization", "Reshape", "Reshape", "Mul", "Reshape", "Add"]),
    ("a group normalisation upwards", 18, 21,
     "y = GroupNormalization <num_groups = 2> (x, a, a)", "float[2] a = {1, 2}",
     ["GroupNormalization"]),
    ("a cast", 19, 14, "a = Cast <to = 10, saturate = 1> (x) y = Cast <to = 1> (a)", "",
     ["Cast", "Cast"]),
    ("quantisation", 21, 14,
     "q = QuantizeLinear <output_dtype = 3> (x, s) y = DequantizeLinear (q, s)",
     "float s = {0.25}", ["QuantizeLinear", "DequantizeLinear"]),
    ("a pool", 19, 14,
     "y = AveragePool <kernel_shape = [2, 2], dilations = [1, 1]> (x)", "", ["AveragePool"]),
    ("a reshape", 14, 13, "y = Reshape <allowzero = 1> (x, s)", "int64[4] s = {1, 6, 4, 6}",
     ["Reshape"]),
    ("an RNN", 13, 14, "y, h = RNN <hidden_size = 2> (x, w, r)",
     "float[1, 2, 4] w, float[1, 2, 2] r", ["RNN"],
     {"inputs": "float[3, 1, 4] x", "outputs": "float[?, ?, ?, ?] y"}),
    ("regions", 10, 16, "y = RoiAlign <output_height = 2, output_width = 2> (x, r, b)",
     "float[1, 4] r = {0.3, 0.6, 4.2, 5.1}, int64[1] b = {0}", ["RoiAlign"]),
    ("a cast like another", 15, 14, "y = CastLike (x, z)", "float z = {1}", ["Cast"]),
    ("softmax below 13", 14, 11, "y = Softmax <axis = 3> (x)", "", ["Softmax"]),
    ("log softmax below 13", 14, 11, "y = LogSoftmax (x)", "", ["LogSoftmax"]),
    ("hardmax below 13", 14, 11, "y = Hardmax (x)", "", ["Hardmax"]),
    ("squeeze below 13", 14, 11, "a = Squeeze (x, z) y = Unsqueeze (a, z)", "int64[1] z = {0}",
     ["Squeeze", "Unsqueeze"]),
    ("a sum below 13", 14, 11, "y = ReduceSum (x, z)", "int64[1] z = {2}", ["ReduceSum"]),
    ("a sum over nothing below 13", 14, 11, "y = ReduceSum <noop_with_empty_axes = 1> (x)", "",
     ["Identity"]),
    ("a split below 13", 14, 11,
     "a, b = Split <axis = 1> (x, z) y = Concat <axis = 1> (b, a)", "int64[2] z = {1, 3}",
     ["Split", "Concat"]),
    ("a resize below 13", 14, 11, 'y = Resize <mode = "linear"> (x, , s)',
     "float[4] s = {1, 1, 2, 1.5}", ["Resize"]),
    ("a normalisation below 14", 14, 8, "y = BatchNormalization (x, a, a, a, a)",
     "float[4] a = {1, 2, 3, 4}", ["BatchNormalization"]),
    ("a scatter", 10, 14, "y = Scatter <axis = 1> (x, i, u)",
     "int64[1, 1, 1, 2] i = {2, 0}, float[1, 1, 1, 2] u = {7, 8}", ["ScatterElements"]),
    ("a grid upwards", 16, 20, 'y = GridSample <mode = "bicubic"> (x, g)',
     "float[1, 2, 2, 2] g", ["GridSample"]),
    ("a grid downwards", 20, 16, 'y = GridSample <mode = "cubic"> (x, g)',
     "float[1, 2, 2, 2] g", ["GridSample"]),
    ("regions downwards", 16, 14,
     'y = RoiAlign <coordinate_transformation_mode = "output_half_pixel"> (x, r, b)',
     "float[1, 4] r = {0.3, 0.6, 4.2, 5.1}, int64[1] b = {0}", ["RoiAlign"]),
    *((f"{op_type} to 14", 18, 14, f"y = {op_type} (x, a)", "int64[2] a = {1, -1}", [op_type])
      for op_type in REDUCTIONS),
    *((f"{op_type} to 18", 14, 18, f"y = {op_type} <axes = [1, -1]> (x)", "", [op_type])
      for op_type in REDUCTIONS),
    ("a body", 18, 14,
     "y = If (t) < then_branch = p () => (float[?, ?, ?, ?] o) { "
     "a = Constant <value = int64[1] {3}> () o = ReduceMax (x, a) }, "
     "else_branch = q () => (float[?, ?, ?, ?] o) { o = Gelu2 (x) } >".replace("Gelu2", "Mish"),
     "bool t = {0}", ["If"]),
]  # fmt: skip


@pytest.mark.parametrize("case", SAME, ids=[case[0] for case in SAME])
def test_a_converted_model_computes_the_same(case):
    _, source, goal, line, weights, ops = case[:6]
    model = net(source, line, weights, **(case[6] if len(case) > 6 else {}))
    if "RNN" in line:
        del model.graph.output[0].type.tensor_type.shape.dim[:]
        for dim in (3, 1, 1, 2):
            model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = dim
    feeds = feeds_of(model)
    expected = run(model, feeds)
    for node in model.graph.node:
        node.metadata_props.add(key="where", value="kept")
    convert(model, goal)
    if goal < 15:
        model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == goal
    assert [node.op_type for node in model.graph.node] == ops
    assert all(node.metadata_props[0].value == "kept" for node in model.graph.node)
    for left, right in zip(expected, run(model, feeds), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    done = model.SerializeToString(deterministic=True)
    assert not any(convert(model, goal).values())
    assert model.SerializeToString(deterministic=True) == done


REFUSED = [
    (18, 14, "y = Resize <antialias = 1> (x, , s)", "float[4] s = {1, 1, 0.5, 0.5}",
     "antialias has no form before opset 18"),
    (18, 14, 'y = Resize <keep_aspect_ratio_policy = "not_larger"> (x, , , s)',
     "int64[4] s = {1, 4, 9, 8}", "keep_aspect_ratio_policy has no form before opset 18"),
    (19, 14, 'y = Resize <coordinate_transformation_mode = "half_pixel_symmetric"> (x, , s)',
     "float[4] s = {1, 1, 2, 2}", "half_pixel_symmetric has no form before opset 19"),
    (10, 14, "y = Resize (x, s)", "float[4] s = {1, 1, 0.3, 1}",
     "which pixel it takes when it shrinks is not defined before opset 11"),
    (11, 13, 'y = Resize <coordinate_transformation_mode = "tf_half_pixel_for_nn"> (x, r, s)',
     "float[0] r = {}, float[4] s = {1, 1, 2, 2}",
     "tf_half_pixel_for_nn has no form from opset 13 on"),
    (19, 14, 'y = Pad <mode = "wrap"> (x, p)', "int64[8] p = {0, 0, 1, 0, 0, 0, 0, 0}",
     "mode 'wrap' has no form before opset 19"),
    (16, 14, "y = GridSample (x, g)", "float[1, 2, 2, 2] g",
     "it came with opset 16, and has no form before"),
    (19, 14, "y = AveragePool <kernel_shape = [2, 2], dilations = [2, 2]> (x)", "",
     "attribute 'dilations' has no form before opset 19"),
    (8, 14, "y = BatchNormalization <spatial = 0> (x, a, a, a, a)", "float[4] a = {1, 2, 3, 4}",
     "spatial=0 has no form from opset 9 on"),
    (13, 14, "y, m, v, s, t = BatchNormalization (x, a, a, a, a)", "float[4] a = {1, 2, 3, 4}",
     "it is in training mode"),
    (9, 14, "d, m = Dropout (x) y = Add (d, m)", "",
     "its mask, which is read, has another type from opset 10 on"),
    (14, 13, "y = Reshape <allowzero = 1> (x, s)", "int64[4] s = {0, 0, 0, 0}",
     "allowzero with a size of 0 has no form before opset 14"),
    (21, 14, "y = QuantizeLinear <block_size = 2, axis = 3> (x, s)", "float[1, 4, 6, 3] s",
     "block-wise quantisation has no form before opset 21"),
    (14, 10, "y = Dropout (x)", "", "its ratio and mode are inputs from opset 12 on"),
    (14, 11, "y = Softmax <axis = 1> (x)", "",
     "an axis in the middle has no form before opset 13"),
    (14, 13, "y, m, v = BatchNormalization <training_mode = 1> (x, a, a, a, a)",
     "float[4] a = {1, 2, 3, 4}", "training mode has no equal form before opset 14"),
    (28, 14, "y = Mod (x, x)", "", "fmod=0 has no form for floats before opset 28"),
    (19, 14, "f = Cast <to = 17> (x) y = Cast <to = 1> (f)", "",
     "its type does not exist before opset 19"),
    (16, 14, "y = RoiAlign <output_height = 2> (x, r, b)",
     "float[1, 4] r = {0.3, 0.6, 4.2, 5.1}, int64[1] b = {0}",
     "coordinate mode 'half_pixel' has no form before opset 16"),
    (18, 14, 'y = ScatterElements <reduction = "max"> (x, i, u)',
     "int64[1, 1, 1, 1] i = {0}, float[1, 1, 1, 1] u = {9}",
     "reduction 'max' has no form before opset 18"),
    (24, 14, "n = Swish (x) y = BitCast <type = 6> (n)", "",
     "opset 24 does not have it"),
    (18, 14, "s = Size (x) y = ReduceMean (x, s)", "", "its axes are not constant"),
    (18, 14, 'y = ScatterND <reduction = "max"> (x, i, u)',
     "int64[1, 4] i = {0, 0, 0, 0}, float[1] u = {9}",
     "reduction 'max' has no form before opset 18"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=[case[4] for case in REFUSED])
def test_what_has_no_equal_form_is_refused_by_name(case):
    source, goal, line, weights, reason = case
    model = net(source, line, weights)
    with pytest.raises(NoFormError) as error:
        convert(model, goal)
    assert str(error.value).split("': ", 1)[1] == reason


TABLES = {"UP": UP, "DOWN": DOWN, "DECOMPOSITIONS": DECOMPOSITIONS}
ENTRIES = [
    (name, (key, 0) if name == "DECOMPOSITIONS" else key) for name in TABLES for key in TABLES[name]
]


def outcome(source, goal, line, weights, more):
    """Return what a conversion comes to: its numbers, its refusal, or its fault."""
    model = net(source, line, weights, **more)
    try:
        convert(model, goal)
        model.ir_version = 10 if goal > 20 else 8
        onnx.checker.check_model(model, full_check=True)
        return repr([value.tolist() for value in run(model, feeds_of(model))])
    except NoFormError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever a missing entry leads to counts
        return type(error).__name__


@pytest.mark.parametrize(("table", "key"), ENTRIES, ids=[f"{t}-{k[0]}-{k[1]}" for t, k in ENTRIES])
def test_no_entry_of_the_table_can_be_missed(table, key, monkeypatch):
    op_type, version = key
    cases = [(*case[1:5], case[6] if len(case) > 6 else {}) for case in SAME]
    cases += [(*case[:4], {}) for case in REFUSED]
    cases = [case for case in cases if op_type in case[2]]
    if version:
        cases = [case for case in cases if min(case[:2]) < version <= max(case[:2])]
    before = [outcome(*case) for case in cases]
    gone = key if version else op_type
    left = {name: rule for name, rule in TABLES[table].items() if name != gone}
    monkeypatch.setattr(sys.modules[convert.__module__], table, left)
    assert [outcome(*case) for case in cases] != before


def test_a_type_that_an_operator_did_not_have_is_refused():
    model = net(21, "a = Cast <to = 16> (x) b = Relu (a) y = Cast <to = 1> (b)")
    convert(model, 14)
    model = net(21, "a = Cast <to = 10> (x) b = DequantizeLinear (q, s) y = Add (x, b)",
                "int16[1, 4, 6, 6] q, float s = {1}")  # fmt: skip
    with pytest.raises(NoFormError, match=r"opset 14 does not have it for tensor\(int16\)"):
        convert(model, 14)


def test_a_pool_whose_size_was_counted_otherwise_is_refused():
    model = net(22, "y = MaxPool <kernel_shape = [1], strides = [2], ceil_mode = 1> (x)",
                inputs="float[1, 1, 2] x")  # fmt: skip
    pool = model.graph.node[0]
    pool.attribute.append(helper.make_attribute("pads", [0, 1]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, None))
    before = onnx.shape_inference.infer_shapes(model).graph.output[0]
    model.opset_import[0].version = 14
    after = onnx.shape_inference.infer_shapes(model).graph.output[0]
    model.opset_import[0].version = 22
    if before == after:
        convert(model, 14)
    else:
        with pytest.raises(NoFormError, match="the shape of 'y'"):
            convert(model, 14)


def test_the_table_names_only_versions_that_changed_the_operator():
    for op_type, version in [*UP, *DOWN, *schemas.CHANGED]:
        assert version in schemas.schemas(op_type), (op_type, version)
    for op_type in DECOMPOSITIONS:
        assert schemas.schemas(op_type)


def test_a_model_whose_operators_are_read_keeps_them_and_gets_another_format_only():
    model = net(18, "y = Mish (x)")
    assert isinstance(apply(model), Skipped)
    model.ir_version = 10
    assert apply(model) == Applied(("set the IR version from 10 to 8",))
    assert model.opset_import[0].version == 18
    assert isinstance(apply(model), Skipped)
    assert apply(model, opset=14).edits[0].startswith("converted opset 18 to 14: another form of 1")


def test_a_model_of_an_unread_set_gets_the_advised_one():
    model = testing.model_from_text(repair().example)
    result = apply(model)
    assert result == Applied(
        (
            "converted opset 21 to 14: another form of 1 Gelu, 1 ReduceMean",
            "set the IR version from 10 to 8",
        )
    )
    onnx.checker.check_model(model, full_check=True)
    assert isinstance(apply(model), Skipped)


def test_types_that_need_a_newer_format_are_declined():
    model = net(18, "y = Relu (x)")
    model.ir_version = 10
    model.graph.initializer.append(helper.make_tensor("w", onnx.TensorProto.INT4, [2], [1, 2]))
    assert apply(model) == Declined("what it holds needs IR version 10, above 9")


def test_the_weights_of_an_old_file_leave_the_inputs_when_its_format_is_raised():
    model = net(6, "y = Relu (x)")
    model.ir_version = 3
    model.opset_import[0].version = 7
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "w"))
    model.graph.input.append(helper.make_tensor_value_info("w", 1, [1]))
    model.graph.node[0].op_type = "Add"
    model.graph.node[0].input.append("w")
    result = apply(model, opset=14)
    assert "set the IR version from 3 to 7" in result.edits
    assert [info.name for info in model.graph.input] == ["x"]
    onnx.checker.check_model(model, full_check=True)


def test_every_adjacent_pair_of_versions_carries_a_plain_network():
    line = """c = Conv <kernel_shape = [3, 3]> (x, w)
        r = Relu (c) p = MaxPool <kernel_shape = [2, 2]> (r)
        f = Flatten (p) g = Gemm (f, v, b) s = Sigmoid (g) y = Mul (s, s)"""
    weights = "float[8, 4, 3, 3] w, float[72, 3] v, float[3] b = {1, 2, 3}"
    for version in range(schemas.OLDEST, schemas.NEWEST):
        for source, goal in ((version, version + 1), (version + 1, version)):
            model = net(source, line, weights, outputs="float[1, 3] y")
            expected = run(model, feeds_of(model))
            convert(model, goal)
            model.ir_version = 8 if goal < 21 else 10
            onnx.checker.check_model(model, full_check=True)
            np.testing.assert_allclose(expected[0], run(model, feeds_of(model))[0], rtol=1e-6)

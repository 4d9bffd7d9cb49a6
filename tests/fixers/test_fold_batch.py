from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from fixers import fold_batch, merge_views
from npugate.rules import testing
from npugate.surgery.results import Applied, Declined, RepairOptions, Skipped
from npugate.surgery.shapes import infer
from tests.batched_models import Net, random_model, rppg
from tests.repaired import apply, feeds, proved, run

FIXTURES = Path(__file__).parents[1] / "fixtures" / "models"
REPAIR = fold_batch.REPAIR
STRATEGIES = ("channels", "spatial", "unroll")
LAYERS = {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool"}
RPPG_NODES = (
    "Conv Relu MaxPool Conv Relu MaxPool Conv Relu GlobalAveragePool Reshape Transpose"
    " Conv Relu Conv Relu Reshape Gemm Relu Gemm Sigmoid Mul Add"
)


def forced(strategy: str) -> RepairOptions:
    return RepairOptions(batch_strategy=strategy)


def batched_layers(model: ModelProto) -> list[str]:
    known = infer(model)
    found = []
    for node in model.graph.node:
        static = known[node.input[0]].static if node.op_type in LAYERS else None
        if static and static[0] > 1:
            found.append(node.name)
    return found


def acts_on_leading_axis(model: ModelProto) -> list[str]:
    """Return the nodes that join, move or cut along axis 0, and every Split."""
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}

    def axes(node: NodeProto) -> list[int]:
        given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type in {"Concat", "Gather"}:
            return [given.get("axis", 0)]
        if node.op_type == "Transpose":
            return [0] if given["perm"][0] else []
        if node.op_type == "Slice":
            return constants[node.input[3]].tolist()
        return [0] if node.op_type == "Split" else []

    return [node.name for node in model.graph.node if 0 in axes(node)]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("block", range(4))
def test_random_networks_are_equal_or_declined(strategy: str, block: int) -> None:
    states: Counter[type] = Counter()
    for seed in range(block * 10, block * 10 + 10):
        model = random_model(seed)
        result, repaired = apply(REPAIR, model, forced(strategy))
        states[type(result)] += 1
        if isinstance(result, Applied):
            proved(REPAIR, model, forced(strategy), tolerance=2e-5, integers=False)
            assert batched_layers(repaired) == []
            assert acts_on_leading_axis(repaired) == []
        else:
            assert isinstance(result, Declined)
            assert "split the model at this region" in result.reason
    if strategy != "spatial":
        assert states == {Applied: 10}


@pytest.mark.parametrize(
    ("path", "nodes"),
    [(None, RPPG_NODES), (FIXTURES / "rppg_4d_fp32.onnx", RPPG_NODES)],
    ids=["lowered by hand", "as exported"],
)
def test_the_network_of_the_deployment_guide_becomes_22_nodes(
    path: Path | None, nodes: str
) -> None:
    model = rppg() if path is None else onnx.load(path)
    result, folded = proved(REPAIR, model, tolerance=1e-6, integers=False)
    assert "strategy 'channels'" in result.edits[0]
    assert "24 samples" in result.edits[0]
    _, merged = proved(merge_views.REPAIR, folded, integers=False)
    merged_nodes = [node.op_type for node in merged.graph.node if node.op_type != "Constant"]
    assert " ".join(merged_nodes) == nodes
    groups = [
        helper.get_attribute_value(item)
        for node in merged.graph.node
        for item in node.attribute
        if item.name == "group"
    ]
    assert groups.count(24) == 3
    assert max(len(item.static or ()) for item in infer(merged).values()) <= 4


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_repairs_the_network_of_the_deployment_guide(strategy: str) -> None:
    _, repaired = proved(REPAIR, rppg(), forced(strategy), tolerance=1e-6, integers=False)
    assert batched_layers(repaired) == []


@pytest.mark.parametrize(
    ("options", "strategy"),
    [
        (RepairOptions(), "'channels'"),
        (RepairOptions(weight_budget_bytes=1000), "'spatial'"),
    ],
)
def test_the_budget_decides_between_copies_and_stacking(
    options: RepairOptions, strategy: str
) -> None:
    result, _ = proved(REPAIR, rppg(), options, tolerance=1e-6, integers=False)
    assert strategy in result.edits[0]


def unstackable() -> ModelProto:
    net = Net(8, 0)
    net.conv(16, pads=[1] * 4)
    net.add("InstanceNormalization", net.value, net.floats(16), net.floats(16))
    net.add("MaxPool", net.value, kernel_shape=[3, 3], pads=[1] * 4)
    return net.model()


@pytest.mark.parametrize(
    ("budget", "most", "strategy"),
    [
        (512 * 1024, 2000, "'channels'"),
        (1600, 2000, "'channels in 2 parts'"),
        (100, 2000, "'unroll'"),
    ],
)
def test_parts_and_single_samples_come_when_copies_are_too_dear(
    budget: int, most: int, strategy: str
) -> None:
    options = RepairOptions(weight_budget_bytes=budget, unroll_nodes=most)
    result, repaired = proved(REPAIR, unstackable(), options, tolerance=1e-5, integers=False)
    assert strategy in result.edits[0]
    assert batched_layers(repaired) == []


def test_a_region_is_declined_with_every_reason_when_all_is_too_dear() -> None:
    options = RepairOptions(weight_budget_bytes=100, unroll_nodes=10)
    result, _ = apply(REPAIR, unstackable(), options)
    assert isinstance(result, Declined)
    assert "copied weights" in result.reason
    assert "24 nodes, at most 10" in result.reason
    assert "let the host run it once for each sample" in result.reason


def test_a_forced_strategy_ignores_its_price() -> None:
    options = RepairOptions(batch_strategy="channels", weight_budget_bytes=0)
    result, _ = apply(REPAIR, unstackable(), options)
    assert isinstance(result, Applied)


def test_one_layer_without_a_form_declines_the_whole_model() -> None:
    net = Net(4, 1)
    net.conv(4)
    net.nodes.append(
        helper.make_node(
            "MaxPool", [net.value], ["pooled", "where"], name="indices", kernel_shape=[2, 2]
        )
    )
    net.nodes.append(helper.make_node("Cast", ["where"], ["index"], name="cast", to=1))
    net.nodes.append(helper.make_node("Add", ["pooled", "index"], ["sum"], name="sum"))
    net.value = "sum"
    model = net.model()
    result, same = apply(REPAIR, model)
    assert isinstance(result, Declined)
    assert "MaxPool 'indices' has no form on one sample: it has 2 outputs" in result.reason
    assert same is model


def test_weights_computed_at_run_time_fold_by_unrolling_alone() -> None:
    net = Net(4, 1)
    weights = net.add("Relu", net.floats(4, 3, 1, 1))
    net.nodes.append(net.nodes.pop(0))
    net.add("Conv", "t2", weights)
    model = net.model()
    result, _ = apply(REPAIR, model, forced("channels"))
    assert isinstance(result, Declined)
    assert "is not constant" in result.reason
    proved(REPAIR, model, forced("unroll"), tolerance=1e-6, integers=False)


def test_two_batches_get_a_form_each() -> None:
    net = Net(6, 2)
    net.conv(4, pads=[1] * 4)
    net.add("Reshape", net.value, net.const(np.array([3, 8, 12, 12], np.int64)))
    net.channels = 8
    net.conv(2, pads=[1] * 4)
    for strategy in STRATEGIES:
        result, repaired = proved(
            REPAIR, net.model(), forced(strategy), tolerance=1e-5, integers=False
        )
        assert [edit.split()[0] for edit in result.edits] == ["6", "3"]
        assert batched_layers(repaired) == []


def test_a_model_on_one_sample_is_left_alone() -> None:
    net = Net(1, 0)
    net.conv(4)
    result, _ = apply(REPAIR, net.model())
    assert result == Skipped("every layer runs on one sample")


def test_a_stacked_pool_with_padding_is_declined_where_data_may_be_negative() -> None:
    net = Net(3, 5)
    net.conv(4, pads=[1] * 4)
    net.add("Clip", net.value, net.const(np.float32(-1)), net.const(np.float32(1)))
    net.add("MaxPool", net.value, kernel_shape=[3, 3], pads=[1] * 4)
    result, _ = apply(REPAIR, net.model(), forced("spatial"))
    assert isinstance(result, Declined)
    assert "pads what may be negative" in result.reason


def test_functions_that_are_infinite_at_zero_are_not_stacked() -> None:
    net = Net(3, 5)
    net.conv(4, 1)
    net.add("Relu", net.value)
    net.add("Add", net.value, net.const(np.full((4, 1, 1), 1.0, np.float32)))
    net.add("Conv", net.value, net.floats(4, 4, 3, 3), pads=[1] * 4)
    net.add("Reciprocal", net.value)
    net.add("Tanh", net.value)
    net.add("Conv", net.value, net.floats(4, 4, 3, 3), pads=[1] * 4)
    _, repaired = proved(REPAIR, net.model(), forced("spatial"), tolerance=1e-4, integers=False)
    reciprocal = next(node for node in repaired.graph.node if node.op_type == "Reciprocal")
    assert infer(repaired)[reciprocal.input[0]].static == (3, 4, 12, 12)


def test_unrolled_samples_come_one_after_another() -> None:
    net = Net(4, 0)
    net.conv(4, 1)
    net.add("Relu", net.value)
    net.conv(4, 1)
    _, repaired = proved(REPAIR, net.model(), forced("unroll"), tolerance=1e-6, integers=False)
    kinds = [node.op_type for node in repaired.graph.node]
    assert kinds == ["Slice", "Conv", "Relu", "Conv"] * 4 + ["Concat", "Reshape"]


class Samples(CalibrationDataReader):
    def __init__(self, model: ModelProto) -> None:
        self.left = [feeds(model, seed, integers=False) for seed in range(2)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.left.pop() if self.left else None


def quantized(model: ModelProto, folder: Path) -> ModelProto:
    source, made = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(model, source)
    quantize_static(
        source,
        made,
        Samples(model),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "ConvTranspose", "MaxPool", "Add", "Concat", "Gemm"],
    )
    return onnx.load(made)


def quantizable(seed: int) -> ModelProto:
    net = Net(4, seed)
    net.conv(6, pads=[1] * 4)
    net.add("Relu", net.value)
    shortcut = net.value
    net.conv(6, pads=[1, 1, 1, 1], group=3)
    net.add("Add", shortcut, net.value)
    net.add("MaxPool", net.value, kernel_shape=[2, 2], strides=[2, 2])
    net.add("ConvTranspose", net.value, net.floats(6, 2, 2, 2), strides=[2, 2], group=2)
    net.add("GlobalAveragePool", net.value)
    net.add("Flatten", net.value)
    net.add("Gemm", net.value, net.floats(5, 4), net.floats(5), transB=1)
    net.add("Reshape", net.value, net.const(np.array([1, 20], np.int64)))
    return net.model()


@pytest.mark.parametrize("strategy", ["channels", "unroll"])
@pytest.mark.parametrize("make", [rppg, lambda: quantizable(0), lambda: quantizable(1)])
def test_quantised_networks_are_equal_to_the_last_bit(
    tmp_path: Path, make: Callable[[], ModelProto], strategy: str
) -> None:
    model = quantized(make(), tmp_path)
    _, repaired = proved(REPAIR, model, forced(strategy), integers=False)
    assert batched_layers(repaired) == []
    before = {item.name: item.data_type for item in model.graph.initializer}
    after = Counter(item.data_type for item in repaired.graph.initializer)
    assert after[onnx.TensorProto.INT32] >= Counter(before.values())[onnx.TensorProto.INT32] > 0


def test_a_stacked_quantised_chain_is_equal_to_the_last_bit(tmp_path: Path) -> None:
    net = Net(3, 3)
    net.conv(4, pads=[1] * 4)
    net.add("Relu", net.value)
    net.conv(4, pads=[1] * 4, strides=[2, 2])
    model = quantized(net.model(), tmp_path)
    _, repaired = proved(REPAIR, model, forced("spatial"), integers=False)
    assert batched_layers(repaired) == []


def test_a_wrong_weight_would_be_noticed() -> None:
    model = rppg()
    _, repaired = apply(REPAIR, model)
    weight = max(repaired.graph.initializer, key=lambda item: len(item.raw_data))
    array = numpy_helper.to_array(weight).copy()
    array[0] *= 1.5
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    fed = feeds(model, 0, integers=False)
    assert np.abs(run(model, fed)[0] - run(repaired, fed)[0]).max() > 0


def test_a_layer_in_the_qoperator_form_is_declined() -> None:
    model = testing.model_from_text("""
        <ir_version: 8, opset_import: ["" : 14]>
        net (uint8[2, 3, 4, 4] x, uint8[4, 3, 1, 1] w) => (int32[2, 4, 4, 4] y)
        { y = ConvInteger (x, w) }
    """)
    result, _ = apply(REPAIR, model)
    assert isinstance(result, Declined)
    assert "ConvInteger 'n0' has no form on one sample" in result.reason

"""No operand, attribute or constant makes a relation raise, however odd it is."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from npugate import relations
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import read

NODES = 40  # for each operator
ATTRIBUTES = (
    *(
        "axis",
        "axes",
        "group",
        "kernel_shape",
        "strides",
        "pads",
        "dilations",
        "block_size",
        "perm",
    ),
    *("hidden_size", "direction", "activations", "layout", "blocksize", "mode", "allowzero", "to"),
    *(
        "num_groups",
        "p",
        "size",
        "k",
        "equation",
        "batch_dims",
        "spatial",
        "training_mode",
        "scales",
    ),
    *("ngram_counts", "pool_int64s", "num_heads", "q_num_heads", "kv_num_heads", "output_padding"),
    *("time_axis", "batch_axis", "offset_group", "num_outputs", "split", "starts", "ends", "shape"),
    *("max_gram_length", "ceil_mode", "auto_pad", "transA", "transB", "fmod", "ignore_index"),
)
VALUES = (0, 1, 2, -1, 7, 2**62, [], [0], [1, 2], [-1, 3, 3], [2**40] * 3, 0.5, [0.5], "ij,jk->ik")
VALUES = (*VALUES, "SAME_UPPER", "", [b"Tanh"], "...a,a...")
CONSTANTS = (
    *(np.int64(2), np.array([], np.int64), np.array([0, -1]), np.array([[1, 2], [3, 9]])),
    *(np.array([2**62, 5]), np.float32(np.nan), np.array([0, 1, -2, np.inf], np.float32)),
    *(np.array([True]), np.zeros((0, 3), np.float32), np.float16(0), np.array([1j], np.complex64)),
)


def model(op_types: list[str], opset: int, rng: np.random.Generator) -> onnx.ModelProto:
    inputs, constants = [], []
    for number in range(40):
        dims = [int(dim) for dim in rng.integers(0, 5, int(rng.integers(0, 6)))]
        dtype = int(rng.choice([1, 7, 3, 6, 9, 10, 11]))
        inputs.append(helper.make_tensor_value_info(f"x{number}", dtype, dims))
    inputs.append(helper.make_tensor_value_info("symbolic", TensorProto.FLOAT, [None, "N", 3]))
    for number, value in enumerate(CONSTANTS):
        constants.append(numpy_helper.from_array(np.asarray(value), f"c{number}"))
    names = [item.name for item in (*inputs, *constants)] + ["", "nowhere"]
    nodes = []
    for op_type in op_types:
        for number in range(NODES):
            given = [str(name) for name in rng.choice(names, int(rng.integers(0, 9)))]
            chosen = rng.choice(ATTRIBUTES, 6, replace=False)
            options = {str(name): VALUES[int(rng.integers(len(VALUES)))] for name in chosen}
            made = [f"{op_type}{number}_{at}" for at in range(int(rng.integers(1, 4)))]
            nodes.append(helper.make_node(op_type, given, made))
            for name, value in options.items():
                nodes[-1].attribute.append(
                    helper.make_attribute(name, value, attr_type=_kind(value))
                )
    graph = helper.make_graph(nodes, "net", inputs, [], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def _kind(value):
    return onnx.AttributeProto.INTS if value == [] else None


def test_no_relation_raises() -> None:
    op_types = sorted(relations.RELATIONS)
    for opset in (7, 11, 17, 23):
        made = model(op_types, opset, np.random.default_rng(opset))
        facts = Facts(read(made.SerializeToString(), "m.onnx", Limits()), inference="off")
        found = list(relations.contradictions(facts))
        assert len(found) > len(op_types)
        assert list(relations.unknown(facts))
        assert max(len(hit.message) for hit in found) < 600

"""Random one-operator models on tensors of rank five to eight, for the tests of rank lowering."""

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper
from onnx.shape_inference import infer_shapes

F = TensorProto.FLOAT
REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"),
    *("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"),
)
UNARY = ("Relu", "Sigmoid", "Abs", "Neg", "HardSigmoid", "Clip")
BINARY = ("Add", "Mul", "Sub", "Max", "PRelu", "Where", "Equal")


class Case:
    """A model being made."""

    def __init__(self, rng: np.random.Generator, rank: int, opset: int) -> None:
        self.rng, self.rank, self.opset = rng, rank, opset
        self.dims = [int(dim) for dim in rng.choice([1, 2, 2, 3, 3], rank)]
        self.axis = int(rng.integers(0, rank))
        self.nodes, self.inputs, self.constants = [], {"x": (F, self.dims)}, {}

    def some_ones(self, dims):
        return [dim if self.rng.random() < 0.5 else 1 for dim in dims]

    def ints(self, name, values):
        self.constants[name] = np.array(values, np.int64)
        return name

    def node(self, op, *inputs, outputs=("y",), **attributes):
        self.nodes.append(
            helper.make_node(op, inputs, outputs, name=f"n{len(self.nodes)}", **attributes)
        )

    def model(self) -> ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "case",
            [helper.make_tensor_value_info(k, t, d) for k, (t, d) in self.inputs.items()],
            [helper.make_empty_tensor_value_info(name) for name in self.nodes[-1].output],
            [numpy_helper.from_array(np.array(v), k) for k, v in self.constants.items()],
        )
        imports = [helper.make_opsetid("", self.opset)]
        model = infer_shapes(helper.make_model(graph, ir_version=8, opset_imports=imports))
        del model.graph.value_info[:]
        checker.check_model(model, full_check=True)
        return model


def transpose(c):
    c.node("Transpose", "x", perm=[int(axis) for axis in c.rng.permutation(c.rank)])


def binary(c, op):
    left = c.some_ones(c.dims)
    right = [d if c.rng.random() < 0.5 or left[i] != d else 1 for i, d in enumerate(c.dims)]
    if op == "PRelu":
        left = c.dims
    c.inputs = {"x": (F, left), "z": (F, right)}
    if op == "Where":
        c.inputs["c"] = (TensorProto.BOOL, c.some_ones(c.dims))
        c.node(op, "c", "x", "z")
    else:
        c.node(op, "x", "z")


def with_constant(c):
    c.constants["k"] = c.rng.integers(-3, 4, c.some_ones(c.dims)).astype(np.float32)
    c.node("Add", "k", "x")


def reduction(c, op):
    count = int(c.rng.integers(1, c.rank + 1))
    axes = sorted(int(axis) for axis in c.rng.choice(c.rank, count, replace=False))
    keep = int(c.rng.integers(0, 2))
    if c.opset >= (13 if op == "ReduceSum" else 18):
        c.node(op, "x", c.ints("a", axes), keepdims=keep)
    else:
        c.node(op, "x", axes=axes, keepdims=keep)


def along(c, op):
    c.node(op, "x", axis=c.axis)


def arg(c, op):
    c.node(op, "x", axis=c.axis, keepdims=int(c.rng.integers(0, 2)))


def cumsum(c):
    c.constants["a"] = np.array(c.axis, np.int64)
    c.node("CumSum", "x", "a", reverse=int(c.rng.integers(0, 2)), exclusive=1)


def topk(c):
    c.node("TopK", "x", c.ints("k", [max(1, c.dims[c.axis] - 1)]), axis=c.axis, outputs=("y", "i"))


def concat(c):
    other = list(c.dims)
    other[c.axis] = int(c.rng.integers(1, 4))
    c.inputs["z"] = (F, other)
    c.node("Concat", "x", "z", "x", axis=c.axis - c.rank)


def split(c):
    c.dims[c.axis] = 5
    c.node("Split", "x", c.ints("s", [2, 1, 2]), axis=c.axis, outputs=("y", "y1", "y2"))


def slice_(c):
    axes = [int(a) for a in c.rng.choice(c.rank, int(c.rng.integers(1, c.rank + 1)), replace=False)]
    starts, ends, steps = [], [], []
    for axis in axes:
        c.dims[axis] = size = int(c.rng.integers(2, 5))
        if c.rng.random() < 0.3:
            starts, ends, steps = [*starts, size + 3], [*ends, -(size + 5)], [*steps, -1]
        else:
            starts = [*starts, int(c.rng.integers(0, size - 1))]
            ends, steps = [*ends, 1 << 40], [*steps, int(c.rng.integers(1, 3))]
    names = [c.ints(n, v) for n, v in zip("beap", (starts, ends, axes, steps), strict=True)]
    c.node("Slice", "x", *names)


def pad(c):
    c.dims[:] = [max(2, dim) for dim in c.dims]
    mode = str(c.rng.choice(["constant", "edge", "reflect"]))
    c.node("Pad", "x", c.ints("p", c.rng.integers(0, 2, 2 * c.rank)), mode=mode)


def crop(c):
    c.dims[:] = [max(3, dim) for dim in c.dims]
    c.node("Pad", "x", c.ints("p", c.rng.integers(-1, 2, 2 * c.rank)))


def gather(c):
    shape = [int(v) for v in c.rng.choice([1, 2, 3], int(c.rng.integers(0, 4)))]
    size = c.dims[c.axis]
    c.node("Gather", "x", c.ints("i", c.rng.integers(-size, size, shape)), axis=c.axis)


def gather_elements(c):
    shape = list(c.dims)
    shape[c.axis] = int(c.rng.integers(1, 4))
    indices = c.ints("i", c.rng.integers(0, c.dims[c.axis], shape))
    c.node("GatherElements", "x", indices, axis=c.axis)


def scatter_elements(c):
    size = c.dims[c.axis]
    order = np.argsort(c.rng.random(c.dims), axis=c.axis)
    c.inputs["z"] = (F, list(c.dims))
    assert order.shape[c.axis] == size
    c.node("ScatterElements", "x", c.ints("i", order), "z", axis=c.axis)


def gather_nd(c):
    depth = int(c.rng.integers(1, c.rank + 1))
    rows = [c.rng.integers(-c.dims[axis], c.dims[axis], (2, 3)) for axis in range(depth)]
    c.node("GatherND", "x", c.ints("i", np.stack(rows, -1)))


def matmul(c):
    front = c.dims[:-2]
    right = [] if c.rng.random() < 0.3 else c.some_ones(front)
    c.inputs = {"x": (F, [*c.some_ones(front), 2, 3]), "z": (F, [*right, 3, 4])}
    c.node("MatMul", "x", "z")


def by_vector(c):
    c.inputs["z"] = (F, [c.dims[-1]])
    c.node("MatMul", "x", "z")


def expand(c):
    c.inputs = {"x": (F, c.some_ones(c.dims))}
    c.node("Expand", "x", c.ints("s", c.dims))


def tile(c):
    c.node("Tile", "x", c.ints("s", c.rng.integers(1, 3, c.rank)))


def squeeze(c):
    c.dims[c.axis] = 1
    c.node("Squeeze", "x", c.ints("a", [axis for axis, dim in enumerate(c.dims) if dim == 1]))


def unsqueeze(c):
    c.node("Unsqueeze", "x", c.ints("a", [0, c.rank]))


def flatten(c):
    c.node("Flatten", "x", axis=c.axis)


def channelwise(c, op):
    c.dims[:2] = [1, 3]
    names = ("s", "b", "m", "v")[: 2 if op[0] == "I" else 4]
    for name in names:
        c.constants[name] = np.abs(c.rng.standard_normal(3)).astype(np.float32)
    c.node(op, "x", *names)


def pool(c, op):
    c.dims[:] = [1, 3, *c.dims[2:5]]  # onnxruntime pools over three axes at most
    c.node(op, "x")


def quantize(c):
    size = c.dims[c.axis]
    c.constants = {
        "s": (1 + np.arange(size)).astype(np.float32) / 8,
        "o": c.rng.integers(-3, 4, size).astype(np.int8),
    }
    c.node("QuantizeLinear", "x", "s", "o", axis=c.axis, outputs=("q",))
    c.node("DequantizeLinear", "q", "s", "o", axis=c.axis)


def quantize_all(c):
    c.constants = {"s": np.array([0.125], np.float32), "o": np.array([3], np.uint8)}
    c.node("QuantizeLinear", "x", "s", "o", outputs=("q",))
    c.node("DequantizeLinear", "q", "s", "o")


def layer_norm(c):
    c.opset = max(c.opset, 17)
    c.constants["w"] = c.rng.standard_normal(c.dims[c.axis :]).astype(np.float32)
    c.node("LayerNormalization", "x", "w", axis=c.axis)


def dropout(c):
    c.node("Dropout", "x")


def einsum(c):
    labels = "abcdefgh"[: c.rank]
    left, right = labels[:-1], labels[2:]
    gone = labels[2:4] if c.rank > 5 else "c"
    out = "".join(label for label in labels if label not in gone)
    sizes = dict(zip(labels, c.dims, strict=True))
    c.inputs = {"x": (F, [sizes[k] for k in left]), "z": (F, [sizes[k] for k in right])}
    c.node("Einsum", "x", "z", equation=f"{left},{right}->{out}")


CASES = {
    "Einsum": einsum,
    "Transpose": transpose,
    **{op: lambda c, op=op: c.node(op, "x") for op in UNARY},
    **{op: lambda c, op=op: binary(c, op) for op in BINARY},
    "Add of a constant": with_constant,
    **{op: lambda c, op=op: reduction(c, op) for op in REDUCTIONS},
    **{op: lambda c, op=op: along(c, op) for op in ("Softmax", "LogSoftmax", "Hardmax")},
    "LpNormalization": lambda c: along(c, "LpNormalization"),
    **{op: lambda c, op=op: arg(c, op) for op in ("ArgMax", "ArgMin")},
    "CumSum": cumsum,
    "TopK": topk,
    "Concat": concat,
    "Split": split,
    "Slice": slice_,
    "Pad": pad,
    "Pad that crops": crop,
    "Gather": gather,
    "GatherElements": gather_elements,
    "ScatterElements": scatter_elements,
    "GatherND": gather_nd,
    "MatMul": matmul,
    "MatMul by a vector": by_vector,
    "Expand": expand,
    "Tile": tile,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Flatten": flatten,
    "Dropout": dropout,
    "BatchNormalization": lambda c: channelwise(c, "BatchNormalization"),
    "InstanceNormalization": lambda c: channelwise(c, "InstanceNormalization"),
    "GlobalAveragePool": lambda c: pool(c, "GlobalAveragePool"),
    "GlobalMaxPool": lambda c: pool(c, "GlobalMaxPool"),
    "QuantizeLinear by axis": quantize,
    "QuantizeLinear by tensor": quantize_all,
    "LayerNormalization": layer_norm,
}


def make(name: str, seed: int, opset: int = 14) -> ModelProto:
    """Return a random model of one operator (two for a quantised pair)."""
    rng = np.random.default_rng([seed, sum(map(ord, name))])
    case = Case(rng, int(rng.integers(5, 9)), opset)
    CASES[name](case)
    return case.model()

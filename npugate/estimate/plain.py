"""One epoch for each operator: what a network is before the compiler fuses anything.

Views and (de)quantisations are no epochs. It stands in for the placement, and is what the placement
is measured against.
"""

from __future__ import annotations

from typing import Final

from npugate.estimate.values import Access, Engine, Epoch, Operator, Window
from npugate.facts import Facts, Node, Tensor
from npugate.target import Target

_NOTHING: Final = frozenset(
    {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Constant"}
    | {"QuantizeLinear", "DequantizeLinear"}
)
_RANK: Final = 4


def place(facts: Facts, target: Target) -> tuple[Epoch, ...]:
    """Return an epoch for each operator that runs, on the NPU where the target has one."""
    bits = 32 if facts.quantization.form == "float" else 8
    engine = Engine.NPU if target.npu else Engine.CPU
    running = [node for node in facts.main.nodes if _runs(node)]
    return tuple(
        Epoch(
            number,
            engine,
            (Operator(node.op_type, engine, node.location()),),
            tuple(_access(t, bits) for t in node.inputs if t is not None and not t.is_constant),
            tuple(_access(t, bits) for t in node.outputs if t is not None),
            int(node.op_type == "Conv"),
            _window(node),
        )
        for number, node in enumerate(running)
    )


def _runs(node: Node) -> bool:
    if node.op_type in _NOTHING:
        return False
    return any(made is not None and not made.is_constant for made in node.outputs)


def _window(node: Node) -> Window | None:
    """Return the geometry of a convolution over two axes."""
    result, weight = node.output(), node.input(1)
    shape = result.static_shape if result is not None else None
    dims = weight.static_shape if weight is not None else None
    if (
        node.op_type != "Conv"
        or shape is None
        or dims is None
        or not len(shape) == len(dims) == _RANK
    ):
        return None
    strides = node.ints_attribute("strides") or (1, 1)
    return Window(
        kernel=(dims[2], dims[3]),
        strides=(strides[0], strides[1]),
        channels_out=shape[1],
        size_out=(shape[2], shape[3]),
    )


def _access(tensor: Tensor, bits: int) -> Access:
    return Access(tensor.name, tensor.static_shape or (0,), bits)

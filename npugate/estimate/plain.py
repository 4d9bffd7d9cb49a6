"""One epoch for each operator: what a network is before the compiler fuses anything.

Views and (de)quantisations are no epochs. It stands in for the placement, and is what the placement
is measured against.
"""

from __future__ import annotations

from typing import Final

from npugate.estimate.values import Access, Engine, Epoch, Operator
from npugate.facts import Facts, Node, Tensor
from npugate.target import Target

_NOTHING: Final = frozenset(
    {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Constant"}
    | {"QuantizeLinear", "DequantizeLinear"}
)


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
        )
        for number, node in enumerate(running)
    )


def _runs(node: Node) -> bool:
    if node.op_type in _NOTHING:
        return False
    return any(made is not None and not made.is_constant for made in node.outputs)


def _access(tensor: Tensor, bits: int) -> Access:
    return Access(tensor.name, tensor.static_shape or (0,), bits)

"""No operator of the model computes anything from its inputs.

**Why.** A compiler takes the order of the axes of an input from the layers that read it, and lays
out what they compute. Where nothing but Identity is between an input and an output there is
neither: Core 2.2 stops with `INTERNAL ERROR: 'input'` after it has said `Order of dimensions of
input cannot be interpreted`.

**Fix.** Look where the layers were lost: an export of a module that is still empty, a cut at the
wrong tensor, a simplifier that folded everything because the outputs do not hang on the inputs.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Location, Node, Rule, Severity, Target, Tensor

_PASSES_ON = frozenset({"Identity", "Dropout"})


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield one hit when no output hangs on an operator that computes."""
    outputs, nodes = facts.main.outputs, facts.main.nodes
    if nodes and not outputs:
        return  # named by the ONNX checker
    if any(_computed(output) for output in outputs):
        return
    if not nodes:
        yield Hit(Location(), "the model has no operator: there is nothing to compile")
        return
    kinds = sorted({node.full_type for node in nodes})
    if set(kinds) <= _PASSES_ON:
        what = f"its {_counted(len(nodes))} values on ({', '.join(kinds)})"
    else:
        what = "its outputs are constants or inputs passed on"
    yield Hit(Location(), f"nothing is computed: {what}, and no layer says what its axes are")


def _counted(nodes: int) -> str:
    return f"{nodes} nodes only pass" if nodes > 1 else "one node only passes"


def _computed(tensor: Tensor) -> bool:
    """Tell whether an operator that is more than a copy makes a value at run time."""
    node: Node | None = tensor.producer
    while node is not None and node.op_type in _PASSES_ON:
        source = node.input(0)
        tensor = source if source is not None else tensor
        node = source.producer if source is not None else None
    return node is not None and not tensor.is_constant


RULE = Rule(
    id="NPU213",
    name="nothing-to-compile",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("stm32n6_rppg by BCPH357: what Core 2.2 says of a model with one Identity",),
    check=check,
    examples=(
        Example(
            title="one Identity",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 36, 36] x) => (float[1, 3, 36, 36] y) { y = Identity (x) }
            """,
            messages=(
                (
                    "nothing is computed: its one node only passes values on (Identity), "
                    "and no layer says what its axes are"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 36, 36] x) => (float[1, 3, 36, 36] y) { y = Relu (x) }
            """,
        ),
    ),
)

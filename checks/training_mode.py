"""A Dropout or a BatchNormalization was exported in training mode.

**Why.** Dropout then throws values away at random and a BatchNormalization divides by the spread of
the sample at hand: neither is what the network learned, and no two runs agree. A compiler that
folds both reads them as if they were not in training mode, so that the board computes another
function than the file says.

**Fix.** Call `model.eval()` before the export and leave `training` at its default; in a finished
file set the third input of the Dropout to false and `training_mode` of the BatchNormalization to 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Node, Rule, Severity, Target

_FLAG_AS_INPUT = 12  # Dropout takes training_mode as an input
_FLAG = 14  # BatchNormalization has training_mode
_NO_TEST_FLAG = 7  # is_test is gone; outputs of running means say that it is trained


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Dropout and BatchNormalization that is not in inference mode."""
    for node in facts.nodes_of("Dropout"):
        yield from _dropout(node, facts.opset)
    for node in facts.nodes_of("BatchNormalization"):
        yield from _normalization(node, facts.opset)


def _dropout(node: Node, opset: int) -> Iterator[Hit]:
    if opset < _NO_TEST_FLAG:
        if not node.int_attribute("is_test", 0) and node.attribute("ratio") != 0:
            yield node.hit("is_test is 0: values are thrown away at random")
        return
    flag = node.input(2)
    if opset < _FLAG_AS_INPUT or flag is None:
        return
    ratio = node.constant(1)
    if ratio is not None and ratio.size == 1 and not ratio.item():
        return  # nothing is thrown away
    if not flag.is_constant:
        yield node.hit(f"training_mode is {flag.name!r}, which is only known at run time")
    elif flag.constant is not None and flag.constant.any():
        share = f"{ratio.item():.3g}" if ratio is not None and ratio.size == 1 else "0.5"
        yield node.hit(f"training_mode is true: {share} of the values are thrown away at random")


def _normalization(node: Node, opset: int) -> Iterator[Hit]:
    if opset >= _FLAG:
        if node.int_attribute("training_mode", 0):
            yield node.hit("training_mode is 1: it divides by the spread of the sample at hand")
        return
    if opset < _NO_TEST_FLAG and not node.int_attribute("is_test", 0):
        yield node.hit("is_test is 0: it divides by the spread of the sample at hand")
        return
    made = [tensor for tensor in node.outputs if tensor is not None]
    if len(made) > 1:
        count = f"it makes {len(made)} outputs, 1 is wanted"
        yield node.hit(f"it is in training mode: {count}")


RULE = Rule(
    id="NPU212",
    name="training-mode",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "https://onnx.ai/onnx/operators/onnx__Dropout.html",
        "https://onnx.ai/onnx/operators/onnx__BatchNormalization.html",
    ),
    check=check,
    examples=(
        Example(
            title="a Dropout that still drops",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 8] y)
                <float ratio = {0.25}, bool training = {1}>
                { r = Relu (x)  y = Dropout (r, ratio, training) }
            """,
            messages=("training_mode is true: 0.25 of the values are thrown away at random",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 8] y)
                <float ratio = {0.25}, bool training = {0}>
                { r = Relu (x)  y = Dropout (r, ratio, training) }
            """,
        ),
    ),
)

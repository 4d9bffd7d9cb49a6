"""What to write instead of a line whose export violates a limit.

The guide, docs/clean-export.md, has code before and after for each heading named here.
"""

from __future__ import annotations

import re
from typing import Final

from npugate.export.values import Advice
from npugate.findings import rule_names

_SIX_AXES: Final = Advice(
    "a view of more axes than the compiler takes",
    "keep four axes: fold the groups into the channels and use a grouped convolution, "
    "nn.Conv2d(n * c_in, n * c_out, k, groups=n), with the weights repeated n times; "
    "where it moves depth to space, nn.PixelShuffle",
    "six-axis-view",
)
_BATCH: Final = Advice(
    "the view puts something else into the batch, and the NPU runs one sample",
    "leave the batch at 1: fold what was put there into the channels, and use groups",
    "batch-in-view",
)
_SQUEEZE: Final = Advice(
    "squeeze() drops every axis of size 1, whichever those are",
    "name the axes, or say the shape: x.flatten(1), x.reshape(1, 16)",
    "squeeze",
)
_POOL: Final = Advice(
    "the windows of an adaptive pool differ in size unless the output divides the input",
    "choose a window: nn.AvgPool2d(kernel, stride), or an output size that divides the input's",
    "adaptive-pooling",
)
_RESIZE: Final = Advice(
    "this form of Resize is not one that the compiler takes on the NPU",
    'F.interpolate(x, scale_factor=2, mode="nearest"), a whole number, without align_corners',
    "interpolate",
)
_EINSUM: Final = Advice(
    "an Einsum is not an operator of the NPU",
    "write the contraction: torch.matmul, a 1x1 convolution or nn.Linear",
    rule_names.EINSUM,
)
_MASK: Final = Advice(
    "a boolean mask chooses a number of elements that is only known when the network runs",
    "multiply by the mask as float, (x * (x > 0).float()).sum(), or use relu or clamp",
    "boolean-mask",
)
_SELECT: Final = Advice(
    "a choice between two tensors, element by element, runs on the processor",
    "use arithmetic: relu and clamp, or mask * a + (1 - mask) * b with a mask of 0.0 and 1.0",
    "masked-fill",
)
_NORM: Final = Advice(
    "a norm over the numbers of one image is computed when the network runs, on the processor",
    "nn.BatchNorm2d: in evaluation mode it is constant and goes into the convolution",
    "what-has-no-equal",
)
_CONTROL: Final = Advice(
    "the program takes another way for other numbers, and a graph has one way",
    "compute both and mix them, or take the decision outside of the network",
    "what-has-no-equal",
)
_WILDCARD: Final = Advice(
    "a view with -1 leaves a size to be computed from the rest",
    "write the size, x.reshape(1, 128), or the operation, x.flatten(1)",
    "wildcard-view",
)
_DYNAMIC: Final = Advice(
    "the shape depends on the numbers, so no memory can be planned",
    "make the size a constant of the network: slices and top-k with fixed bounds, no nonzero",
    "boolean-mask",
)

# rule, pattern on the operator, pattern on the line of Python -> advice; the first one counts.
_TABLE: Final = tuple(
    (rule, re.compile(operator), re.compile(line), advised)
    for rule, operator, line, advised in (
        ("tensor-rank|operator-constraint|cpu-operator", "", r"[Aa]daptive", _POOL),
        (rule_names.TENSOR_RANK, "Reshape|Transpose|Unsqueeze|Expand", "", _SIX_AXES),
        (rule_names.RESHAPE_RANK, "", "", _SIX_AXES),
        ("batched-layer|batched-input", "", "", _BATCH),
        ("implicit-squeeze|axes-from-constant-node|axes-not-constant", "Squeeze", "", _SQUEEZE),
        (rule_names.EINSUM, "", "", _EINSUM),
        (rule_names.RESHAPE_WILDCARD, "", "", _WILDCARD),
        ("unsupported-operator|dynamic-dimension", "NonZero|Compress", "", _MASK),
        ("dynamic-dimension|reshape-runtime-shape", "", "", _DYNAMIC),
        (rule_names.OPERATOR_CONSTRAINT, "Resize|Upsample", "", _RESIZE),
        (rule_names.CPU_OPERATOR, "Where", "", _SELECT),
        (rule_names.CPU_OPERATOR, "InstanceNormalization", "", _NORM),
    )
)


def of(rule: str, operator: str, line: str) -> Advice | None:
    """Return the advice for a finding; None when there is none.

    Args:
        rule: its name.
        operator: of the node; empty for a finding about the file.
        line: of Python that made it; empty when not known.
    """
    for rules, operators, text, advised in _TABLE:
        if re.fullmatch(rules, rule) and operators.search(operator) and text.search(line):
            return advised
    return None


def of_refusal(reason: str) -> Advice | None:
    """Return the advice for what torch itself refuses."""
    low = reason.lower()
    if "adaptive" in low:
        return _POOL
    if "control-flow" in low or "guardon" in low or "data-dependent" in low:
        return _CONTROL
    return None

"""What the compiler makes of one ONNX node: one or more operators of its own, each on an engine.

The patterns are those of public compiles; what each means for the engine, why, and what to do
instead stands in ``data/placement.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import Final

from msgspec import Struct

from npugate.estimate import chip
from npugate.estimate.convolution import parts
from npugate.estimate.window import window_of
from npugate.facts import Array, Node, Tensor
from npugate.facts.elements import maker, readers, source, swish_gate
from npugate.facts.quantization import dequantize
from npugate.operators import (
    COMPILED_TO_CONV,
    FUSED,
    RESIZES,
    SUMMED,
)
from npugate.report.estimate import Engine
from npugate.target.constraints import broken
from npugate.target.values import Target

_FILE: Final = Path(__file__).parent / "data" / "placement.toml"
_LAYOUTS: Final = frozenset({(0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 1), (1, 0)})
_POOLED: Final = 3
"""The largest window of a pool that runs in the epoch of the convolution before it."""
_IMAGE: Final = 4
_MOST: Final = 1024  # operators made of one node; only an absurd shape asks for more


class Row(Struct, frozen=True):
    """A row of the data: where a pattern runs, by toolchain."""

    key: str
    engines: Mapping[str, Engine]
    reason: str
    advice: str
    source: str
    n: int


class Made(Struct, frozen=True):
    """One operator that the compiler makes of a node.

    Attributes:
        kind: its name there.
        joins: it runs in the epoch of what it reads, where that runs on the NPU.
        epochs: that it takes when it does not join.
        is_main: it holds the node's multiply-accumulates and its result, or leads to it.
        evidence: models, reports or documents that show it, where it is not on the NPU.
    """

    kind: str
    engine: Engine = Engine.NPU
    reason: str = ""
    advice: str = ""
    rule: str = ""
    joins: bool = False
    epochs: int = 1
    is_main: bool = False
    evidence: str = ""


@cache
def rows() -> Mapping[str, Row]:
    """Return the data by key."""
    found: dict[str, Row] = {}
    for row in tomllib.loads(_FILE.read_text(encoding="utf-8"))["rows"]:
        engines = {version: Engine(word) for version, word in row["engine"].items()}
        found[row["key"]] = Row(
            row["key"], engines, row["reason"], row.get("advice", ""), row["source"], row["n"]
        )
    return found


def lower(node: Node, target: Target, *, is_integer: bool) -> tuple[Made, ...]:
    """Return the operators that a node becomes, in order.

    Args:
        node: that runs, see ``elements.runs``.
        target: its toolchain decides.
        is_integer: see ``integers.integer_nodes``.
    """
    if not is_integer:
        return tuple(_float(node))
    pattern = _PATTERNS.get(node.op_type)
    found = tuple(pattern(node, target)) if pattern is not None else ()
    if any(made.engine is not Engine.NPU for made in found):
        return found
    plain = tuple(_plain(node, target))
    return found if found and plain[0].engine is Engine.NPU else plain


def of_row(key: str, kind: str, target: Target, *, epochs: int = 1, is_main: bool = False) -> Made:
    """Return an operator as a row of the data has it."""
    row = rows()[key]
    engine = row.engines.get(target.toolchain, Engine.CPU)
    if engine is Engine.NPU:
        return Made(kind, epochs=epochs, is_main=is_main)
    return Made(kind, engine, row.reason, row.advice, key, is_main=is_main, evidence=row.source)


def _plain(node: Node, target: Target) -> Iterator[Made]:
    """Place an operator by the table of operators and its constraints."""
    row = target.operator(node.op_type, node.domain)
    kind = _kind(node)
    for constraint, text in broken(node, target):
        if constraint.effect == "cpu":
            why = constraint.evidence or constraint.source
            yield Made(
                kind, Engine.CPU, text, constraint.fix, constraint.id, is_main=True, evidence=why
            )
            return
    if row is None or row.runs_on in {"cpu", "none"}:
        advice = row.fix if row is not None else ""
        reason = f"the NPU has no {node.op_type}"
        why = (row.evidence or row.source) if row is not None else ""
        yield Made(kind, Engine.CPU, reason, advice, "operator", is_main=True, evidence=why)
        return
    yield Made(kind, joins=_joins(node), epochs=_epochs(node), is_main=True)


def _float(node: Node) -> Iterator[Made]:
    """Place an operator that is computed in float, which only the CPU can."""
    kinds: tuple[str, ...] = (_kind(node),)
    if node.op_type == "Resize" and _upsamples(node):
        yield Made("Concat")
        kinds = ("DepthToSpace",)
    elif node.op_type == "ConvTranspose" and _stride(node) > 1:
        kinds = ("Conv", "Concat", "DepthToSpace")
    elif node.op_type in {"Concat", "Split", "Slice"}:
        yield Made(node.op_type, is_main=True)
        return
    row = rows()["float"]
    for number, kind in enumerate(kinds, 1):
        last = number == len(kinds)
        yield Made(
            kind, Engine.CPU, row.reason, row.advice, "float", is_main=last, evidence=row.source
        )


def _kind(node: Node) -> str:
    """Return the compiler's name of an operator."""
    if node.op_type == "GlobalAveragePool":
        return "AveragePool"
    if node.op_type == "ReduceMean" and _is_spatial(node):
        return "GlobalAveragePool"
    return "Conv" if node.op_type in COMPILED_TO_CONV else node.op_type


def _is_spatial(node: Node) -> bool:
    data, made = node.input(0), node.output()
    shape = data.static_shape if data is not None else None
    result = made.static_shape if made is not None else None
    if shape is None or result is None or len(shape) != _IMAGE:
        return False
    return result[:2] == shape[:2] and prod(result[2:]) == 1


def _joins(node: Node) -> bool:
    """Tell whether an operator runs in the epoch of what it reads."""
    if node.op_type in FUSED:
        return True
    if node.op_type == "Mul":
        return swish_gate(node) is not None
    if node.op_type in {"Add", "Sub"}:
        makers = [maker(t) for t in node.inputs if t is not None and not t.is_constant]
        return len(makers) > 1 and any(m is not None and m.op_type in SUMMED for m in makers)
    if node.op_type in {"AveragePool", "GlobalAveragePool"}:
        return True
    if node.op_type == "MaxPool":
        return max(node.ints_attribute("kernel_shape") or (1,)) <= _POOLED
    return False


def _epochs(node: Node) -> int:
    """Return the epochs of an operator on the NPU: of a large window, one a part but the last."""
    if node.op_type == "Gemm":
        return 2
    return min(max(1, parts_of(node) - 1), _MOST) if node.op_type == "Conv" else 1


def parts_of(node: Node) -> int:
    """Return the passes that a convolution's kernel is split into; 1 where the unit takes it."""
    window = window_of(node)
    return 1 if window is None else parts(window.kernel, window.strides, chip.units())


def _stride(node: Node) -> int:
    return max(node.ints_attribute("strides") or (1,))


def _upsamples(node: Node) -> bool:
    data, made = node.input(0), node.output()
    shape = data.static_shape if data is not None else None
    result = made.static_shape if made is not None else None
    mode = node.text_attribute("mode", "nearest")
    return mode == "nearest" and bool(shape and result and prod(result) > prod(shape))


def _resize(node: Node, target: Target) -> Iterator[Made]:
    if _upsamples(node):
        yield Made("Concat")
        yield of_row("resize-nearest", "DepthToSpace", target, is_main=True)


def _transposed(node: Node, target: Target) -> Iterator[Made]:
    if _stride(node) > 1:
        yield Made("Conv", epochs=2, is_main=True)
        yield of_row("convtranspose-zeros", "Concat", target)
        yield of_row("convtranspose-shuffle", "DepthToSpace", target)


def _transpose(node: Node, target: Target) -> Iterator[Made]:
    perm = node.ints_attribute("perm") or ()
    data = node.input(0)
    shape = data.static_shape if data is not None else None
    if shape is not None and perm and sorted(perm) != list(range(len(shape))):
        return  # no permutation of its axes: shape inference says so
    kept = [axis for axis in perm if shape is None or shape[axis] != 1]
    if kept == sorted(kept) or tuple(perm) in _LAYOUTS:
        yield Made("Transpose", joins=kept == sorted(kept), is_main=True)
    else:
        yield of_row("transpose", "Transpose", target, is_main=True)


def _matmul(node: Node, target: Target) -> Iterator[Made]:
    second = node.input(1)
    if second is None or second.is_constant:
        return
    shape = second.static_shape or (1, 1)
    heads = min(prod(shape[:-2]), _MOST)
    is_second = any(
        (before := maker(t)) is not None and before.op_type == "Softmax"
        for t in node.inputs[:1]
        if t is not None
    )
    if heads > 1:
        older = target.toolchain.startswith("2.")
        count = (1 if is_second else 0) if older else 2
        for _ in range(count):
            yield of_row("matmul-heads", "Split", target)
    for number in range(heads):
        yield of_row("matmul", "Conv", target, is_main=number == 0)


def _softmax(node: Node, target: Target) -> Iterator[Made]:
    yield of_row("softmax", node.op_type, target, is_main=True)


def _concat(node: Node, target: Target) -> Iterator[Made]:
    made = node.output()
    rank = made.rank if made is not None else None
    axis = node.int_attribute("axis", 1)
    if rank and rank > 2 and axis % rank == rank - 1:  # noqa: PLR2004 - the channels of rank 2
        yield of_row("concat-last-axis", "Concat", target, is_main=True)
    elif any(_is_copied(tensor, node) for tensor in node.inputs if tensor is not None):
        yield of_row("concat-copied", "Concat", target, is_main=True)
    else:
        yield Made("Concat", is_main=True)


def _is_copied(tensor: Tensor, node: Node) -> bool:
    """Tell whether a part of a Concat cannot be computed in its place.

    It cannot where a program on the CPU makes it, or where it lies in another Concat already and
    needs no new scale, for which the NPU would write it anew.
    """
    before = maker(tensor)
    if before is not None and before.op_type in RESIZES | {"DepthToSpace"}:
        return True
    if _scale(tensor) != _result_scale(node):
        return False
    return any(reader.op_type in RESIZES for reader in readers(source(tensor)))


def _scale(tensor: Tensor) -> float | None:
    pair = dequantize(tensor)
    return _first(pair.constant(1)) if pair is not None else None


def _result_scale(node: Node) -> float | None:
    made = node.output()
    for reader in made.consumers if made is not None else ():
        if reader.op_type == "QuantizeLinear":
            return _first(reader.constant(1))
    return None


def _first(value: Array | None) -> float | None:
    return float(value.ravel()[0]) if value is not None and value.size else None


def _division(node: Node, target: Target) -> Iterator[Made]:
    second = node.input(1)
    if second is None or second.is_constant:
        return
    yield of_row("division", "Reciprocal", target)
    yield from _elementwise(node, target, "Mul")


def _elementwise(node: Node, target: Target, kind: str = "") -> Iterator[Made]:
    shapes = [t.static_shape for t in node.inputs if t is not None and not t.is_constant]
    known = [shape for shape in shapes if shape]
    if len(known) > 1 and any(_is_row_broadcast(shape, known) for shape in known):
        yield of_row("broadcast", kind or node.op_type, target, is_main=True)
    elif kind:
        yield Made(kind, is_main=True)


def _is_row_broadcast(shape: tuple[int, ...], shapes: list[tuple[int, ...]]) -> bool:
    """Tell whether a value of rank 3 is repeated along its last axis, as in a layer norm."""
    widest = max(dims[-1] for dims in shapes)
    return len(shape) == _IMAGE - 1 and shape[-1] == 1 and widest > 1 and shape[1] > 1


_PATTERNS: Final[Mapping[str, Callable[[Node, Target], Iterator[Made]]]] = {
    "Add": _elementwise,
    "Concat": _concat,
    "ConvTranspose": _transposed,
    "Div": _division,
    "MatMul": _matmul,
    "Mul": _elementwise,
    "Resize": _resize,
    "Softmax": _softmax,
    "Sub": _elementwise,
    "Transpose": _transpose,
    "Upsample": _resize,
}

"""Operators on sequences and signals: ReverseSequence, TfIdfVectorizer, STFT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from npugate.relations.compare import axis_in, same, vector
from npugate.relations.operands import Operands, Relation, shown, type_name

_INFERRED: Final = 9  # from here on onnx infers the body of a Scan


def reverse_sequence(ops: Operands) -> Iterator[str]:
    """ReverseSequence: a length for each sample, axes 0 and 1 for batch and time."""
    time, batch = ops.node.int_attribute("time_axis", 0), ops.node.int_attribute("batch_axis", 1)
    if sorted((time, batch)) != [0, 1]:
        yield f"time_axis is {time} and batch_axis is {batch}, 0 and 1 are wanted"
        return
    count, steps = ops.dim(0, batch), ops.dim(0, time)
    yield from vector(ops, 1, count, "sequence_lens", f"the input has a batch of {count}")
    lengths = ops.ints(1)
    if lengths and steps is not None and not 0 <= min(lengths) <= max(lengths) <= steps:
        yield f"sequence_lens {shown(lengths)} are beyond the {steps} steps of the input"


def tf_idf(ops: Operands) -> Iterator[str]:
    """TfIdfVectorizer: where the n-grams of each length start, within the pool."""
    starts = ops.node.ints_attribute("ngram_counts")
    pool = ops.node.ints_attribute("pool_int64s")
    if not starts:
        return
    if list(starts) != sorted(starts) or starts[0] < 0:
        yield f"ngram_counts {shown(starts)} do not rise from 0"
    elif pool is not None and starts[-1] > len(pool):
        yield f"ngram_counts {shown(starts)} go beyond the pool of {len(pool)}"
    shortest = ops.node.int_attribute("min_gram_length", 1)
    if shortest < 1:
        yield f"min_gram_length is {shortest}, at least 1 is wanted"
    longest = ops.node.int_attribute("max_gram_length", 0)
    if longest < shortest:
        yield f"max_gram_length is {longest}, min_gram_length is {shortest}"
    if longest > len(starts):
        yield f"max_gram_length is {longest}, ngram_counts has {len(starts)} entries"


def split_to_sequence(ops: Operands) -> Iterator[str]:
    """SplitToSequence: the parts add up to the axis."""
    axis = ops.node.int_attribute("axis", 0)
    yield from axis_in("axis", axis, ops.rank(0))
    sizes, total = ops.ints(1), ops.dim(0, axis)
    if sizes and ops.rank(1) == 1 and total is not None and sum(sizes) != total:
        yield f"split {shown(sizes)} adds up to {sum(sizes)}, axis {axis} has {total}"


def scan(ops: Operands) -> Iterator[str]:
    """Scan of opset 8, which onnx does not infer: a body input for each state and each sequence."""
    body = ops.node.subgraphs.get("body")
    if ops.opset >= _INFERRED or body is None:
        return
    given = ops.node.inputs[1:]  # behind the lengths
    states = len(given) - ops.node.int_attribute("num_scan_inputs", 0)
    if len(given) != len(body.inputs) or len(body.outputs) < states:
        yield (
            f"the body has {len(body.inputs)} inputs and {len(body.outputs)} outputs, "
            f"there are {states} states and {len(given) - states} sequences"
        )
        return
    for at, (outer, inner) in enumerate(zip(given, body.inputs, strict=True)):
        if outer is None or outer.shape is None:
            continue
        if outer.dtype and inner.dtype and outer.dtype != inner.dtype:
            named = f"{outer.name!r} is {type_name(outer.dtype)}"
            yield f"{named}, {inner.name!r} of the body is {type_name(inner.dtype)}"
        seen = outer.shape[1:] if at < states else outer.shape[2:]
        if inner.shape is not None and not same(seen, inner.shape):
            named = f"{outer.name!r} gives {shown(seen)}"
            yield f"{named}, {inner.name!r} of the body is {shown(inner.shape)}"


def stft(ops: Operands) -> Iterator[str]:
    """STFT: a step above 0, no frame longer than the signal."""
    step, length = ops.ints(1), ops.ints(3)
    if step and step[0] < 1:
        yield f"frame_step is {step[0]}, at least 1 is wanted"
    frame = ops.dim(2, 0) if ops.given(2) else (length[0] if length else None)
    if ops.given(2) and length and ops.dim(2, 0) not in {None, length[0]}:
        yield f"the window has {ops.dim(2, 0)} elements, frame_length is {length[0]}"
    signal = ops.dim(0, 1)
    if frame is not None and signal is not None and frame > signal:
        yield f"a frame has {frame} elements, the signal has {signal}"


RELATIONS: Final[Mapping[str, Relation]] = {
    "ReverseSequence": reverse_sequence,
    "STFT": stft,
    "Scan": scan,
    "SplitToSequence": split_to_sequence,
    "TfIdfVectorizer": tf_idf,
}

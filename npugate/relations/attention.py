"""Attention and what belongs to it: queries, keys and values, masks, positions, caches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct
from onnx import TensorProto

from npugate.facts.graph import Dim
from npugate.relations.compare import differ, vector
from npugate.relations.operands import Operands, Relation, shown, type_name

_FLAT: Final = 3  # batch, sequence, hidden
_WINDOWED: Final = 25  # from here on a mask may be of another shape, with a window
_SPLIT: Final = 4  # batch, heads, sequence, size of a head


class Heads(Struct, frozen=True):
    """One of query, key and value, split into heads; None where a size is unknown."""

    batch: Dim
    heads: Dim
    steps: Dim
    size: Dim


def attention(ops: Operands) -> Iterator[str]:
    """Attention: one batch, heads that share out, keys and values of one length."""
    mode, modes = ops.node.int_attribute("qk_matmul_output_mode", 0), 4
    if not 0 <= mode < modes:
        yield f"qk_matmul_output_mode is {mode}, 0 to {modes - 1} are wanted"
    ranks = [ops.rank(at) for at in (0, 1, 2)]
    known = [rank for rank in ranks if rank is not None]
    if any(rank not in {_FLAT, _SPLIT} for rank in known) or len(set(known)) > 1:
        yield f"Q, K and V have {', '.join(map(str, known))} axes, 3 or 4 each are wanted"
        return
    if len(known) < len(ranks):
        return
    faults: list[str] = []
    query, key, value = (_heads(ops, at, faults) for at in (0, 1, 2))
    yield from faults
    if faults or query is None or key is None or value is None:
        return
    yield from _agree("size of a head", ("Q", query.size), ("K", key.size))
    yield from _agree("length", ("K", key.steps), ("V", value.steps))
    yield from _agree("number of heads", ("K", key.heads), ("V", value.heads))
    yield from _shared(query.heads, key.heads)
    yield from _one_type(ops)
    if ops.opset < _WINDOWED:
        batch = _number(query.batch)
        yield from _agree("batch", ("Q", query.batch), ("K", key.batch), ("V", value.batch))
        yield from vector(ops, 6, batch, "nonpad_kv_seqlen", f"there are {batch} samples")
    yield from _past(ops, key, value)
    yield from _mask(ops, query, key)


def _number(size: Dim) -> int | None:
    return size if isinstance(size, int) else None


def _shared(queries: Dim, keys: Dim) -> Iterator[str]:
    if not isinstance(queries, int) or not isinstance(keys, int):
        return
    if not keys or queries % keys:
        yield f"{queries} heads of Q do not share {keys} heads of K"


def _one_type(ops: Operands) -> Iterator[str]:
    """Q and V may differ by the signature, and are multiplied with each other's results."""
    first, second = ops.dtype(0), ops.dtype(2)
    if first and second and first != second:
        yield f"Q is {type_name(first)} and V is {type_name(second)}, one type is wanted"


def _heads(ops: Operands, position: int, faults: list[str]) -> Heads | None:
    shape = ops.shape(position)
    if shape is None:
        return None
    if len(shape) == _SPLIT:
        return Heads(*shape)
    name = "q_num_heads" if position == 0 else "kv_num_heads"
    count = ops.node.int_attribute(name, 0)
    hidden = ops.dim(position, 2)
    if count < 1:
        faults.append(f"{name} is {count}, at least 1 is wanted for inputs of 3 axes")
        return None
    if hidden is not None and hidden % count:
        faults.append(f"{ops.name(position)} has {hidden} values, {count} heads do not share them")
        return None
    return Heads(shape[0], count, shape[1], None if hidden is None else hidden // count)


def _agree(what: str, *sizes: tuple[str, Dim]) -> Iterator[str]:
    first, size = sizes[0]
    for name, other in sizes[1:]:
        if differ(size, other):
            yield f"the {what} of {first} is {size}, that of {name} is {other}"
            return


def _past(ops: Operands, key: Heads, value: Heads) -> Iterator[str]:
    """Past keys and values go together and have the heads of the new ones."""
    if ops.given(4) != ops.given(5):
        yield "past_key and past_value are given together or not at all"
        return
    for at, now, name in ((4, key, "past_key"), (5, value, "past_value")):
        shape = ops.shape(at)
        if shape is None:
            continue
        if len(shape) != _SPLIT:
            yield f"{name} {ops.name(at)} has {len(shape)} axes, {_SPLIT} are wanted"
            return
        wanted = (now.batch, now.heads, shape[2], now.size)
        if any(differ(a, b) for a, b in zip(shape, wanted, strict=True)):
            yield f"{name} {ops.name(at)} is {shown(shape)}, {shown(wanted)} is wanted"
            return
    first, second = ops.shape(4), ops.shape(5)
    if first is not None and second is not None and differ(first[2], second[2]):
        yield f"past_key has {first[2]} steps and past_value has {second[2]}"


def _mask(ops: Operands, query: Heads, key: Heads) -> Iterator[str]:
    """The mask broadcasts to batch, heads, queries, keys."""
    mask = ops.shape(3)
    if mask is None or ops.opset >= _WINDOWED:
        return
    if len(mask) < 2:  # noqa: PLR2004 - queries and keys
        if ops.dtype(0) == TensorProto.FLOAT:  # in other types it is computed step by step
            yield f"the mask {ops.name(3)} has {len(mask)} axes, 2 to {_SPLIT} are wanted"
        return
    if len(mask) > _SPLIT:
        yield f"the mask {ops.name(3)} has {len(mask)} axes, {_SPLIT} at most are wanted"
        return
    past = ops.dim(4, 2) if ops.given(4) else 0
    total = key.steps + past if isinstance(key.steps, int) and past is not None else None
    wanted: tuple[Dim, ...] = (query.batch, query.heads, query.steps, total)
    if differ(mask[-2], wanted[-2]) or differ(mask[-1], wanted[-1]):
        yield (
            f"the mask {ops.name(3)} is {shown(mask)}, onnxruntime takes only "
            f"{shown(wanted[-2:])} for its last two axes"
        )
        return
    pairs = zip(reversed(mask), reversed(wanted), strict=False)
    if any(differ(a, b) and a != 1 for a, b in pairs):
        yield f"the mask {ops.name(3)} {shown(mask)} does not broadcast to {shown(wanted)}"


def rotary_embedding(ops: Operands) -> Iterator[str]:
    """RotaryEmbedding: caches of one shape, positions for each step."""
    value, cos, sin = ops.shape(0), ops.shape(1), ops.shape(2)
    if value is not None and len(value) not in {_FLAT, _SPLIT}:
        yield f"the input {ops.name(0)} has {len(value)} axes, {_FLAT} or {_SPLIT} are wanted"
        return
    if cos is not None and sin is not None and shown(cos) != shown(sin):
        yield f"cos_cache is {shown(cos)} and sin_cache is {shown(sin)}"
        return
    wanted = 2 if ops.given(3) else _FLAT
    if cos is not None and len(cos) != wanted:
        by = "with" if ops.given(3) else "without"
        yield f"cos_cache {shown(cos)} has {len(cos)} axes, {wanted} are wanted {by} position_ids"
        return
    if value is None:
        return
    steps = value[-2] if len(value) == _SPLIT else value[1]
    yield from _positions(ops, value[0], steps)
    if cos is not None and not ops.given(3) and (differ(cos[0], value[0]) or differ(cos[1], steps)):
        yield f"cos_cache {shown(cos)} has another batch or length than {value[0]} and {steps}"
    yield from _half(ops, value, cos)


def _positions(ops: Operands, batch: Dim, steps: Dim) -> Iterator[str]:
    shape = ops.shape(3)
    if shape is None:
        return
    if len(shape) != 2 or differ(shape[0], batch) or differ(shape[1], steps):  # noqa: PLR2004 - batch, steps
        yield f"position_ids {ops.name(3)} is {shown(shape)}, {shown((batch, steps))} is wanted"
        return
    held, ids = ops.dim(1, 0), ops.ints(3)
    if held is not None and ids and not 0 <= min(ids) <= max(ids) < held:
        yield f"position_ids go from {min(ids)} to {max(ids)}, the caches hold {held}"


def _half(ops: Operands, value: tuple[Dim, ...], cos: tuple[Dim, ...] | None) -> Iterator[str]:
    """The caches hold half of what is turned of each head."""
    turned = ops.node.int_attribute("rotary_embedding_dim", 0)
    size = value[-1]
    if len(value) == _FLAT:
        heads = ops.node.int_attribute("num_heads", 0)
        if heads < 1:
            yield f"num_heads is {heads}, at least 1 is wanted for an input of 3 axes"
            return
        if isinstance(size, int) and size % heads:
            yield f"{ops.name(0)} has {size} values, {heads} heads do not share them"
            return
        size = size // heads if isinstance(size, int) else None
    if isinstance(size, int) and turned > size:
        yield f"rotary_embedding_dim is {turned}, a head has {size} values"
        return
    wanted = turned or size
    if cos is not None and isinstance(wanted, int) and differ(cos[-1], wanted // 2):
        yield f"cos_cache {shown(cos)} holds {cos[-1]} angles, {wanted // 2} are wanted"


def tensor_scatter(ops: Operands) -> Iterator[str]:
    """TensorScatter: updates that fit the cache along every axis but one."""
    cache, update = ops.shape(0), ops.shape(1)
    axis = ops.node.int_attribute("axis", -2)
    if cache is None or update is None:
        return
    if len(cache) != len(update):
        yield f"the update {shown(update)} and the cache {shown(cache)} differ in rank"
        return
    if not -len(cache) < axis < len(cache) or axis % len(cache) == 0:
        yield f"axis is {axis}, the cache has axes 1 to {len(cache) - 1} behind its batch"
        return
    for at, (size, given) in enumerate(zip(cache, update, strict=True)):
        along = at == axis % len(cache)
        larger = isinstance(size, int) and isinstance(given, int) and given > size
        if larger if along else differ(size, given):
            yield f"the update {shown(update)} does not fit axis {at} of {shown(cache)}"
            return
    yield from _written(ops, cache[axis % len(cache)], update[axis % len(cache)])


def _written(ops: Operands, size: Dim, given: Dim) -> Iterator[str]:
    count, batch = ops.shape(2), ops.dim(0, 0)
    if count is not None and (len(count) != 1 or differ(count[0], batch)):
        yield f"write_indices {ops.name(2)} is {shown(count)}, [{batch}] is wanted"
        return
    places = ops.ints(2)
    linear = ops.node.text_attribute("mode", "linear") == "linear"
    if not places or not isinstance(size, int) or not isinstance(given, int):
        return
    room = size - given if linear else size - 1
    if min(places) < 0 or max(places) > room:
        yield f"write_indices {shown(places)} are beyond 0 to {room}"


RELATIONS: Final[Mapping[str, Relation]] = {
    "Attention": attention,
    "RotaryEmbedding": rotary_embedding,
    "TensorScatter": tensor_scatter,
}

"""Put together what one call of the tool left: its text, its report files, its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Final

from msgspec.structs import replace

from npugate import log
from npugate.compilers.stedgeai import info, text
from npugate.compilers.stedgeai.info import InfoError
from npugate.report.compiled import CompiledEpoch, CompiledPool, CompiledRun, EpochCounts
from npugate.target import mpool
from npugate.target.memories import BoardError

_KEPT: Final = ("pools", "epochs", "counts", "warnings")  # put together by functions of their own


def read(stdout: bytes, files: Mapping[str, bytes]) -> CompiledRun | None:
    """Return everything that the tool printed of its last run; None when there is none.

    Args:
        stdout: what the tool printed.
        files: its reports by name; one that is damaged is left out, with a word in the log.
    """
    printed = text.read(stdout)
    found = [printed[-1]] if printed else []
    for name, data in sorted(files.items()):
        if name.endswith("_report.txt"):
            found += text.read(data)[-1:]
        elif name.endswith(".json"):
            found += _json(name, data)
        elif name.endswith(".mpool"):
            found += _memories(name, data)
    return reduce(merged, found) if found else None


def _json(name: str, data: bytes) -> Iterator[CompiledRun]:
    try:
        yield info.read(data)
    except InfoError as error:
        log.warning(f"{name}: {error}")


def _memories(name: str, data: bytes) -> Iterator[CompiledRun]:
    """Yield the memories that the compiler was given; a run that failed tells no others."""
    try:
        board = mpool.parse(data, name)
    except BoardError as error:
        log.warning(str(error))
        return
    yield CompiledRun(
        pools=tuple(
            CompiledPool(
                bank.name,
                bank.address,
                bank.size_bytes,
                is_exact=True,
                is_writable=bank.is_writable,
            )
            for bank in board.banks
        )
    )


def merged(first: CompiledRun, second: CompiledRun) -> CompiledRun:
    """Return two accounts of one run as one; where both tell a figure, the first is kept."""
    values: dict[str, object] = {}
    for name in CompiledRun.__struct_fields__:
        mine, other = getattr(first, name), getattr(second, name)
        if name not in _KEPT and mine in (None, ""):
            values[name] = other
    return replace(
        first,
        **values,  # names and values of its own fields
        pools=tuple(_pools(first.pools, second.pools)),
        counts=_counts(first.counts, second.counts),
        epochs=_epochs(first.epochs, second.epochs),
        warnings=tuple(dict.fromkeys((*first.warnings, *second.warnings))),
    )


def _pools(first: Sequence[CompiledPool], second: Sequence[CompiledPool]) -> Iterator[CompiledPool]:
    """Yield the memories with exact sizes where JSON has them and the shares that text has."""
    if not first or not second:
        yield from first or second
        return
    others = {pool.name: pool for pool in second}
    for pool in first:
        other = others.get(pool.name, pool)
        has_figures = pool.is_exact or other.used_bytes is None
        text_side, exact = (other, pool) if has_figures else (pool, other)
        yield replace(
            exact,
            weight_bytes=_either(text_side.weight_bytes, exact.weight_bytes),
            activation_bytes=_either(text_side.activation_bytes, exact.activation_bytes),
        )


def _either(first: int | None, second: int | None) -> int | None:
    return second if first is None else first


def _counts(first: EpochCounts | None, second: EpochCounts | None) -> EpochCounts | None:
    if first is None or second is None:
        return first or second
    return EpochCounts(
        first.total,
        first.software,
        _either(first.hybrid, second.hybrid),
        _either(first.hardware, second.hardware),
        _either(first.blobs, second.blobs),
    )


def _epochs(
    first: tuple[CompiledEpoch, ...], second: tuple[CompiledEpoch, ...]
) -> tuple[CompiledEpoch, ...]:
    """Return the rows that say more: those that name the operators of every epoch."""
    return max(first, second, key=lambda rows: sum(1 for row in rows if row.operators))

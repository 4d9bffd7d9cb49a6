"""Lay buffers that live for some epochs into the memories of a board, as the compiler does.

The rule was read off the compiler's own plans (``c_info.json`` of five networks): the buffer that
takes the most memory for the longest comes first; it goes to the lowest free offset of the first
memory that has one. When no single memory does, the memories that lie behind one another on the
chip count as one; what does not fit there goes outside. All memories are windows on one address
space, so a buffer across several of them is seen by all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from npugate.report.estimate import Buffer
from npugate.target.memories import Bank, Board

ALIGNMENT: Final = 8
"""Bytes; every offset in the compiler's plans is a multiple of it."""
RESERVED: Final = 8
"""Bytes at the end of a window that stay free: Core 2.0 declares its memories that much smaller."""


class Window(Struct, frozen=True):
    """A range of addresses into which a buffer may go, whole."""

    start: int
    end: int


class Plan(Struct, frozen=True):
    """Where the buffers are.

    Attributes:
        buffers: in the order of their births; what found no place has an empty pool.
        used: bytes up to the highest that is used, by memory.
    """

    buffers: tuple[Buffer, ...]
    used: Mapping[str, int]


class _Layout:
    """What has been placed: times and addresses in columns, since thousands are compared."""

    def __init__(self, most: int) -> None:
        self._rows = np.empty((4, most), np.int64)
        self._count = 0

    def conflicts(self, buffer: Buffer) -> list[tuple[int, int]]:
        """Return the (start, end) addresses that are taken while a buffer is alive, in order."""
        first, last, start, end = self._rows[:, : self._count]
        alive = (first <= buffer.last) & (last >= buffer.first)
        order = np.argsort(start[alive], kind="stable")
        starts: list[int] = start[alive][order].tolist()
        ends: list[int] = end[alive][order].tolist()
        return list(zip(starts, ends, strict=True))

    def add(self, buffer: Buffer, start: int) -> None:
        end = start + buffer.size_bytes
        self._rows[:, self._count] = buffer.first, buffer.last, start, end
        self._count += 1


def place(buffers: Iterable[Buffer], board: Board) -> Plan:
    """Lay buffers into the memories of a board.

    Args:
        buffers: those that share the memory of another are laid with it.
        board: whose writable memories are taken.
    """
    roots, followers = _grouped(buffers)
    windows = tuple(_windows(board))
    layout = _Layout(len(roots))
    placed: list[Buffer] = []
    for root in sorted(roots, key=_weight):
        start = _address(root, windows, layout)
        if start is not None:
            layout.add(root, start)
        for buffer in followers[root.tensor]:
            bank = None if start is None else _bank_at(start, board)
            pool, offset = (bank.name, (start or 0) - bank.address) if bank else ("", 0)
            placed.append(replace(buffer, pool=pool, offset=offset))
    placed.sort(key=lambda item: (item.first, item.last, item.tensor))
    return Plan(tuple(placed), used(placed, board))


def live(buffers: Iterable[Buffer], epochs: int) -> tuple[int, ...]:
    """Return the bytes alive in each epoch; what shares memory counts once."""
    change = [0] * (epochs + 1)
    for root in _grouped(buffers)[0]:
        change[min(max(root.first, 0), epochs)] += root.size_bytes
        change[min(root.last + 1, epochs)] -= root.size_bytes
    return tuple(accumulate(change))[:epochs]


def used(buffers: Iterable[Buffer], board: Board) -> dict[str, int]:
    """Return the bytes up to the highest that is used, by memory, in the board's order."""
    ends: dict[str, int] = {bank.name: 0 for bank in board.banks if bank.is_writable}
    address = {bank.name: bank.address for bank in board.banks}
    for buffer in buffers:
        if buffer.pool:
            start = address[buffer.pool] + buffer.offset
            for bank in board.banks:
                end = min(start + buffer.size_bytes, bank.end)
                if bank.is_writable and max(start, bank.address) < end:
                    ends[bank.name] = max(ends[bank.name], end - bank.address)
    return ends


def _grouped(buffers: Iterable[Buffer]) -> tuple[list[Buffer], dict[str, list[Buffer]]]:
    """Return one buffer for each piece of memory, as large and long as all in it, and all in it."""
    groups: dict[str, list[Buffer]] = {}
    for buffer in buffers:
        groups.setdefault(buffer.shares or buffer.tensor, []).append(buffer)
    roots = [
        Buffer(
            name,
            max(item.size_bytes for item in group),
            min(item.first for item in group),
            max(item.last for item in group),
        )
        for name, group in groups.items()
    ]
    return roots, groups


def _weight(buffer: Buffer) -> tuple[int, int, str]:
    """Order buffers: those that take the most memory for the longest first."""
    span = buffer.last - buffer.first + 1
    return -buffer.size_bytes * span, buffer.first, buffer.tensor


def _windows(board: Board) -> Iterator[Window]:
    """Yield the windows in the order in which they are tried."""
    writable = [bank for bank in board.banks if bank.is_writable]
    inside = [bank for bank in writable if not bank.is_external]
    longest = max(inside, key=lambda bank: bank.cycles_per_byte, default=None)
    for bank in inside:
        if bank is not longest or len(inside) == 1:
            yield Window(bank.address, bank.end)
    yield from _runs(inside)
    for bank in writable:
        if bank.is_external:
            yield Window(bank.address, bank.end)


def _runs(banks: Sequence[Bank]) -> Iterator[Window]:
    """Yield each stretch of memories that lie behind one another."""
    start = end = None
    for bank in sorted(banks, key=lambda item: item.address):
        if bank.address != end:
            if start is not None and end is not None:
                yield Window(start, end)
            start = bank.address
        end = bank.end
    if start is not None and end is not None:
        yield Window(start, end)


def _address(buffer: Buffer, windows: Iterable[Window], layout: _Layout) -> int | None:
    """Return the first free address for a buffer; None when there is none."""
    taken = layout.conflicts(buffer)
    for window in windows:
        start = window.start
        for begin, end in taken:
            if end <= start:
                continue
            if begin >= start + buffer.size_bytes:
                break
            start = -(-end // ALIGNMENT) * ALIGNMENT
        if start + buffer.size_bytes <= window.end - RESERVED:
            return start
    return None


def _bank_at(address: int, board: Board) -> Bank | None:
    return next((b for b in board.banks if b.address <= address < b.end), None)

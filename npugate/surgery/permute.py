"""Split a permutation of many axes into the fewest transposes of few axes.

Axes of size 1 are dropped and axes that stay neighbours are merged first. What is left is a
shortest-path problem: a state is an order of the axes, a move cuts it into at most ``k`` blocks of
neighbours and permutes the blocks, which is one Reshape and one Transpose. Moves depend on
positions only, so one breadth-first search from the identity serves every permutation of ``n``
axes; above six axes a search from both ends is cheaper than the table. Each move carries the whole
tensor, so the fewest moves are the cheapest.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Final

Order = tuple[int, ...]
Cut = tuple[tuple[int, ...], Order]
"""Positions where the axes are cut, and the order of the blocks between them."""

MOST_AXES: Final = 8
_TABLE_AXES: Final = 6


def plan(dims: Sequence[int], perm: Sequence[int], k: int) -> list[tuple[Order, Order]]:
    """Return the transposes that make a permutation.

    Args:
        dims: shape of the tensor.
        perm: as the attribute of Transpose.
        k: most axes that one transpose may have, at least 3.

    Returns:
        (dims, perm) of each step: reshape to dims, then transpose by perm; reshape at the end.
        Empty when the elements keep their order.

    Raises:
        ValueError: more than ``MOST_AXES`` axes are left after merging.
    """
    merged, order = coalesce(dims, perm)
    count = len(merged)
    if order == tuple(range(count)):
        return []
    if count <= k:
        return [(merged, order)]
    if count > MOST_AXES:
        raise ValueError(f"a permutation of {count} axes that cannot be merged")
    steps: list[tuple[Order, Order]] = []
    state = tuple(range(count))
    for cuts, blocks in _decompose(count, order, k):
        edges = (0, *cuts, count)
        parts = [state[a:b] for a, b in itertools.pairwise(edges)]
        steps.append((tuple(prod(merged[axis] for axis in part) for part in parts), blocks))
        state = tuple(axis for block in blocks for axis in parts[block])
    return steps


def coalesce(dims: Sequence[int], perm: Sequence[int]) -> tuple[Order, Order]:
    """Drop axes of size 1 and merge axes that stay neighbours; return (dims, perm)."""
    runs: list[list[int]] = []
    for axis in (axis for axis in perm if dims[axis] != 1):
        between = range(runs[-1][-1] + 1, axis) if runs else ()
        if runs and runs[-1][-1] < axis and all(dims[skipped] == 1 for skipped in between):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    order = sorted(range(len(runs)), key=lambda index: runs[index][0])
    merged = tuple(prod(dims[axis] for axis in runs[index]) for index in order)
    return merged, tuple(order.index(index) for index in range(len(runs)))


@functools.cache
def _moves(count: int, k: int) -> Mapping[Order, Cut]:
    """Return every permutation of positions that one transpose of at most k blocks makes."""
    found: dict[Order, Cut] = {}
    for size in range(2, min(k, count) + 1):
        for cuts in itertools.combinations(range(1, count), size - 1):
            edges = (0, *cuts, count)
            parts = [range(a, b) for a, b in itertools.pairwise(edges)]
            for blocks in itertools.permutations(range(size)):
                if all(b != a + 1 for a, b in itertools.pairwise(blocks)):  # else fewer blocks do
                    found.setdefault(tuple(x for i in blocks for x in parts[i]), (cuts, blocks))
    return found


def _apply(state: Order, move: Order) -> Order:
    return tuple(state[position] for position in move)


def _inverse(move: Order) -> Order:
    return tuple(sorted(range(len(move)), key=move.__getitem__))


@functools.cache
def _decompose(count: int, target: Order, k: int) -> tuple[Cut, ...]:
    """Return a shortest list of moves from the identity to a target."""
    moves = _moves(count, k)
    path = _from_table(count, target, k) if count <= _TABLE_AXES else _from_ends(count, target, k)
    return tuple(moves[move] for move in path)


@functools.cache
def _table(count: int, k: int) -> Mapping[Order, tuple[Order, Order]]:
    """Return for every order the one before it on a shortest path, and the move."""
    start = tuple(range(count))
    parents: dict[Order, tuple[Order, Order]] = {start: (start, ())}
    frontier = [start]
    while frontier:
        frontier = _grow(parents, frontier, _moves(count, k))
    return parents


def _grow(
    parents: dict[Order, tuple[Order, Order]], frontier: Iterable[Order], moves: Iterable[Order]
) -> list[Order]:
    """Add every state one move further; return the new ones."""
    new: list[Order] = []
    for state in frontier:
        for move in moves:
            reached = _apply(state, move)
            if reached not in parents:
                parents[reached] = (state, move)
                new.append(reached)
    return new


def _walk(parents: Mapping[Order, tuple[Order, Order]], state: Order) -> list[Order]:
    """Return the moves that were made from the start of a search to a state, last one first."""
    moves: list[Order] = []
    while parents[state][1]:
        state, move = parents[state]
        moves.append(move)
    return moves


def _from_table(count: int, target: Order, k: int) -> list[Order]:
    return _walk(_table(count, k), target)[::-1]


def _from_ends(count: int, target: Order, k: int) -> list[Order]:
    """Search from the identity and from the target at once."""
    start = tuple(range(count))
    forward: dict[Order, tuple[Order, Order]] = {start: (start, ())}
    backward: dict[Order, tuple[Order, Order]] = {target: (target, ())}
    ahead, behind = [start], [target]
    moves = list(_moves(count, k))
    undone = [_inverse(move) for move in moves]
    while not (meeting := forward.keys() & backward.keys()):
        if len(ahead) <= len(behind):
            ahead = _grow(forward, ahead, moves)
        else:
            behind = _grow(backward, behind, undone)
    state = min(meeting)
    return [*_walk(forward, state)[::-1], *(_inverse(move) for move in _walk(backward, state))]

"""Put the estimators together; rules, reports and the command all take their figures from here."""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from npugate.estimate import chip, timing
from npugate.estimate.compiled_graph import CompiledGraph, compile_graph
from npugate.estimate.counting import compiler_macs, plain_macs
from npugate.estimate.judgement import forecast, judge
from npugate.estimate.memory import lower_bound as memory_bound
from npugate.estimate.memory import plan
from npugate.estimate.placement import place
from npugate.facts import Facts, Node
from npugate.report.estimate import Epoch, Estimate, Memory, OperatorPlace, Time
from npugate.target import boards
from npugate.target.memories import Board
from npugate.target.values import Target

MOST_NODES: Final = 8_000
"""Larger graphs are not estimated: a plan compares every buffer with every other."""
_Key = tuple[str, str, Board]
_GRAPHS: Final[WeakKeyDictionary[Facts, dict[_Key, CompiledGraph]]] = WeakKeyDictionary()
_EPOCHS: Final[WeakKeyDictionary[Facts, dict[_Key, tuple[Epoch, ...]]]] = WeakKeyDictionary()
_PLACES: Final[WeakKeyDictionary[Facts, dict[_Key, tuple[tuple[Node, OperatorPlace], ...]]]] = (
    WeakKeyDictionary()
)
_TIMED: Final[WeakKeyDictionary[Facts, dict[_Key, tuple[tuple[Epoch, ...], Time | None]]]] = (
    WeakKeyDictionary()
)
_MEMORY: Final[WeakKeyDictionary[Facts, dict[_Key, Memory | None]]] = WeakKeyDictionary()


def board_of(target: Target) -> Board:
    """Return the board that a target is judged with."""
    return target.board or boards.load(boards.DEFAULT_BOARD)


def compiled(facts: Facts, target: Target) -> CompiledGraph:
    """Return what becomes of each node; computed once for each model and target."""
    known = _GRAPHS.setdefault(facts, {})
    key = _key(target)
    if key not in known:
        known[key] = compile_graph(facts, target)
    return known[key]


def epochs(facts: Facts, target: Target) -> tuple[Epoch, ...]:
    """Return the epochs of a model; computed once for each model and target."""
    known = _EPOCHS.setdefault(facts, {})
    key = _key(target)
    if key not in known:
        known[key] = place(compiled(facts, target))
    return known[key]


def lower_bound(facts: Facts, target: Target) -> int:
    """Return the bytes alive at the peak; a tensor of unknown shape counts as nothing."""
    return memory_bound(compiled(facts, target))


def memory(facts: Facts, target: Target) -> Memory | None:
    """Return the memory of a model; computed once for each model and target.

    None without an accelerator, for a huge graph, and where an activation has no known shape.
    """
    known = _MEMORY.setdefault(facts, {})
    key = _key(target)
    if key not in known:
        known[key] = _memory(facts, target)
    return known[key]


def estimate(facts: Facts, target: Target) -> Estimate | None:
    """Return all that is estimated of a model; None without an accelerator and for a huge graph.

    Args:
        facts: of the model.
        target: with the board and the toolchain.
    """
    if not target.npu or len(facts.main.nodes) > MOST_NODES:
        return None
    found = memory(facts, target)
    placed, took = timed(facts, target)
    notes = () if found is not None else ("the shapes of the activations are not all known",)
    return Estimate(
        target.name,
        target.toolchain,
        board_of(target).name,
        placed,
        plain_macs(facts),
        compiler_macs(facts, target),
        found,
        took,
        notes,
    )


def timed(facts: Facts, target: Target) -> tuple[tuple[Epoch, ...], Time | None]:
    """Return the epochs with their times, and the time of the whole; without memory there is none.

    The clocks are those of ST's validation firmware and published figures, the highest.
    """
    known = _TIMED.setdefault(facts, {})
    key = _key(target)
    if key not in known:
        placed, found = epochs(facts, target), memory(facts, target)
        known[key] = (
            (placed, None)
            if found is None
            else timing.time(placed, found, chip.clocks("overdrive"))
        )
    return known[key]


def operators(facts: Facts, target: Target) -> tuple[tuple[Node, OperatorPlace], ...]:
    """Return every node of every graph with its judgement; computed once.

    Of a model that is not quantised it is a forecast, and so it is of a huge graph and of bodies
    of control flow, which the compiler's model does not follow.
    """
    known = _PLACES.setdefault(facts, {})
    key = _key(target)
    if key not in known:
        nodes, main = facts.nodes, facts.main.nodes
        if facts.quantization.form == "float" or len(main) > MOST_NODES:
            found = forecast(nodes, target)
        else:
            others = (node for node in nodes if node.graph is not facts.main)
            nodes = (*main, *(node for node in nodes if node.graph is not facts.main))
            found = (
                *judge(compiled(facts, target), timed(facts, target)[0]),
                *forecast(others, target),
            )
        known[key] = tuple(zip(nodes, found, strict=True))
    return known[key]


def is_known(facts: Facts) -> bool:
    """Tell whether the shape of every activation of the main graph is known."""
    return all(
        tensor.static_shape is not None
        for tensor in facts.main.tensors.values()
        if not tensor.is_constant and tensor.kind in {"input", "node"}
    )


def _memory(facts: Facts, target: Target) -> Memory | None:
    if not target.npu or len(facts.main.nodes) > MOST_NODES or not is_known(facts):
        return None
    return plan(compiled(facts, target), epochs(facts, target), board_of(target))


def _key(target: Target) -> _Key:
    return target.name, target.toolchain, board_of(target)

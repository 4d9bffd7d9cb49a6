"""What the compiler makes of each node of a graph, said once.

Placement, memory and time, and through ``npugate.api`` the rules, all read it from here: whether a
node vanishes, runs in the epochs of another one or in its own, on which engine, and what it writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from npugate.estimate import chip
from npugate.estimate.convolution import parts
from npugate.estimate.counting import macs
from npugate.estimate.integers import float_reasons
from npugate.estimate.lives import CHAINED
from npugate.estimate.lowering import Made, lower
from npugate.estimate.scratch import keeps_products, scratch
from npugate.estimate.window import window_of
from npugate.facts import Facts, Node, Tensor
from npugate.facts.elements import is_folded, is_given_out, readers, runs, source, swish_gate
from npugate.operators import CONVERSIONS, FUSED
from npugate.report.estimate import Access, Engine, Window
from npugate.target.values import Target


class Fate(StrEnum):
    """What becomes of a node."""

    CONSTANT = "constant"  # computed while compiling
    VIEW = "view"  # another name or shape of the same bytes
    CONVERSION = "conversion"  # a scale, which its neighbours take over
    INNER = "inner"  # runs in the epoch of the product that reads it; its result is never written
    FUSED = "fused"  # runs in the epoch of what it reads, whose own result is never written
    JOINED = "joined"  # runs in the epoch of what it reads, whose result is written all the same
    OWN = "own"  # has epochs of its own


class CompiledNode(Struct, frozen=True):
    """What the compiler makes of one node.

    Attributes:
        node: of the model.
        fate: what becomes of it.
        is_integer: it is computed in integers.
        is_converted: it is computed in float in a quantised model, between conversions.
        operators: of the compiler; none where nothing runs.
        lead: the node in whose epochs it runs; itself where it has its own.
        scratch: what is written to memory before its result.
        window: of a convolution, pool or matrix product.
        macs: multiply-accumulates.
        why_float: what keeps it from integers, in a quantised model.
    """

    node: Node
    fate: Fate
    is_integer: bool = False
    is_converted: bool = False
    operators: tuple[Made, ...] = ()
    lead: Node | None = None
    scratch: tuple[Access, ...] = ()
    window: Window | None = None
    macs: int = 0
    why_float: str = ""

    @property
    def runs(self) -> bool:
        """Tell whether anything of it is left in the compiled network."""
        return bool(self.operators)

    @property
    def engine(self) -> Engine:
        """Where its result is computed."""
        return self.operators[-1].engine if self.operators else Engine.NPU


class CompiledGraph(Struct, frozen=True):
    """The main graph as the compiler has it.

    Attributes:
        facts: of the model.
        target: for which it is compiled.
        nodes: every node of the main graph, in running order.
    """

    facts: Facts
    target: Target
    nodes: tuple[CompiledNode, ...]

    @property
    def is_float(self) -> bool:
        """Tell whether the model is not quantised at all."""
        return self.facts.quantization.form == "float"

    def running(self) -> Iterator[CompiledNode]:
        """Yield what is left of the nodes in the compiled network, in running order."""
        return (item for item in self.nodes if item.runs)


_DIVISION: Final = "division"
"""Its reciprocal is computed in float, though the operator has all scales."""


def compile_graph(facts: Facts, target: Target) -> CompiledGraph:
    """Return what the compiler makes of the main graph.

    Args:
        facts: of the model; operators of unknown shape get no multiply-accumulates.
        target: its table of operators and its toolchain decide.
    """
    builder = _Builder(facts, target, float_reasons(facts))
    return CompiledGraph(facts, target, tuple(builder.add(node) for node in facts.main.nodes))


class _Chain(Struct):
    """The nodes that run in the epochs of one: their kinds, and where those epochs are."""

    lead: Node
    order: int
    engine: Engine
    window: Window | None
    kinds: list[str] = field(default_factory=list)


class _Builder(Struct):
    """The chains so far, by the node whose result they make."""

    facts: Facts
    target: Target
    reasons: Mapping[int, str]
    chains: dict[int, _Chain] = field(default_factory=dict)

    def add(self, node: Node) -> CompiledNode:
        """Return what a node becomes, after all that it reads."""
        if not runs(node):
            return CompiledNode(node, _vanished(node))
        is_quantised = self.facts.quantization.form != "float"
        why_float = self.reasons.get(id(node), "")
        is_integer = is_quantised and not why_float
        operators = lower(node, self.target, is_integer=is_integer)
        is_converted = is_quantised and (
            not is_integer or any(o.rule == _DIVISION for o in operators)
        )
        window = window_of(node)
        chain = self._chain(node) if any(o.joins for o in operators) else None
        fate = Fate.OWN if chain is None else self._fate(node, chain)
        if chain is None:
            chain = _Chain(node, len(self.chains), operators[-1].engine, window)
        chain.kinds.append(node.op_type)
        self.chains[id(node)] = chain
        written = scratch(node, self.target.toolchain, is_float=is_converted)
        return CompiledNode(
            node, fate, is_integer, is_converted, operators, chain.lead,
            tuple(written) if is_quantised else (), window, macs(node), why_float,
        )  # fmt: skip

    def _chain(self, node: Node) -> _Chain | None:
        """Return the epochs that a node runs in: the last that make what it reads.

        Nothing else may read what those epochs make, or it has to be written out.
        """
        roots = [source(t) for t in node.inputs if t is not None and not t.is_constant]
        made = [(root, self.chains.get(id(root.producer))) for root in roots]
        found = [(root, chain) for root, chain in made if chain is not None]
        if not found or len(found) != len(made):
            return None
        root, chain = max(found, key=lambda item: item[1].order)
        return chain if chain.engine is Engine.NPU and _is_only_reader(root, node) else None

    def _fate(self, node: Node, chain: _Chain) -> Fate:
        """Tell whether what a node reads is written, when it runs in the epochs that make it."""
        read = node.input(0)
        is_alone = read is not None and {id(n) for n in readers(source(read))} == {id(node)}
        if node.op_type in FUSED:
            if is_alone:
                return Fate.FUSED
            return Fate.JOINED if keeps_products(self.target.toolchain) else Fate.INNER
        if node.op_type == "MaxPool" and is_alone:
            is_whole = chain.window is None or _is_whole(chain.window)
            only = set(chain.kinds) <= FUSED | {"Conv"}
            return Fate.FUSED if is_whole and only else Fate.JOINED
        return Fate.JOINED


def _vanished(node: Node) -> Fate:
    if is_folded(node):
        return Fate.CONSTANT
    return Fate.CONVERSION if node.op_type in CONVERSIONS else Fate.VIEW


def _is_whole(window: Window) -> bool:
    return parts(window.kernel, window.strides, chip.units()) <= CHAINED


def _is_only_reader(root: Tensor, node: Node) -> bool:
    """Tell whether a node alone reads a value; both operators of a swish count as one."""
    if is_given_out(root):
        return False
    others = [reader for reader in readers(root) if reader is not node]
    if node.op_type == "Mul":
        gate = swish_gate(node)
        return all(reader is gate for reader in others)
    return all(swish_gate(reader) is node for reader in others)

"""Estimates and graphs made by hand, of any size, for the tests of what draws them."""

from __future__ import annotations

from npugate.findings.values import Location
from npugate.report.estimate import (
    Access,
    Buffer,
    Engine,
    Epoch,
    Estimate,
    Fit,
    Interval,
    Memory,
    Operator,
    Pool,
    Time,
)
from npugate.report.graph_view import GraphView, ViewEdge, ViewNode

_BLOCK = (
    ("Conv", Engine.NPU),
    ("Relu", Engine.NPU),
    ("Conv", Engine.NPU),
    ("Add", Engine.NPU),
    ("MaxPool", Engine.NPU),
    ("Resize", Engine.CPU),
    ("Softmax", Engine.HYBRID),
)
_KIB = 1024
REASON = "the NPU has no Resize of this kind"
ADVICE = "use a transposed convolution"


def graph(count: int, blocks_of: int = 7, name: str = "{scope}/{op}_{n}") -> GraphView:
    """Return a chain with shortcuts, in modules of some nodes each."""
    nodes = []
    for n in range(count):
        op = _BLOCK[n % len(_BLOCK)][0]
        scope = f"stage{n // (blocks_of * 6)}/block{n // blocks_of}"
        label = name.format(scope=scope, op=op, n=n)
        nodes.append(ViewNode("", label, op, scope, ("int8[1,16,32,32]",)))
    edges = [ViewEdge(n - 1, n) for n in range(1, count)]
    edges += [ViewEdge(n - 3, n) for n in range(3, count, blocks_of)]
    return GraphView(tuple(nodes), tuple(edges))


def estimate(view: GraphView, *, memory: bool = True, time: bool = True) -> Estimate:
    """Return an estimate of a graph: an epoch a node, figures that differ from step to step."""
    epochs = tuple(_epoch(index, node, timed=time) for index, node in enumerate(view.nodes))
    likely = sum(e.microseconds.likely for e in epochs if e.microseconds)
    return Estimate(
        "stm32n6",
        "2.2",
        "stm32n6570-dk",
        epochs,
        sum(epoch.macs for epoch in epochs),
        sum(epoch.macs for epoch in epochs) + 1000,
        _memory(epochs) if memory else None,
        Time(Interval(likely * 0.8, likely, likely * 1.3), 0.7, 0.3, likely * 800, notes=("n = 4",))
        if time
        else None,
        () if memory and time else ("the shape of 'x' is not known",),
    )


def _epoch(index: int, node: ViewNode, *, timed: bool) -> Epoch:
    engine = _BLOCK[index % len(_BLOCK)][1]
    place = Location(node.graph, node.label, node.op_type)
    off = engine is not Engine.NPU
    operator = Operator(
        node.op_type,
        engine,
        place,
        node.scope,
        REASON if off else "",
        ADVICE if off else "",
        "resize",
    )
    size = 8 + (index * 7) % 24
    micros = float(20 + (index * 37) % 300) * (3 if off else 1)
    return Epoch(
        index,
        engine,
        (operator,),
        (
            Access(f"t{index - 1}", (1, size, 64, 64), 8),
            Access(f"w{index}", (16, 9), 8, is_weight=True),
        ),
        (Access(f"t{index}", (1, size, 64, 64), 8),),
        int(micros) * 1000,
        None,
        Interval(micros * 700, micros * 800, micros * 900) if timed else None,
        Interval(micros * 0.8, micros, micros * 1.25) if timed else None,
        "npuRAM5" if index % 3 else "compute",
    )


def _memory(epochs: tuple[Epoch, ...]) -> Memory:
    last = len(epochs) - 1
    sizes = [epoch.writes[0].size_bytes * 12 for epoch in epochs]
    buffers = tuple(
        Buffer(
            f"t{n}", size, n, min(n + 1 + (n % 5 == 0), last), "npuRAM5" if n % 4 else "hyperRAM", 0
        )
        for n, size in enumerate(sizes)
    )
    live = [0] * len(epochs)
    for buffer in buffers:
        for at in range(buffer.first, buffer.last + 1):
            live[at] += buffer.size_bytes
    peak = live.index(max(live))
    alive = sorted((b for b in buffers if b.first <= peak <= b.last), key=lambda b: -b.size_bytes)
    pools = (
        Pool("npuRAM3", 448 * _KIB, 0, 448 * _KIB),
        Pool("npuRAM4", 448 * _KIB, 0, 400 * _KIB),
        Pool("npuRAM5", 448 * _KIB, 0, 300 * _KIB),
        Pool("npuRAM6", 448 * _KIB),
        Pool("cpuRAM2", 1024 * _KIB),
        Pool("hyperRAM", 16 * _KIB**2, 0, 900 * _KIB, is_external=True),
        Pool("octoFlash", 61 * _KIB**2, 3 * _KIB**2, 0, is_external=True, is_writable=False),
    )
    top = float(live[peak])
    return Memory(
        Fit.MAY_SPILL,
        pools,
        Interval(2.9e6, 3e6, 3.1e6),
        Interval(top * 0.97, top * 1.05, top * 1.2),
        live[peak],
        peak,
        tuple(alive),
        tuple(live),
        buffers,
        Interval(0, 9e5, 1.2e6),
    )

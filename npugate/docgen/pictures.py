"""The pages of the repairs: each repair's example, repaired, as pictures and in words.

Needs grandalf (layout) and drawsvg (drawing), which only the generator of the pages installs.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Final

import drawsvg
from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import SugiyamaLayout
from msgspec import Struct
from onnx import ModelProto

from npugate.facts import Facts
from npugate.limits import Limits
from npugate.repair import gate
from npugate.repair.context import RepairContext
from npugate.report.values import Outcome, Verification
from npugate.reporters import repairs as words
from npugate.rules import check, registry
from npugate.rules.testing import model_from_text
from npugate.rules.values import Repair
from npugate.settings.options import RepairRequest
from npugate.surgery import structure
from npugate.surgery.results import RepairOptions
from npugate.surgery.shapes import Known, infer
from npugate.target import profiles

_CHARACTER: Final = 7.2  # width of one in pixels, at the size of the text
_LINE: Final = 16
_PAD: Final = 10
_STROKE: Final = "#57606a"
_FILLS: Final = {"value": "#ddf4ff", "node": "#ffffff", "made": "#dafbe1"}


class Shown(Struct, frozen=True):
    """A repair's example, before and after.

    Attributes:
        pictures: name of the file -> SVG.
        page: the part of the page that shows it.
    """

    pictures: Mapping[str, str]
    page: str


class _Box(Struct):
    """What grandalf lays out; ``xy`` is the middle."""

    lines: tuple[str, ...]
    kind: str
    w: float
    h: float
    xy: tuple[float, float] = (0.0, 0.0)


def shown(item: Repair) -> Shown:
    """Repair the example of a repair through the whole gate and show it."""
    before = model_from_text(item.example)
    after, outcome, proof = _repaired(item, before)
    names = f"{item.name}.before.svg", f"{item.name}.after.svg"
    old = {node.SerializeToString() for node in before.graph.node}
    pictures = {names[0]: picture(before), names[1]: picture(after, old)}
    lines = [
        "## Example",
        "",
        "```",
        inspect.cleandoc(item.example),
        "```",
        "",
        f"| before | after |\n| --- | --- |\n| ![before]({names[0]}) | ![after]({names[1]}) |",
        "",
        "npugate says:",
        "",
        *(f"> - {edit}" for edit in outcome.edits),
        *(f"> - interface: {c.name} {c.before} -> {c.after}" for c in outcome.interface),
        f"> - {words.proof(proof)}" if proof is not None else "",
        "",
    ]
    return Shown(pictures, "\n".join(lines))


def _repaired(item: Repair, model: ModelProto) -> tuple[ModelProto, Outcome, Verification | None]:
    rules = registry.rules()
    selected = frozenset({item.name})
    target = profiles.load("stm32n6")
    context = RepairContext(
        rules,
        tuple(rules),
        target,
        Limits(),
        RepairRequest(registry.repairs(), RepairOptions(), selected),
    )
    facts = Facts(structure.skeleton(model), Limits())
    hits = check.run(facts, rules, tuple(rules), target, lambda _stage: None).hits
    result, _ = gate.repair_model(model, facts, hits, context)
    outcome = next(found for found in result.report.outcomes if found.repair == item.name)
    if result.model is None:
        raise ValueError(f"the example of {item.name} is not repaired: {outcome.reason}")
    return result.model, outcome, result.report.verification


def picture(model: ModelProto, old: set[bytes] | None = None) -> str:
    """Draw the main graph of a model as SVG; nodes that are not among the old ones are green."""
    shapes = infer(model)
    weights = {item.name for item in model.graph.initializer}
    boxes: dict[str, Vertex] = {}
    makers: dict[str, Vertex] = {}
    for info in model.graph.input:
        if info.name not in weights:
            makers[info.name] = boxes[f"in:{info.name}"] = _vertex((info.name,), "value", shapes)
    edges: list[Edge] = []
    for index, node in enumerate(model.graph.node):
        made = old is not None and node.SerializeToString() not in old
        kind = "made" if made else "node"
        results = [name for name in node.output if name]
        vertex = _vertex((node.op_type, *results[:1]), kind, shapes)
        boxes[f"node:{index}"] = vertex
        sources = [makers[name] for name in dict.fromkeys(node.input) if name in makers]
        edges += [Edge(source, vertex) for source in sources]
        makers.update(dict.fromkeys(results, vertex))
    for info in model.graph.output:
        vertex = boxes[f"out:{info.name}"] = _vertex((info.name,), "value", shapes)
        if info.name in makers:
            edges.append(Edge(makers[info.name], vertex))
    return _drawn(list(boxes.values()), edges)


def _vertex(names: tuple[str, ...], kind: str, shapes: Mapping[str, Known]) -> Vertex:
    known = shapes.get(names[-1])
    dims = known.shape if known is not None else None
    size = "x".join("?" if dim is None else str(dim) for dim in dims) if dims is not None else "?"
    lines = (names[0], size or "scalar")
    vertex = Vertex(names)
    width = max(len(line) for line in lines) * _CHARACTER + 2 * _PAD
    vertex.view = _Box(lines, kind, width, len(lines) * _LINE + _PAD)
    return vertex


def _drawn(vertices: list[Vertex], edges: list[Edge]) -> str:
    graph = Graph(vertices, edges)
    right = 0.0
    for part in graph.C:
        layout = SugiyamaLayout(part)
        layout.init_all()
        layout.draw()
        found = [vertex.view for vertex in part.sV]
        left = min(box.xy[0] - box.w / 2 for box in found)
        for box in found:
            box.xy = box.xy[0] - left + right + _PAD, box.xy[1] + _PAD
        right = max(box.xy[0] + box.w / 2 for box in found) + _PAD
    height = max(vertex.view.xy[1] + vertex.view.h / 2 for vertex in vertices) + _PAD
    drawing = drawsvg.Drawing(round(right + _PAD), round(height))
    drawing.append(drawsvg.Rectangle(0, 0, "100%", "100%", fill="#ffffff"))
    for edge in edges:
        _draw_edge(drawing, edge.v[0].view, edge.v[1].view)
    for vertex in vertices:
        _draw_box(drawing, vertex.view)
    return str(drawing.as_svg()) + "\n"


def _draw_edge(drawing: drawsvg.Drawing, source: _Box, sink: _Box) -> None:
    start = source.xy[0], source.xy[1] + source.h / 2
    end = sink.xy[0], sink.xy[1] - sink.h / 2
    line = drawsvg.Path(stroke=_STROKE, fill="none")
    middle = (start[1] + end[1]) / 2
    line.M(round(start[0]), round(start[1]))
    line.C(*map(round, (start[0], middle, end[0], middle, end[0], end[1])))
    drawing.append(line)
    head = [end[0], end[1], end[0] - 3, end[1] - 6, end[0] + 3, end[1] - 6]
    drawing.append(drawsvg.Lines(*map(round, head), close=True, fill=_STROKE))


def _draw_box(drawing: drawsvg.Drawing, box: _Box) -> None:
    left, top = box.xy[0] - box.w / 2, box.xy[1] - box.h / 2
    corner = 12 if box.kind == "value" else 3
    drawing.append(
        drawsvg.Rectangle(
            *map(round, (left, top, box.w, box.h)),
            rx=corner,
            fill=_FILLS[box.kind],
            stroke=_STROKE,
        )
    )
    for number, line in enumerate(box.lines):
        height = round(top + _PAD + _LINE * (number + 0.5))
        drawing.append(
            drawsvg.Text(
                line,
                12,
                round(box.xy[0]),
                height,
                text_anchor="middle",
                font_family="monospace",
                font_weight="bold" if number == 0 else "normal",
            )
        )

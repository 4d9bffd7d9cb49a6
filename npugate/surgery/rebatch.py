"""Let a network that takes N samples at once take one.

The leading axis of the inputs is followed through the nodes; it is never looked for by its size,
for the number of heads or frames may be the same. A tensor is followed as long as each sample owns
an equal block of its leading axis, which only the operators of ``per_sample`` are known to keep;
sizes that were baked into shapes and constants are divided.
"""

from __future__ import annotations

from typing import Final

from onnx import ModelProto, TensorProto

from npugate.model.node_label import node_label
from npugate.surgery import static
from npugate.surgery.node import DEFAULT_DOMAINS, NoFormError
from npugate.surgery.per_sample.operators import change, reads_samples, refuse_random
from npugate.surgery.per_sample.rows import Rows
from npugate.surgery.scope import Names
from npugate.surgery.shapes import infer
from npugate.surgery.values import literal
from npugate.surgery.weight_store import WeightStore

_FRAMES: Final = 3  # an input of fewer axes may have a leading one of another meaning


def samples_of(model: ModelProto) -> int:
    """Return how many samples the inputs take; 1 when that is not plain.

    Inputs of three axes and more must agree on it.
    """
    leading = {
        dims[0]
        for _, dims in static.inputs(model.graph)
        if dims is not None and len(dims) >= _FRAMES and isinstance(dims[0], int)
    }
    return leading.pop() if len(leading) == 1 else 1


def take_one(model: ModelProto, samples: int, store: WeightStore | None = None) -> list[str]:
    """Rewrite a model in place; return what was done, a sentence each.

    Args:
        model: static, folded; left half done when there is no form: hand a copy.
        samples: that its inputs take, more than one.
        store: holds the weights that the model refers to.

    Raises:
        NoFormError: a node joins the samples, or hides them.
    """
    graph = model.graph
    rows = Rows(
        model, samples, _opset(model), infer(model), Names(model), _constants(model), store=store
    )
    batched = [n for n, dims in static.inputs(graph) if dims and dims[0] == samples]
    rows.followed.update(batched)
    edits: list[str] = []
    for node in graph.node:
        refuse_random(rows, node)
        if reads_samples(rows, node):
            if change(rows, node):
                label = node_label(node)
                edits.append(f"{node.op_type} {label!r} is written for one sample")
            for name in filter(None, node.output):
                rows.one(name)
                rows.followed.add(name)
    for info in graph.output:
        if info.name not in rows.followed or rows.dims(info.name)[:1] != (samples,):
            raise NoFormError(f"output {info.name!r} does not have a row for each sample")
    _redeclare(model, batched)
    return [f"inputs {', '.join(map(repr, batched))} take one sample, not {samples}", *edits]


def _opset(model: ModelProto) -> int:
    return max(
        (item.version for item in model.opset_import if item.domain in DEFAULT_DOMAINS), default=0
    )


def _constants(model: ModelProto) -> dict[str, TensorProto]:
    found = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        tensor = literal(node) if node.op_type == "Constant" else None
        if tensor is not None:
            found[node.output[0]] = tensor
    return found


def _redeclare(model: ModelProto, batched: list[str]) -> None:
    graph = model.graph
    del graph.value_info[:]
    for info in graph.input:
        if info.name in batched:
            info.type.tensor_type.shape.dim[0].dim_value = 1
    for info in graph.output:
        info.type.tensor_type.shape.dim[0].dim_value = 1

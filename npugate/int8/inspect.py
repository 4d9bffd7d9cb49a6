"""Look at a quantised model and say whether it is what was asked for, point by point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from npugate.estimate.integers import float_reasons
from npugate.facts import Facts, Node
from npugate.facts.graph import Array
from npugate.facts.quantization import (
    connected,
    dequantize,
    weight,
    weight_source,
)
from npugate.int8.values import Check, Island
from npugate.operators import WEIGHTED
from npugate.proof.sessions import CannotRunError, Session
from npugate.surgery import structure

_SHOWN = 4  # names in a sentence
_BIAS_TOLERANCE = 1e-5  # relative: float32 product of two scales
_WITH_BIAS = 3  # inputs


class Subject(Struct, frozen=True):
    """A quantised model and what is needed to judge it.

    Attributes:
        source: the float model it was made of.
        result: the int8 model, with its weights.
        facts: of the result.
        excluded: names of nodes that were to stay in float.
        feeds: one sample.
        traces: operators that had a trace in the source, and how many have one now.
    """

    source: ModelProto
    result: ModelProto
    facts: Facts
    excluded: frozenset[str]
    feeds: Mapping[str, Array]
    traces: tuple[int, int]


def inspect(subject: Subject) -> tuple[Check, ...]:
    """Return every check, those that passed too."""
    return tuple(
        Check(name, not fault, fault or good)
        for name, (fault, good) in ((name, look(subject)) for name, look in _LOOKS.items())
    )


def islands(subject: Subject) -> tuple[Island, ...]:
    """Return the operators that run in float, connected ones together.

    They are those for which the compiler finds a value without a scale, as the estimate has it.
    """
    reasons = float_reasons(subject.facts)
    found: list[Island] = []
    for group in connected(node for node in subject.facts.main.nodes if id(node) in reasons):
        names = tuple(node.label for node in group)
        kinds = tuple(dict.fromkeys(node.full_type for node in group))
        found.append(Island(names, kinds, all(name in subject.excluded for name in names)))
    return tuple(found)


Look = Callable[[Subject], tuple[str, str]]  # (fault or "", what is told when there is none)


def _structure(subject: Subject) -> tuple[str, str]:
    fault = structure.fault(subject.source, subject.result, ())
    if not fault:
        foreign = sorted({n.domain for n in subject.result.graph.node} - {"", "ai.onnx"})
        known = {n.domain for n in subject.source.graph.node}
        fault = f"operators of {', '.join(foreign)}" if set(foreign) - known else ""
    return fault, "the ONNX checker and strict inference pass; same inputs, outputs and domains"


def _form(subject: Subject) -> tuple[str, str]:
    form = subject.facts.quantization.form
    return ("" if form == "qdq" else f"the result is {form}, not QDQ"), "QDQ"


def _layers(subject: Subject) -> tuple[str, str]:
    """Every operator with weights is quantised unless the user left it out."""
    loose = [
        node.label
        for node in _weighted(subject)
        if node.label not in subject.excluded
        and (weight_source(node) is None or dequantize(node.input(0)) is None)
    ]
    census = subject.facts.quantization
    text = f"{census.quantized} of {census.weighted} operators with weights are int8"
    return (f"still in float: {_some(loose)}" if loose else ""), text


def _weights(subject: Subject) -> tuple[str, str]:
    """Weights are int8, symmetric, with one scale for each output channel."""
    store = _store(subject.result)
    bad: list[str] = []
    count = channels = 0
    for node in _weighted(subject):
        reader = dequantize(node.input(1))
        if reader is None:
            continue
        count += 1
        fault, scales = _weight_fault(node, reader.proto, store)
        channels += scales
        if fault:
            bad.append(f"{node.label}: {fault}")
    told = f"{count} weight tensors: int8, zero points 0, {channels} scales, one a channel"
    return _some(bad), told


def _weight_fault(
    node: Node, reader: NodeProto, store: Mapping[str, TensorProto]
) -> tuple[str, int]:
    tensor, scale = store.get(reader.input[0]), store.get(reader.input[1])
    if tensor is None or scale is None:
        return "its weights are no constants", 0
    if tensor.data_type != TensorProto.INT8:
        return "its weights are not int8", 0
    zero = store.get(reader.input[2]) if len(reader.input) > 2 else None  # noqa: PLR2004 - position
    if zero is not None and numpy_helper.to_array(zero).any():
        return "its zero points are not 0", 0
    scales: Array = numpy_helper.to_array(scale)
    return _scale_fault(node, reader, tensor, scales), scales.size


def _scale_fault(node: Node, reader: NodeProto, tensor: TensorProto, scales: Array) -> str:
    if not (np.isfinite(scales.astype(np.float64)).all() and (scales.astype(np.float64) > 0).all()):
        return "its scales are not all positive"
    axis = next((item.i for item in reader.attribute if item.name == "axis"), 1)
    wanted = _channel_axis(node)
    if wanted is None:
        return (
            "" if scales.size == 1 else "its weights have no one axis of channels, but many scales"
        )
    if tensor.dims[wanted] == 1:
        return ""
    if scales.ndim != 1 or axis % len(tensor.dims) != wanted or scales.size != tensor.dims[wanted]:
        return f"its scales are not per channel (axis {axis}, {scales.size} of them)"
    return ""


def _channel_axis(node: Node) -> int | None:
    """Return the axis of output channels of a weight; None where it has none that counts."""
    shape = node.inputs[1].static_shape if node.inputs[1] is not None else None
    if shape is None or len(shape) < 2:  # noqa: PLR2004 - a matrix
        return None
    if node.op_type == "MatMul":
        return 1 if len(shape) == 2 else None  # noqa: PLR2004 - a stack has no one axis
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    return 0 if node.attribute("transB") else 1


def _activations(subject: Subject) -> tuple[str, str]:
    """Activations are int8 with one scale and one zero point for each tensor."""
    store = _store(subject.result)
    bad: list[str] = []
    count = 0
    for node in subject.result.graph.node:
        if node.op_type != "QuantizeLinear":
            continue
        count += 1
        scale, zero = (store.get(name) for name in (*node.input[1:3], "", "")[:2])
        if scale is None or zero is None or zero.data_type != TensorProto.INT8:
            bad.append(f"{node.input[0]}: not int8 with a zero point")
        elif numpy_helper.to_array(scale).size != 1:
            bad.append(f"{node.input[0]}: more than one scale")
        elif not 0 < float(numpy_helper.to_array(scale).reshape(-1)[0]) < np.inf:
            bad.append(f"{node.input[0]}: its scale is not positive")
    return _some(bad), f"{count} tensors: int8, one scale and zero point each"


def _biases(subject: Subject) -> tuple[str, str]:
    """A bias is int32 in units of the data's scale times the weight's."""
    store = _store(subject.result)
    bad: list[str] = []
    count = 0
    for node in _weighted(subject):
        readers = [dequantize(tensor) for tensor in node.inputs[:_WITH_BIAS]]
        if len(readers) < _WITH_BIAS or node.op_type == "MatMul" or None in readers[:2]:
            continue
        if readers[2] is None:
            bias = node.inputs[2]
            if bias is not None and bias.is_constant:
                bad.append(f"{node.label}: its bias is float")
            continue
        count += 1
        fault = _bias_fault([r.proto for r in readers if r is not None], store)
        if fault:
            bad.append(f"{node.label}: {fault}")
    return _some(bad), f"{count} biases: int32, scale = data scale x weight scale"


def _bias_fault(readers: Sequence[NodeProto], store: Mapping[str, TensorProto]) -> str:
    tensor = store.get(readers[2].input[0])
    if tensor is None or tensor.data_type != TensorProto.INT32:
        return "its bias is not int32"
    scales = [store.get(reader.input[1]) for reader in readers]
    data, kernel, bias = (
        np.float64(0) if item is None else numpy_helper.to_array(item).astype(np.float64)
        for item in scales
    )
    if not np.allclose(bias, data * kernel, rtol=_BIAS_TOLERANCE, atol=0):
        return "its bias has another scale than data times weights"
    return ""


def _runs(subject: Subject) -> tuple[str, str]:
    try:
        made = Session(subject.result).run(subject.feeds)
    except CannotRunError as error:
        return f"onnxruntime refuses it: {error}", ""
    bad = [name for name, value in made.items() if not np.isfinite(value).all()]
    return (f"not finite: {_some(bad)}" if bad else ""), "onnxruntime runs it; outputs are finite"


def _traces(subject: Subject) -> tuple[str, str]:
    had, kept = subject.traces
    if not had:
        return "", "the float model has no lines of Python"
    fault = "" if had == kept else f"{had - kept} of {had} operators lost their line of Python"
    return fault, f"{kept} of {had} operators have their line of Python"


_LOOKS: Mapping[str, Look] = {
    "structure": _structure,
    "form": _form,
    "layers": _layers,
    "weights": _weights,
    "activations": _activations,
    "biases": _biases,
    "runs": _runs,
    "traces": _traces,
}


def _weighted(subject: Subject) -> Iterator[Node]:
    for node in subject.facts.nodes:
        if node.op_type in WEIGHTED and weight(node) is not None:
            yield node


def _store(model: ModelProto) -> Mapping[str, TensorProto]:
    return {item.name: item for item in model.graph.initializer}


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more

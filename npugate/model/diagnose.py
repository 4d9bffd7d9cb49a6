"""Say why bytes are no model: where they break off, or how deep they are nested."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import Descriptor
from onnx import GraphProto, ModelProto

from npugate.errors import ModelError
from npugate.findings import rule_names
from npugate.limits import Limits
from npugate.model.walk import ANALYSIS_LIMIT, too_deep
from npugate.model.wire import Range, SkeletonTooLargeError, Window, WireError

_RULE: Final = rule_names.UNREADABLE_MODEL
_MESSAGE_DEPTH: Final = 100  # protobuf readers refuse more
_FIELDS: Final = 500_000  # looked at; a better sentence is not worth more time
_LENGTH: Final = 2
_GRAPH: Final = ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_AGAIN: Final = "fetch or export the model again"


def explain(window: Window, limits: Limits) -> ModelError:
    """Return the error for a file that did not parse as a model."""
    window.fields_left = _FIELDS
    has_graph = False
    try:
        for _, number, wire, body, stop in window.fields(0, window.size):
            if wire == _LENGTH:
                inner = _inside(window, (body, stop), number, limits)
                if inner is not None:
                    return inner
                has_graph = has_graph or number == _GRAPH
    except WireError as error:
        return _broken(error, window.size, has_graph=has_graph)
    except SkeletonTooLargeError:
        return ModelError(_RULE, f"the file is no valid protobuf; {_AGAIN}")
    return ModelError(_RULE, f"the file is no ONNX model: there is no graph in it; {_AGAIN}")


def _inside(window: Window, span: Range, number: int, limits: Limits) -> ModelError | None:
    try:
        _descend(window, span, (ModelProto.DESCRIPTOR, number), (0, -1), limits)
    except WireError as error:
        return ModelError(
            _RULE, f"the file is damaged or no ONNX model: at byte {error.at}, {error}; {_AGAIN}"
        )
    except ModelError as error:
        return error
    return None


def _broken(error: WireError, size: int, *, has_graph: bool) -> ModelError:
    if has_graph:
        return ModelError(
            _RULE,
            f"after the model, from byte {error.at} on, come {size - error.at} bytes that are no "
            "part of it; write the file again",
        )
    if error.missing and error.at > 0:
        return ModelError(
            _RULE,
            f"the file breaks off: at byte {error.at}, {error}, and at least {error.missing} bytes "
            f"are missing; {_AGAIN}",
        )
    return ModelError(_RULE, f"the file is no ONNX model: at byte {error.at}, {error}; {_AGAIN}")


def _descend(
    window: Window,
    span: Range,
    field: tuple[Descriptor, int],
    depth: tuple[int, int],
    limits: Limits,
) -> None:
    """Go through one field's message, counting the messages and graphs around it."""
    item = field[0].fields_by_number.get(field[1])
    kind = None if item is None else item.message_type
    if kind is None:
        return
    messages, graphs = depth[0] + 1, depth[1] + (kind is GraphProto.DESCRIPTOR)
    if graphs > limits.depth:
        raise too_deep(limits)
    if messages >= _MESSAGE_DEPTH:
        raise ModelError(
            ANALYSIS_LIMIT,
            f"messages are nested {_MESSAGE_DEPTH} deep, more than any reader accepts",
        )
    for _, number, wire, body, stop in window.fields(*span):
        if wire == _LENGTH:
            _descend(window, (body, stop), (kind, number), (messages, graphs), limits)

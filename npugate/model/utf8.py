r"""Make every text of a message one that Python can hold.

ONNX is proto2: its strings may be any bytes, and those that are no UTF-8 come out of the parser as
``bytes`` where everything else expects ``str``. They are escaped (``\xff``), so names that differ
go on to differ.
"""

from __future__ import annotations

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import ModelProto


def repair_text(model: ModelProto) -> bool:
    """Escape, in place, every string of a model that is no UTF-8; tell whether there was one.

    A part that serialises to ASCII needs no second look, which is nearly every one.
    """
    return _repair(model, is_large=True)


def _repair(message: Message, *, is_large: bool = False) -> bool:
    if not is_large and message.SerializeToString().isascii():
        return False
    changed = False
    for item, value in message.ListFields():
        if item.type == FieldDescriptor.TYPE_STRING:
            if not item.is_repeated:
                if isinstance(value, bytes):
                    setattr(message, item.name, _escaped(value))
                    changed = True
            elif any(isinstance(text, bytes) for text in value):
                value[:] = [_escaped(text) for text in value]
                changed = True
        elif item.type == FieldDescriptor.TYPE_MESSAGE:
            # The main graph and the list of functions are looked at piece by piece.
            for child in value if item.is_repeated else (value,):
                changed |= _repair(child, is_large=is_large and not item.is_repeated)
    return changed


def _escaped(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")

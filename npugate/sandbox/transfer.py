"""What a child sends to its parent: a value by a schema, never an object that runs code.

A child has worked on a hostile file, and may be under its control. Its parent therefore reads
MessagePack by the type that it expects: anything else is refused, and nothing in it can be more
than data of that type.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec
from msgspec import Struct

_INT64_MAX: Final = 2**63 - 1
_SHOWN: Final = 200


class TransferError(Exception):
    """The bytes are no value of the wanted type."""


def encode(value: object) -> bytes:
    """Return a value as MessagePack.

    Integers beyond 64 bits, which only products of absurd dimensions are, end at 64 bits; what is
    no Unicode (half a surrogate pair) is escaped.

    Raises:
        TypeError: the value holds what is no data, such as a function.
        RecursionError: it holds itself.
    """
    try:
        return _ENCODER.encode(value)
    except (OverflowError, UnicodeEncodeError):
        return _ENCODER.encode(_fitting(value))


def decode(data: bytes | memoryview, kind: Any) -> Any:  # noqa: ANN401  # a type and its value
    """Return the value.

    Args:
        data: as ``encode`` made it, or anything else.
        kind: type of the value; ``Any`` allows lists, maps, numbers and text.

    Raises:
        TransferError: it is no such value, or nested too deep.
    """
    try:
        return _decoder(kind).decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise TransferError(str(error)[:_SHOWN]) from error


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:  # noqa: ANN401  # any type at all
    return msgspec.msgpack.Decoder(kind)


def _plain(value: Any) -> object:  # noqa: ANN401  # whatever the encoder does not know
    """Return a number of numpy as one of Python; nothing else that is not plain is sent."""
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    raise TypeError(f"a {type(value).__name__} is no data to send")


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_plain)


def _fitting(value: object) -> object:
    """Return a value with every integer and text such that it can be written."""
    found = value
    match value:
        case bool() | float() | bytes() | None:
            pass
        case int():
            found = max(-_INT64_MAX, min(int(value), _INT64_MAX))
        case str():
            found = value.encode("utf-8", "backslashreplace").decode("utf-8")
        case Struct():
            parts = ((name, getattr(value, name)) for name in value.__struct_fields__)
            found = msgspec.structs.replace(value, **{name: _fitting(part) for name, part in parts})
        case list() | tuple() | set() | frozenset():
            found = type(value)(_fitting(item) for item in value)
        case dict():
            found = {_fitting(key): _fitting(item) for key, item in value.items()}
    return found

"""Copy a model file's protobuf bytes without its large tensor payloads, and never read those.

A weight of 500 MB is one length-delimited field: its header says how long it is, so the copy steps
over it with a seek. What remains (the skeleton) parses to the same message as the whole file would
after its payloads were dropped; ``dropped`` says how many values each dropped payload had.

Protobuf lets a writer repeat a singular message field, and readers merge the pieces. A message is
therefore a list of byte ranges here, never one range.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final

import numpy as np
from google.protobuf.descriptor import Descriptor
from msgspec import Struct, field
from onnx import ModelProto, TensorProto

KEEP_BYTES: Final = 16_384  # payloads up to this stay: axes, shapes, zero points, 4096 scales

# Bytes that one value of a payload field counts as; a string counts its own bytes as well.
VALUE_BYTES: Final[Mapping[str, int]] = {
    "raw_data": 1,
    "float_data": 4,
    "int32_data": 4,
    "int64_data": 8,
    "double_data": 8,
    "uint64_data": 8,
    "string_data": 1,
}
PAYLOADS: Final[Mapping[int, str]] = {
    TensorProto.DESCRIPTOR.fields_by_name[name].number: name for name in VALUE_BYTES
}

_VARINT, _FIXED64, _LENGTH, _GROUP, _END_GROUP, _FIXED32 = range(6)
# How an element of a payload field is written when the field is not packed.
_ELEMENT_WIRE: Final = {
    "float_data": _FIXED32,
    "double_data": _FIXED64,
    "int32_data": _VARINT,
    "int64_data": _VARINT,
    "uint64_data": _VARINT,
}
_WINDOW: Final = 8192
_COUNT_WINDOW: Final = 262_144
_BLOCK: Final = 1 << 20
_VARINT_MAX: Final = 10
_TAG_MAX: Final = 5
_MESSAGE_DEPTH: Final = 100  # the same; a path has two numbers for each message
_GROUP_DEPTH_MAX: Final = 100  # protobuf's own bound
_CONTINUES: Final = 0x80

Path = tuple[int, ...]
Range = tuple[int, int]
Counts = Mapping[str, int]


class WireError(Exception):
    """The bytes are no valid protobuf.

    Attributes:
        at: offset of the field that is wrong.
        missing: bytes that the file is short of; 0 when it is not a matter of length.
    """

    def __init__(self, at: int, reason: str, missing: int = 0) -> None:
        """Note where and why."""
        super().__init__(reason)
        self.at = at
        self.missing = missing


class SkeletonTooLargeError(Exception):
    """What is left without the weights is still more than may be looked at."""


class Skeleton(Struct, frozen=True):
    """A model without its large payloads.

    Attributes:
        data: serialised ModelProto.
        dropped: for each tensor that lost a payload, by ``Path`` from the model down (field number,
            index, field number, index, ...): number of values by payload field.
    """

    data: bytes
    dropped: Mapping[Path, Counts]


class _Copy(Struct):
    """Bytes to write: ranges of the file and literal bytes, neighbouring ranges joined."""

    pieces: list[Range | bytes] = field(default_factory=list)
    length: int = 0

    def keep(self, start: int, end: int) -> None:
        self.length += end - start
        last = self.pieces[-1] if self.pieces else b""
        if isinstance(last, tuple) and last[1] == start:
            self.pieces[-1] = (last[0], end)
        else:
            self.pieces.append((start, end))

    def message(self, number: int, body: _Copy) -> None:
        head = varint(number << 3 | _LENGTH) + varint(body.length)
        self.pieces.append(head)
        self.pieces.extend(body.pieces)
        self.length += len(head) + body.length


class Window:
    """A file seen through one small buffer."""

    def __init__(self, pread: Callable[[int, int], bytes], size: int, max_fields: int) -> None:
        """Look at an open file.

        Args:
            pread: returns at most so many bytes from such an offset, as ``os.pread`` does.
            size: of the file, in bytes.
            max_fields: bound on the fields stepped through.
        """
        self._pread = pread
        self._base = 0
        self._data = b""
        self.fields_left = max_fields
        self.size = size

    def read(self, start: int, end: int) -> bytes:
        """Return a range of the file.

        Raises:
            WireError: the file ends before it; it has shrunk meanwhile.
        """
        parts: list[bytes] = []
        while start < end:
            part = self._pread(min(end - start, _BLOCK), start)
            if not part:
                raise WireError(start, "the file became shorter while it was read", end - start)
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def varint(self, at: int, end: int, most: int = _VARINT_MAX) -> tuple[int, int]:
        """Return a varint and the offset behind it.

        Raises:
            WireError: it does not end before ``end``, or is longer than ``most`` bytes.
        """
        index = at - self._base
        if not 0 <= index < len(self._data) - _VARINT_MAX:
            self._base, index = at, 0
            self._data = self.read(at, min(at + _WINDOW, self.size))
        data = self._data
        if index < len(data) and data[index] < _CONTINUES and at < end:
            return data[index], at + 1
        value = 0
        for step in range(most):
            if at + step >= end:
                raise WireError(at, "a number is cut off", 1)
            byte = data[index + step]
            value |= (byte & 0x7F) << 7 * step
            if byte < _CONTINUES:
                return value, at + step + 1
        raise WireError(at, f"a number is longer than {most} bytes")

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield (start, number, wire type, body, end) of each field of a message.

        Raises:
            WireError: a field is malformed or reaches beyond ``end``.
            SkeletonTooLargeError: there are more fields than allowed.
        """
        at = start
        while at < end:
            self.fields_left -= 1
            if self.fields_left < 0:
                raise SkeletonTooLargeError
            tag, body = self.varint(at, end, _TAG_MAX)
            number, wire = tag >> 3, tag & 7
            if number == 0 or tag >= 1 << 32:
                raise WireError(at, f"field number {number} does not exist")
            if wire == _LENGTH:
                length, body = self.varint(body, end)
                stop = body + length
            else:
                stop = self._scalar_end(at, body, end, wire, number)
            if stop > end:
                raise WireError(at, "a field is longer than what is left", stop - end)
            yield at, number, wire, body, stop
            at = stop

    def _scalar_end(self, at: int, body: int, end: int, wire: int, number: int) -> int:
        if wire == _VARINT:
            return self.varint(body, end)[1]
        if wire == _FIXED32:
            return body + 4
        if wire == _FIXED64:
            return body + 8
        if wire == _GROUP:
            return self._group_end(at, body, end, number)
        raise WireError(at, f"wire type {wire} does not exist here")

    def _group_end(self, at: int, body: int, end: int, number: int) -> int:
        """Return the end of a group, an old kind of message that no ONNX writer makes."""
        open_groups = [number]
        while open_groups:
            tag, after = self.varint(body, end, _TAG_MAX)
            number, wire = tag >> 3, tag & 7
            if wire == _END_GROUP:
                if open_groups.pop() != number:
                    raise WireError(at, "a group ends that was not begun")
                body = after
            elif wire == _GROUP:
                open_groups.append(number)
                if len(open_groups) > _GROUP_DEPTH_MAX:
                    raise WireError(at, "groups are nested too deep")
                body = after
            elif wire == _LENGTH:
                length, after = self.varint(after, end)
                body = after + length
            else:
                body = self._scalar_end(at, after, end, wire, number)
        return body

    def count_varints(self, start: int, end: int) -> int:
        """Return the number of varints in a packed field, read in blocks and not kept.

        Raises:
            WireError: the last is cut off, or one is longer than 10 bytes.
        """
        count, last_end = 0, start - 1
        for at in range(start, end, _COUNT_WINDOW):
            block = np.frombuffer(self.read(at, min(at + _COUNT_WINDOW, end)), np.uint8)
            ends = np.flatnonzero(block < _CONTINUES) + at
            if ends.size:
                longest = int(np.diff(ends, prepend=last_end).max())
                last_end = int(ends[-1])
                count += ends.size
                if longest > _VARINT_MAX:
                    raise WireError(at, "a packed number is longer than 10 bytes")
        if last_end != end - 1:
            raise WireError(start, "a packed number is cut off", 1)
        return count


def varint(value: int) -> bytes:
    """Return a non-negative number as protobuf writes it."""
    out = bytearray()
    while value >= _CONTINUES:
        out.append(value & 0x7F | _CONTINUES)
        value >>= 7
    out.append(value)
    return bytes(out)


def skip_payloads(window: Window, max_bytes: int) -> Skeleton:
    """Copy a ModelProto without the payloads above ``KEEP_BYTES``.

    Only messages long enough to hold such a payload are stepped into; a malformed short one is
    left for the parser to refuse.

    Args:
        window: on the whole file.
        max_bytes: bound on the copy.

    Raises:
        WireError: the file is no valid protobuf.
        SkeletonTooLargeError: the copy would be larger than ``max_bytes``.
    """
    dropped: dict[Path, Counts] = {}
    copy = _message(window, [(0, window.size)], ModelProto.DESCRIPTOR, (), dropped)
    if copy.length > max_bytes:
        raise SkeletonTooLargeError
    data = b"".join(p if isinstance(p, bytes) else window.read(*p) for p in copy.pieces)
    return Skeleton(data, dropped)


@cache
def routes(message: Descriptor) -> Mapping[int, tuple[Descriptor, bool]]:
    """Return the fields of a message that lead to a tensor: number -> (message, repeated)."""
    found = {}
    for item in message.fields:
        if item.message_type is not None and _reaches_tensor(item.message_type):
            found[item.number] = (item.message_type, item.is_repeated)
    return found


@cache
def _reaches_tensor(message: Descriptor) -> bool:
    seen: set[str] = set()
    waiting = [message]
    while waiting:
        current = waiting.pop()
        if current is TensorProto.DESCRIPTOR:
            return True
        if current.full_name not in seen:
            seen.add(current.full_name)
            waiting += [f.message_type for f in current.fields if f.message_type is not None]
    return False


def _message(
    window: Window,
    ranges: list[Range],
    kind: Descriptor,
    path: Path,
    dropped: dict[Path, Counts],
) -> _Copy:
    if kind is TensorProto.DESCRIPTOR:
        return _tensor(window, ranges, path, dropped)
    children = routes(kind) if len(path) < 2 * _MESSAGE_DEPTH else {}  # deeper, no reader goes
    copy = _Copy()
    seen: dict[int, int] = defaultdict(int)
    pieces: dict[int, list[Range]] = defaultdict(list)
    for start, end in ranges:
        for at, number, wire, body, stop in window.fields(start, end):
            child = children.get(number) if wire == _LENGTH else None
            if child is None:
                copy.keep(at, stop)
            elif not child[1]:
                pieces[number].append((body, stop))
            else:
                index = seen[number]
                seen[number] = index + 1
                if stop - body <= KEEP_BYTES:
                    copy.keep(at, stop)
                else:
                    inner = (*path, number, index)
                    part = _message(window, [(body, stop)], child[0], inner, dropped)
                    copy.message(number, part)
    for number, parts in pieces.items():
        inner = (*path, number, 0)
        copy.message(number, _message(window, parts, children[number][0], inner, dropped))
    return copy


def _tensor(window: Window, ranges: list[Range], path: Path, dropped: dict[Path, Counts]) -> _Copy:
    copy = _Copy()
    counts: dict[str, int] = defaultdict(int)
    weights: dict[str, int] = defaultdict(int)
    held: dict[str, list[Range]] = defaultdict(list)
    for start, end in ranges:
        for at, number, wire, body, stop in window.fields(start, end):
            name = PAYLOADS.get(number)
            if name is None or wire not in (_LENGTH, _ELEMENT_WIRE.get(name)):
                copy.keep(at, stop)
                continue
            if name == "raw_data":  # not repeated: the last one counts
                counts[name] = weights[name] = 0
                held[name].clear()
            values = _values(window, name, wire, (body, stop))
            counts[name] += values
            weights[name] += payload_bytes(name, values, stop - body)
            held[name].append((at, stop))
    lost = {name: counts[name] for name, weight in weights.items() if weight > KEEP_BYTES}
    if lost:
        dropped[path] = lost
    for name, parts in held.items():
        if name not in lost:
            for at, stop in parts:
                copy.keep(at, stop)
    return copy


def payload_bytes(name: str, values: int, length: int) -> int:
    """Return what a payload counts against ``KEEP_BYTES``: the same however it was written."""
    return values + length if name == "string_data" else values * VALUE_BYTES[name]


def _values(window: Window, name: str, wire: int, body: Range) -> int:
    """Return the number of values in one field of a payload."""
    length = body[1] - body[0]
    if name == "raw_data":
        return length
    if name == "string_data" or wire != _LENGTH:
        return 1
    if _ELEMENT_WIRE[name] == _VARINT:
        return window.count_varints(*body) if length else 0
    width = VALUE_BYTES[name]
    if length % width:
        raise WireError(body[0], f"a packed field of {length} bytes holds no whole values")
    return length // width

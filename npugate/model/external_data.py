"""Look at where a model's weights are kept outside of it, without reading the weights.

A location comes from the file and is not trusted: it must name a plain file below the model's
folder, with no link on the way. A file with a second hard link is refused too, since nothing but
the link count tells a weight file from a secret that was linked into place, and since onnx refuses
to load it (from 1.21 on), the conversion would fail anyway. git never makes hard links in a
checkout; caches and copies made with ``cp -l`` do, and a plain copy is the way out. A model of the
repository may name what the repository holds: anything else that lies in a checkout, a job's key or
its log, is not the model author's to read.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct
from onnx import ModelProto, TensorProto

from npugate import beneath
from npugate.beneath import RefusedError
from npugate.errors import ModelError
from npugate.findings import rule_names
from npugate.findings.fingerprint import wording
from npugate.findings.values import Location, Problem
from npugate.limits import Limits
from npugate.model import filetype
from npugate.model.payload import expected_bytes
from npugate.model.tracked import Beside
from npugate.model.walk import Place, shown, tensors_of

UNSAFE: Final = rule_names.UNSAFE_EXTERNAL_DATA
MISSING: Final = rule_names.MISSING_EXTERNAL_DATA
UNTRACKED: Final = rule_names.UNTRACKED_EXTERNAL_DATA
UNREAD: Final = frozenset({UNSAFE, MISSING, UNTRACKED})
"""The rules of external data that may not or cannot be read."""
_SIZE: Final = rule_names.TENSOR_DATA_MISMATCH

_KEYS: Final = frozenset({"location", "offset", "length", "checksum", "basepath"})
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_ABSOLUTE: Final = re.compile(r"[/\\]|[A-Za-z]:")
_MEMORY_MARK: Final = "_ORT_MEM_ADDR_"
_TENSORS_NAMED: Final = 3
_BLOCK: Final = 1 << 20


class _Fault(Struct, frozen=True):
    """What is wrong with one tensor's external data; equal faults are reported together."""

    rule: str
    text: str


class _Span(Struct, frozen=True):
    location: str
    offset: int
    length: int | None


class _Files:
    """Facts about the side files, each looked up once."""

    def __init__(self, folder: Path | None, beside: Beside | None) -> None:
        self._folder = folder
        self._beside = beside
        self._seen: dict[str, int | _Fault] = {}

    def size(self, location: str) -> int | _Fault:
        """Return the size of a side file in bytes, or what is wrong with it."""
        if location not in self._seen:
            self._seen[location] = _unsafe_name(location) or self._look(location)
        return self._seen[location]

    def pointer(self, location: str) -> _Fault | None:
        """Return the fault of a side file that is a Git LFS pointer, None when it is none.

        Only for a location that ``size`` found to be a plain file, and only when it is as small
        as a pointer, is it opened.
        """
        size = self.size(location)
        if self._folder is None or not isinstance(size, int) or size > filetype.POINTER_BYTES:
            return None
        try:
            data = beneath.read(self._folder, location, filetype.POINTER_BYTES)
        except (OSError, RefusedError) as error:
            return _unreadable(location, error)
        pointer = filetype.lfs_pointer(data)
        return _Fault(filetype.LFS_POINTER, f"{shown(location)} is {pointer}") if pointer else None

    def _look(self, location: str) -> int | _Fault:
        name = shown(location)
        if self._folder is None:
            return _Fault(MISSING, f"the model was given without a folder to find {name} in")
        try:
            size = beneath.look(self._folder, location).st_size
        except (OSError, ValueError) as error:
            return _unreadable(location, error)
        place = Path(os.path.realpath(self._folder), location)  # drops `.` and doubled slashes
        if self._beside is None or self._beside.allows(place):
            return size
        return _Fault(UNTRACKED, f"git does not track {name}, so it is not read")


def _unreadable(location: str, error: OSError | ValueError) -> _Fault:
    name = shown(location)
    if isinstance(error, RefusedError):
        return _Fault(UNSAFE, f"{name} {error}")
    if isinstance(error, FileNotFoundError):
        return _Fault(MISSING, f"the file {name} does not exist beside the model")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return _Fault(MISSING, f"the file {name} cannot be looked at: {reason}")


def payload(tensor: TensorProto, folder: Path) -> bytes:
    """Read a tensor's external data; its place and size were found right.

    Args:
        tensor: its entries and dimensions say what to read.
        folder: the model's.

    Raises:
        ModelError: a file of weights may no longer be read, or became shorter.
    """
    parts = tuple(blocks(tensor, folder, sys.maxsize))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def blocks(tensor: TensorProto, folder: Path, most_bytes: int = _BLOCK) -> Iterator[bytes]:
    """Yield a tensor's external data in blocks, otherwise as ``payload``."""
    with _opened(tensor, folder) as (descriptor, start, end):
        at = start
        while at < end:
            block = os.pread(descriptor, min(most_bytes, end - at), at)
            if not block:
                raise ModelError(MISSING, "a file of weights became shorter meanwhile")
            yield block
            at += len(block)


@contextmanager
def _opened(tensor: TensorProto, folder: Path) -> Iterator[tuple[int, int, int]]:
    """Yield the open file of a tensor's data, where the data begins in it and where it ends."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, at = entries["location"], int(entries.get("offset", "0"))
    length = int(entries["length"]) if "length" in entries else expected_bytes(tensor)
    try:
        with beneath.opened(folder, location) as descriptor:
            size = os.fstat(descriptor).st_size
            end = size if length is None else at + length
            if end > size:
                raise ModelError(MISSING, "a file of weights became shorter meanwhile")
            yield descriptor, at, end
    except (OSError, RefusedError) as error:
        fault = _unreadable(location, error)
        raise ModelError(fault.rule, fault.text) from error


def problems(
    places: Iterable[Place], folder: Path | None, beside: Beside | None = None
) -> Iterator[Problem]:
    """Yield what is wrong with external data: one problem for all tensors with one fault.

    Args:
        places: every tensor of the model.
        folder: the one the model is in; None for a model that has none.
        beside: says what of that folder may be read; None for all of it.
    """
    files = _Files(folder, beside)
    found: dict[_Fault, list[Location]] = {}
    for place in places:
        if place.tensor.data_location == TensorProto.EXTERNAL:
            fault = _fault(place.tensor, files)
            if fault is not None:
                found.setdefault(fault, []).append(place.location)
    for fault, locations in found.items():
        message = f"{_subject(locations)}: {fault.text}"
        yield Problem(fault.rule, locations[0], message, subject=wording(fault.text))


def locations(model: ModelProto, limits: Limits) -> tuple[str, ...]:
    """Return the names of the files that a model's tensors are in, wherever those hide.

    Raises:
        ModelError: the model is beyond the limits.
    """
    names = {
        entry.value
        for place in tensors_of(model, limits)
        if place.tensor.data_location == TensorProto.EXTERNAL
        for entry in place.tensor.external_data
        if entry.key == "location"
    }
    return tuple(sorted(names))


def _subject(locations: list[Location]) -> str:
    names = ", ".join(shown(location.value) for location in locations[:_TENSORS_NAMED])
    more = len(locations) - _TENSORS_NAMED
    if len(locations) == 1:
        return f"external data of tensor {names}"
    return f"external data of {len(locations)} tensors ({names}{', ...' if more > 0 else ''})"


def _fault(tensor: TensorProto, files: _Files) -> _Fault | None:
    span = _span(tensor)
    if isinstance(span, _Fault):
        return span
    size = files.size(span.location)
    if isinstance(size, _Fault):
        return size
    is_text = tensor.data_type == TensorProto.STRING
    fault = _span_fault(span, size, expected_bytes(tensor), is_text=is_text)
    return files.pointer(span.location) or fault if fault is not None else None


def _span(tensor: TensorProto) -> _Span | _Fault:
    """Read the entries; every key once, each number a plain decimal that fits int64."""
    entries: dict[str, str] = {}
    for entry in tensor.external_data:
        if entry.key not in _KEYS:
            return _Fault(UNSAFE, f"key {shown(entry.key)} is none of {', '.join(sorted(_KEYS))}")
        if entries.setdefault(entry.key, entry.value) != entry.value:
            return _Fault(UNSAFE, f"key {entry.key!r} is given twice, with two values")
    numbers: dict[str, int] = {}
    for key in ("offset", "length"):
        text = entries.get(key)
        if text is None:
            continue
        if _NUMBER.fullmatch(text) is None or int(text) >= 1 << 63:
            return _Fault(UNSAFE, f"{key} {shown(text)} is no number of bytes")
        numbers[key] = int(text)
    if not entries.get("location"):
        return _Fault(MISSING, "no file is named")
    return _Span(entries["location"], numbers.get("offset", 0), numbers.get("length"))


def _span_fault(span: _Span, size: int, need: int | None, *, is_text: bool) -> _Fault | None:
    name = shown(span.location)
    if is_text:
        return _Fault(_SIZE, f"{name} is to hold strings, which only the model itself can hold")
    length = size - span.offset if span.length is None else span.length
    if span.offset + max(length, 0) > size:
        return _Fault(
            MISSING,
            f"the file {name} has {size} bytes and {span.offset + max(length, 0)} are asked for",
        )
    if need is None or length == need:
        return None
    if length < need:
        return _Fault(
            MISSING, f"{name} has {length} bytes for it and its dimensions call for {need}"
        )
    if span.length is not None:
        return _Fault(_SIZE, f"length {length} is given and its dimensions call for {need} bytes")
    return None


def _unsafe_name(location: str) -> _Fault | None:
    faults = (
        (_MEMORY_MARK in location, "is a memory address of the runtime, not a file"),
        ("\0" in location, "contains a NUL character"),
        (_ABSOLUTE.match(location), "is an absolute path"),
        ("\\" in location, "contains a backslash, a folder separator on some systems"),
        (".." in location.split("/"), "leads out of the model's folder"),
        (any(map(beneath.is_gits_name, location.split("/"))), "is in git's own folder"),
        (not os.path.normpath(location).strip("."), "is a folder"),
    )
    for is_so, text in faults:
        if is_so:
            return _Fault(UNSAFE, f"{shown(location)} {text}")
    return None

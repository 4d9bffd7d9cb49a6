"""Digest every tensor payload of a model by streaming; no payload is ever held whole.

A payload of floats has one digest however it is stored: ``raw_data``, ``float_data`` and external
data are the same bytes. Integers in typed fields are digested as protobuf writes them.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from google.protobuf.descriptor import Descriptor
from onnx import ModelProto, TensorProto

from npugate.errors import ModelError
from npugate.findings import rule_names
from npugate.limits import Limits
from npugate.model import external_data, wire
from npugate.model.reader import UNREADABLE, Model
from npugate.model.walk import tensors_of
from npugate.model.wire import Range, Window

_BLOCK: Final = 1 << 20
_DIGITS: Final = 12
_FIELDS_PER_NODE: Final = 10
_FAULTS: Final = external_data.UNREAD | {rule_names.LFS_POINTER}
_LENGTH: Final = 2  # wire type of a field that says how long it is

Read = Callable[[int, int], bytes]
Digests = Mapping[wire.Path, str]
"""Path of a tensor, field numbers and indices from the model down -> 12 hex digits."""


def digests(model: Model, limits: Limits) -> Digests:
    """Return the digest of every tensor that holds data.

    Args:
        model: as ``model.load`` returned it, with a file.
        limits: bounds the fields that are stepped through.

    Raises:
        ModelError: external data is unsafe or missing, or a file cannot be read.
    """
    fault = next((problem for problem in model.problems if problem.rule in _FAULTS), None)
    if fault is not None:
        raise ModelError(fault.rule, fault.message)
    if model.file is None:
        raise ModelError(UNREADABLE, "a model without a file has no weights to digest")
    found: dict[wire.Path, str] = {}
    try:
        with model.file.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size != model.size_bytes:
                raise ModelError(UNREADABLE, "the file changed while it was read")
            fields = max(limits.nodes * _FIELDS_PER_NODE, size if size <= _BLOCK else 0)
            window = Window(partial(os.pread, file.fileno()), size, fields)
            _message(window, [(0, size)], ModelProto.DESCRIPTOR, (), found)
        for place in tensors_of(model.proto, limits):
            if place.tensor.data_location == TensorProto.EXTERNAL:
                found[place.path] = _external(place.tensor, model.file.parent)
    except OSError as error:
        raise ModelError(UNREADABLE, f"the weights cannot be read: {error.strerror}") from error
    except (wire.WireError, wire.SkeletonTooLargeError) as error:
        raise ModelError(UNREADABLE, f"the weights cannot be read: {error}") from error
    return found


def _message(
    window: Window,
    ranges: list[Range],
    kind: Descriptor,
    path: wire.Path,
    found: dict[wire.Path, str],
) -> None:
    if kind is TensorProto.DESCRIPTOR:
        _tensor(window, ranges, path, found)
        return
    children = wire.routes(kind)
    seen: dict[int, int] = defaultdict(int)
    pieces: dict[int, list[Range]] = defaultdict(list)
    for start, end in ranges:
        for _, number, kind_of_wire, body, stop in window.fields(start, end):
            child = children.get(number) if kind_of_wire == _LENGTH else None
            if child is None:
                continue
            if child[1]:
                inner = (*path, number, seen[number])
                seen[number] += 1
                _message(window, [(body, stop)], child[0], inner, found)
            else:
                pieces[number].append((body, stop))
    for number, parts in pieces.items():
        _message(window, parts, children[number][0], (*path, number, 0), found)


def _tensor(
    window: Window, ranges: list[Range], path: wire.Path, found: dict[wire.Path, str]
) -> None:
    held: dict[str, list[Range]] = defaultdict(list)
    for start, end in ranges:
        for _, number, _, body, stop in window.fields(start, end):
            name = wire.PAYLOADS.get(number)
            if name == "raw_data":  # not repeated: the last one counts
                held[name].clear()
            if name is not None:
                held[name].append((body, stop))
    if any(stop > body for parts in held.values() for body, stop in parts):
        digest = hashlib.sha256()
        for name, parts in sorted(held.items()):
            for body, stop in parts:
                if name == "string_data":  # else two strings are as one that joins them
                    digest.update(f"{stop - body}:".encode())
                for at in range(body, stop, _BLOCK):
                    digest.update(window.read(at, min(at + _BLOCK, stop)))
        found[path] = digest.hexdigest()[:_DIGITS]


def _external(tensor: TensorProto, folder: Path) -> str:
    """Digest a part of a side file; the reader found its place safe and long enough."""
    digest = hashlib.sha256()
    for block in external_data.blocks(tensor, folder):
        digest.update(block)
    return digest.hexdigest()[:_DIGITS]

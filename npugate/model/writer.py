"""Read a model with its weights, and write one, with weights in a second file where it had so.

The second file is named after what it holds, so that no file that any model reads is ever written
over: the new weights are there, whole, before the one rename that makes a model of them, and the
old ones until after it. Whoever ends the program at any point leaves the old model or the new one.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto

from npugate import atomic_write, beneath
from npugate.beneath import RefusedError
from npugate.errors import ModelError, UsageError
from npugate.limits import Limits
from npugate.model import external_data
from npugate.model.external_data import UNREAD
from npugate.model.reader import MISMATCH, Model
from npugate.model.utf8 import repair_text
from npugate.model.walk import ANALYSIS_LIMIT, tensors_of

_PROTOBUF_BYTES: Final = 2**31 - 1
_BESIDE_BYTES: Final = 1024  # smaller tensors stay in the model file
_ALIGNMENT: Final = 4096  # of each tensor in the data file, so that it can be mapped
_DIGITS: Final = 16  # of the sha256 that a data file is named after
_NAME_BYTES: Final = 200  # of a model's name in that of its data file; systems allow 255 in all


def check_weights(model: Model) -> None:
    """Refuse a model whose weights nothing may look at.

    Raises:
        ModelError: they were found missing, unsafe or of another size than said.
    """
    for problem in model.problems:
        if problem.rule in {*UNREAD, MISMATCH}:
            raise ModelError(problem.rule, f"its weights cannot be read: {problem.message}")


def load(file: Path, model: Model) -> ModelProto:
    """Read a model that was examined, with its weights.

    Args:
        file: where it is.
        model: as ``model.load`` returned it.

    Raises:
        ModelError: it changed since, is too large to be held in one message, has names that are no
            UTF-8, or weights that were found missing, unsafe or of another size than said.
    """
    check_weights(model)
    size = model.size_bytes + _external_bytes(model.proto)
    if size > _PROTOBUF_BYTES:
        text = f"with its weights the model has {size} bytes; repairs take up to {_PROTOBUF_BYTES}"
        raise ModelError(ANALYSIS_LIMIT, text)
    data = _bytes(file)
    if hashlib.sha256(data).hexdigest() != model.digest:
        raise ModelError(ANALYSIS_LIMIT, "the file changed while it was examined")
    proto = ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(ANALYSIS_LIMIT, f"its weights cannot be read: {error}") from error
    if repair_text(proto):
        raise ModelError(ANALYSIS_LIMIT, "it has names that are no UTF-8, which no tool takes")
    _take_in(proto, file.parent)
    return proto


def _bytes(file: Path) -> bytes:
    try:
        with beneath.resolved(file) as fd, os.fdopen(fd, "rb", closefd=False) as opened:
            return opened.read()
    except (OSError, RefusedError) as error:
        raise ModelError(ANALYSIS_LIMIT, f"the file cannot be read: {error}") from error


def _take_in(model: ModelProto, folder: Path) -> None:
    """Put all external data into the message, wherever its tensors are."""
    for place in tensors_of(model, Limits()):
        tensor = place.tensor
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.raw_data = external_data.payload(tensor, folder)
            tensor.ClearField("data_location")
            tensor.ClearField("external_data")


def digest_of(path: Path) -> str:
    """Return the sha256 of a file, in hex.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error


def save(data: bytes, path: Path, *, beside: bool) -> None:
    """Write a model whole or not at all.

    Args:
        data: the model as one message.
        path: of the file; its folder is made.
        beside: put large weights into ``NAME.DIGEST.data`` in the same folder, written first; what
            another version of the model reads has another name and stays.

    Raises:
        UsageError: the place cannot be written.
    """
    atomic_write.check_place(path)
    if not beside or atomic_write.is_stream(path):
        atomic_write.write_bytes(path, data)
        return
    model = ModelProto.FromString(data)
    large = [item for item in model.graph.initializer if len(item.raw_data) >= _BESIDE_BYTES]
    if large:
        place = _data_place(path, _hashed(_payloads(large)))
        if not place.exists():  # else it is of this content, from a run that was ended
            atomic_write.write_parts(place, _payloads(large), like=path)
        _point(large, place.name)
    atomic_write.write_bytes(path, model.SerializeToString())


def data_files(path: Path) -> list[Path]:
    """Return the files beside a model that ``save`` made for it, now or earlier."""
    form = re.compile(rf"{re.escape(_short(path))}\.([0-9a-f]{{{_DIGITS}}})(?:-[0-9]+)?\.data")
    found = [(file, form.fullmatch(file.name)) for file in sorted(path.parent.iterdir())]
    return [
        file
        for file, name in found
        if name is not None and _is_plain(file) and digest_of(file).startswith(name[1])
    ]


def _short(path: Path) -> str:
    """Return the name of a model, short enough for more to be put behind it."""
    return os.fsencode(path.name)[:_NAME_BYTES].decode("utf-8", "ignore")


def _payloads(tensors: Iterable[TensorProto]) -> Iterator[bytes]:
    """Yield the payloads, aligned."""
    length = 0
    for tensor in tensors:
        payload = tensor.raw_data
        gap = -length % _ALIGNMENT
        yield bytes(gap)
        yield payload
        length += gap + len(payload)


def _point(tensors: Iterable[TensorProto], location: str) -> None:
    """Let tensors point to where ``_payloads`` has put them."""
    length = 0
    for tensor in tensors:
        offset = length + -length % _ALIGNMENT
        length = offset + len(tensor.raw_data)
        size = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        del tensor.external_data[:]
        for key, value in (("location", location), ("offset", offset), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))


def _hashed(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _data_place(path: Path, digest: str) -> Path:
    """Return where weights of this digest go; never where something else is."""
    name = _short(path)
    for more in ("", *(f"-{number}" for number in range(2, 100))):
        place = path.with_name(f"{name}.{digest[:_DIGITS]}{more}.data")
        if not os.path.lexists(place) or (_is_plain(place) and digest_of(place) == digest):
            return place
    raise UsageError(f"cannot write {place}: files of other content have every name for it")


def _is_plain(place: Path) -> bool:
    """Tell whether a file is one that models are read from: no link, and of one name only."""
    status = place.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _external_bytes(model: ModelProto) -> int:
    return sum(
        int(entry.value)
        for item in model.graph.initializer
        for entry in item.external_data
        if entry.key == "length" and entry.value.isdecimal()
    )

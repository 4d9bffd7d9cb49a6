"""Read a model with its weights, and write one, with weights in a second file where it had so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto
from onnx.checker import ValidationError
from onnx.external_data_helper import load_external_data_for_model

from npugate import atomic_write
from npugate.errors import ModelError, UsageError
from npugate.model.external_data import MISSING, UNSAFE
from npugate.model.reader import MISMATCH, Model
from npugate.model.utf8 import repair_text
from npugate.model.walk import ANALYSIS_LIMIT

_PROTOBUF_BYTES: Final = 2**31 - 1
_BESIDE_BYTES: Final = 1024  # smaller tensors stay in the model file
_ALIGNMENT: Final = 4096  # of each tensor in the data file, so that it can be mapped


def load(file: Path, model: Model) -> ModelProto:
    """Read a model that was examined, with its weights.

    Args:
        file: where it is.
        model: as ``model.load`` returned it.

    Raises:
        ModelError: it changed since, is too large to be held in one message, has names that are no
            UTF-8, or weights that were found missing, unsafe or of another size than said.
    """
    for problem in model.problems:
        if problem.rule in {UNSAFE, MISSING, MISMATCH}:
            raise ModelError(problem.rule, f"its weights cannot be read: {problem.message}")
    size = model.size_bytes + _external_bytes(model.proto)
    if size > _PROTOBUF_BYTES:
        text = f"with its weights the model has {size} bytes; repairs take up to {_PROTOBUF_BYTES}"
        raise ModelError(ANALYSIS_LIMIT, text)
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != model.digest:
        raise ModelError(ANALYSIS_LIMIT, "the file changed while it was examined")
    proto = ModelProto()
    try:
        proto.ParseFromString(data)
        if is_external(model.proto):
            load_external_data_for_model(proto, str(file.parent))
    except (DecodeError, ValidationError, OSError, ValueError) as error:
        raise ModelError(ANALYSIS_LIMIT, f"its weights cannot be read: {error}") from error
    if repair_text(proto):
        raise ModelError(ANALYSIS_LIMIT, "it has names that are no UTF-8, which no tool takes")
    return proto


def is_external(model: ModelProto) -> bool:
    """Tell whether a model keeps weights in other files."""
    return any(item.data_location == TensorProto.EXTERNAL for item in model.graph.initializer)


def digest(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(data: bytes, path: Path, *, beside: bool) -> None:
    """Write a model whole or not at all.

    Args:
        data: the model as one message.
        path: of the file; its folder is made.
        beside: put large weights into ``NAME.data`` in the same folder, written first.

    Raises:
        UsageError: the place cannot be written.
    """
    if not beside:
        atomic_write.write_bytes(path, data)
        return
    model = ModelProto.FromString(data)
    location = f"{path.name}.data"
    atomic_write.write_parts(path.with_name(location), _payloads(model, location))
    atomic_write.write_bytes(path, model.SerializeToString())


def _payloads(model: ModelProto, location: str) -> Iterator[bytes]:
    """Yield the large payloads, aligned; their tensors then point to where they are."""
    length = 0
    for tensor in model.graph.initializer:
        payload = tensor.raw_data
        if len(payload) >= _BESIDE_BYTES:
            gap = -length % _ALIGNMENT
            yield bytes(gap)
            yield payload
            _point(tensor, location, length + gap, len(payload))
            length += gap + len(payload)


def back_up(path: Path) -> Path:
    """Copy a file to ``NAME.bak`` beside it; an older copy is never overwritten.

    Raises:
        UsageError: the place cannot be written, or holds a copy already.
    """
    copy = path.with_name(f"{path.name}.bak")
    if copy.exists():
        raise UsageError(f"{copy} exists already; move it away, or leave --backup out")
    atomic_write.write_bytes(copy, path.read_bytes())
    return copy


def _external_bytes(model: ModelProto) -> int:
    return sum(
        int(entry.value)
        for item in model.graph.initializer
        for entry in item.external_data
        if entry.key == "length" and entry.value.isdecimal()
    )


def _point(tensor: TensorProto, location: str, offset: int, length: int) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))

"""Read a model for work on its numbers: safe to read, with weights, and its inputs as ports."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from onnx import ModelProto

from npugate.errors import ModelError, UsageError
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model import writer
from npugate.model.reader import Model, load
from npugate.model.tracked import Tracked
from npugate.proof.samples import Port, bounds


class Opened(Struct, frozen=True):
    """A model with its weights.

    Attributes:
        path: as given.
        model: as the loader returned it.
        facts: what is known of it.
        proto: with weights.
        ports: its inputs; a symbolic batch is 1.
    """

    path: Path
    model: Model
    facts: Facts
    proto: ModelProto
    ports: tuple[Port, ...]


def open_model(path: Path, limits: Limits, tracked: Tracked | None = None) -> Opened:
    """Read a model; called in a worker.

    Args:
        path: of the file.
        limits: of the reader.
        tracked: what git tracks; the weights of a model that it binds must be so, too.

    Raises:
        UsageError: it cannot be read, or an input has no fixed size.
    """
    try:
        model = load(path, str(path), limits, tracked)
        facts = Facts(model, limits)
        proto = writer.load(path, model)
    except ModelError as error:
        raise UsageError(f"{path}: {error}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    tops = bounds(proto)
    ports: list[Port] = []
    for tensor in facts.main.inputs:
        dims = tensor.static_shape
        if not tensor.dtype:
            raise UsageError(f"{path}: the input {tensor.name!r} has no data type that exists")
        if dims is None:
            raise UsageError(
                f"{path}: the input {tensor.name!r} has no fixed size; give it one: "
                f"npugate fix {path} --shape {tensor.name}=1,3,224,224"
            )
        ports.append(Port(tensor.name, tensor.dtype, dims, tops.get(tensor.name, 4)))
    if not ports:
        raise UsageError(f"{path}: the model has no input")
    return Opened(path, model, facts, proto, tuple(ports))

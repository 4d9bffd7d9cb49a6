"""Read a model file without reading its weights, and without trusting it."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError
from msgspec import Struct
from msgspec.structs import replace
from onnx import ModelProto

from npugate import beneath
from npugate.beneath import RefusedError
from npugate.errors import ModelError
from npugate.findings import rule_names
from npugate.findings.values import Problem
from npugate.limits import Limits
from npugate.model import external_data, filetype, wire
from npugate.model.diagnose import explain
from npugate.model.payload import counts_of, drop_large, holds_data, mismatch
from npugate.model.tracked import Beside, Tracked
from npugate.model.utf8 import repair_text
from npugate.model.walk import ANALYSIS_LIMIT, Place, shown, tensors_of
from npugate.model.wire import KEEP_BYTES, Counts, Window, WireError
from npugate.sha256 import hasher, sha256

__all__ = ["KEEP_BYTES", "Model", "holds_data", "load", "read"]

UNREADABLE: Final = rule_names.UNREADABLE_MODEL
MISMATCH: Final = rule_names.TENSOR_DATA_MISMATCH

_DIRECT_BYTES: Final = 1 << 20  # up to here parsing everything beats stepping over payloads
_BLOCK: Final = 1 << 18
_SKELETON_BYTES: Final = 128 << 20  # real ones, with a stack trace on every node, stay below 20 MB
_PROTOBUF_BYTES: Final = 2**31 - 1
_FIELDS_PER_NODE: Final = 10
_PROBLEMS_PER_RULE: Final = 100


class Model(Struct, frozen=True):
    """A model as it was found.

    Attributes:
        path: as reported: relative to the repository root, forward slashes.
        file: where the bytes are; None for a model made in memory.
        digest: sha256 of the file, hex.
        size_bytes: of the file.
        proto: the model; payloads of tensors above ``KEEP_BYTES`` are dropped, everything else is
            as in the file (text that is no UTF-8 is escaped). ``holds_data`` tells for one tensor.
        problems: faults seen while reading (external data, payload sizes).
    """

    path: str
    file: Path | None
    digest: str
    size_bytes: int
    proto: ModelProto
    problems: tuple[Problem, ...] = ()


def load(file: Path, path: str, limits: Limits, tracked: Tracked | None = None) -> Model:
    """Read a model file.

    Args:
        file: the file to read.
        path: the name to report it under.
        limits: bounds on size, depth and node count.
        tracked: what git tracks; the weights of a model that it binds must be so, too.

    Raises:
        ModelError: it cannot be read; carries the name of the rule that reports it.
    """
    with _opened(file) as (fd, before):
        size = before.st_size
        _check_size(size, limits)
        window = Window(partial(os.pread, fd), size, limits.nodes * _FIELDS_PER_NODE)
        dropped: Mapping[wire.Path, Counts] = {}
        try:
            if size <= _DIRECT_BYTES:
                data = window.read(0, size)
                digest = sha256(data)
                proto = _parse(data, window, limits)
            else:
                digest = _digest(fd, size)
                proto, dropped = _parse_skeleton(window, limits)
        except WireError as error:
            raise ModelError(UNREADABLE, f"the file cannot be read: {error}") from error
        finally:
            _check_unchanged(file, before, os.fstat(fd))
    beside = None if tracked is None else Beside(tracked, file)
    problems = _examine(proto, dropped, file.parent, limits, beside)
    return Model(path, file, digest, size, proto, problems)


def read(data: bytes, path: str, limits: Limits, folder: Path | None = None) -> Model:
    """Read a model from memory; otherwise as ``load``.

    Args:
        data: the bytes of a model file.
        path: the name to report it under.
        limits: bounds on size, depth and node count.
        folder: where external data is looked for; None when there is no such place.

    Raises:
        ModelError: it is no model.
    """
    _check_size(len(data), limits)
    window = Window(lambda length, at: data[at : at + length], len(data), 0)
    proto = _parse(data, window, limits)
    problems = _examine(proto, {}, folder, limits)
    return Model(path, None, sha256(data), len(data), proto, problems)


@contextmanager
def _opened(file: Path) -> Iterator[tuple[int, os.stat_result]]:
    """Open a plain file; anything else is refused before it is opened, for opening may act."""
    with ExitStack() as stack:
        try:
            if not stat.S_ISREG(file.stat().st_mode):
                raise ModelError(UNREADABLE, "it is a folder, pipe or device, not a file")
            fd = stack.enter_context(beneath.resolved(file))
            status = os.fstat(fd)
        except RefusedError as error:
            raise ModelError(UNREADABLE, f"the file {error}") from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ModelError(UNREADABLE, f"the file cannot be opened: {reason}") from error
        try:
            yield fd, status
        except OSError as error:
            raise ModelError(UNREADABLE, f"the file cannot be read: {error.strerror}") from error


def _check_size(size: int, limits: Limits) -> None:
    if size == 0:
        raise ModelError(UNREADABLE, "the file is empty: fetch or export the model again")
    if size > limits.model_bytes:
        raise ModelError(
            ANALYSIS_LIMIT,
            f"the file has {size} bytes, more than the {limits.model_bytes} that are examined",
        )
    if size > _PROTOBUF_BYTES:
        raise ModelError(
            UNREADABLE,
            f"the file has {size} bytes and no protobuf reader takes more than {_PROTOBUF_BYTES}: "
            "save the weights as external data",
        )


def _check_unchanged(file: Path, before: os.stat_result, after: os.stat_result) -> None:
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ModelError(
            UNREADABLE,
            f"{shown(file.name)} changed while it was read: check it when it is complete",
        )


def file_digest(file: Path, limits: Limits) -> str:
    """Return the sha256 of a file, hex; empty for what is no plain file or too large to be read."""
    try:
        with _opened(file) as (fd, status):
            return _digest(fd, status.st_size) if status.st_size <= limits.model_bytes else ""
    except ModelError:
        return ""


def _digest(fd: int, size: int) -> str:
    digest = hasher(size)
    block = memoryview(bytearray(_BLOCK))
    at = 0
    while at < size:
        length = os.preadv(fd, [block], at)
        if length == 0:
            break  # it has shrunk: the comparison of sizes afterwards says so
        digest.update(block[:length])
        at += length
    return digest.hexdigest()


def _parse(data: bytes, window: Window, limits: Limits) -> ModelProto:
    """Parse a whole file, or the skeleton of the one that ``window`` is on."""
    head = window.read(0, min(window.size, filetype.HEAD_BYTES))
    pointer = filetype.lfs_pointer(head)
    if pointer is not None:
        raise ModelError(filetype.LFS_POINTER, f"the file is {pointer}")
    proto = ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise _not_a_model(window, limits) from error
    if not _is_model(proto):
        raise _not_a_model(window, limits)
    return proto


def _is_model(proto: ModelProto) -> bool:
    """Tell a model from bytes that happen to parse: protobuf accepts much noise."""
    if not proto.HasField("graph"):
        return False
    return bool(proto.ir_version or proto.opset_import or proto.graph.ByteSize())


def _parse_skeleton(
    window: Window, limits: Limits
) -> tuple[ModelProto, Mapping[wire.Path, Counts]]:
    try:
        skeleton = wire.skip_payloads(window, _SKELETON_BYTES)
    except WireError as error:
        raise _not_a_model(window, limits) from error
    except wire.SkeletonTooLargeError as error:
        raise ModelError(
            ANALYSIS_LIMIT,
            f"the model holds more than {_SKELETON_BYTES} bytes besides its weights, or more than "
            f"{limits.nodes * _FIELDS_PER_NODE} fields",
        ) from error
    return _parse(skeleton.data, window, limits), skeleton.dropped


def _not_a_model(window: Window, limits: Limits) -> ModelError:
    head = window.read(0, min(window.size, filetype.HEAD_BYTES))
    kind = filetype.describe(head)
    if kind is not None:
        return ModelError(UNREADABLE, f"the file is {kind}")
    return explain(window, limits)


def _examine(
    proto: ModelProto,
    dropped: Mapping[wire.Path, Counts],
    folder: Path | None,
    limits: Limits,
    beside: Beside | None = None,
) -> tuple[Problem, ...]:
    """Find faults of the tensors and drop what is still held of the large ones."""
    places = tensors_of(proto, limits)
    if repair_text(proto):
        places = tensors_of(proto, limits)  # the places are named after the text
    found = [*_payload_problems(places, dropped), *external_data.problems(places, folder, beside)]
    for place in places:
        drop_large(place.tensor)
    return tuple(_first_of_each(found))


def _payload_problems(
    places: Iterable[Place], dropped: Mapping[wire.Path, Counts]
) -> Iterator[Problem]:
    for place in places:
        counts = {**counts_of(place.tensor), **dropped.get(place.path, {})}
        reason = mismatch(place.tensor, counts)
        if reason is not None:
            location = place.location
            yield Problem(MISMATCH, location, f"tensor {shown(location.value)}: {reason}")


def _first_of_each(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield the first problems of each rule, the last of them with the number left out."""
    numbers = Counter[str]()
    last: dict[str, Problem] = {}
    for problem in problems:
        numbers[problem.rule] += 1
        if numbers[problem.rule] < _PROBLEMS_PER_RULE:
            yield problem
        else:
            last.setdefault(problem.rule, problem)
    for rule, problem in last.items():
        more = numbers[rule] - _PROBLEMS_PER_RULE
        suffix = f" (and {more} more like it)" if more else ""
        yield replace(problem, message=problem.message + suffix)

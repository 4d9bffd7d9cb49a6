"""Put a repaired model in the place of its original, so that nothing is lost at any moment.

The order is what makes it safe: the backup of the weights, the backup of the model, the new weights
under a name of their own, the model, and only then does the old model's data go, unless something
else may read it. Each file is there whole or not at all, so whoever is ended between two of these
steps has a model that loads with its own weights.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from npugate import atomic_write
from npugate.errors import UsageError
from npugate.model import writer
from npugate.repository.file_marks import Mark, changed
from npugate.repository.weight_readers import reader_of

BACKUP: Final = ".bak"
_BLOCK: Final = 1 << 22


def put(data: bytes, model: Path, weights: tuple[Mark, ...], *, backup: bool) -> tuple[str, ...]:
    """Replace a model, whose file is known to be the one that was repaired.

    Args:
        data: the repaired model as one message.
        model: the file.
        weights: the files of the original's weights, as they were when they were read.
        backup: keep the original and its weights as ``NAME.bak``.

    Returns:
        A sentence for each old file of weights that stays.

    Raises:
        UsageError: something cannot be written, or the weights changed meanwhile; the model is then
            what it was.
    """
    atomic_write.check_place(model)
    if changed(model.parent, weights):
        raise UsageError(f"the weights of {model} changed while it was repaired; it stays as it is")
    places = [model.parent / mark.name for mark in weights]
    if backup:
        _back_up(model, places)
    writer.save(data, model, beside=bool(weights))
    return tuple(_cleared(model, places))


def put_copy(data: bytes, path: Path, *, beside: bool) -> None:
    """Write a repaired copy; the weights of the copy that it replaces go.

    Args:
        data: the repaired model as one message.
        path: where the copy goes.
        beside: put large weights into a file of their own.

    Raises:
        UsageError: it cannot be written; an older copy is then what it was.
    """
    writer.save(data, path, beside=beside)
    for file in writer.data_files(path):
        if not reader_of(file, path):  # the copy itself is a reader of its own
            with contextlib.suppress(OSError):  # it costs room and nothing else
                file.unlink()


def _back_up(model: Path, weights: Iterable[Path]) -> None:
    """Copy a model and its weights; a copy of other content is never written over."""
    pairs = [(file, file.with_name(f"{file.name}{BACKUP}")) for file in (*weights, model)]
    missing = [(file, copy) for file, copy in pairs if not _is_copy(copy, file)]
    for file, copy in missing:  # the model last: where its copy is, the weights' are
        atomic_write.write_parts(copy, _blocks(file), like=file)


def _is_copy(copy: Path, file: Path) -> bool:
    """Tell whether a backup is there, as another model or a run that was ended may have left it."""
    if not os.path.lexists(copy):
        return False
    is_plain = copy.is_file() and not copy.is_symlink()
    if not is_plain or writer.digest_of(copy) != writer.digest_of(file):
        raise UsageError(f"{copy} exists already; move it away, or leave --backup out")
    return True


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def _cleared(model: Path, weights: Iterable[Path]) -> Iterator[str]:
    """Remove what only the old model read; yield why something stays."""
    for file in weights:
        why = reader_of(file, model)
        if not why:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                why = error.strerror or str(error)
        if why:
            yield f"{file}, which {model} used to read, stays: {why}"

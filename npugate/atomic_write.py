"""Write a file whole or not at all: beside its destination, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from npugate.errors import UsageError

_HEAD: Final = 65_536  # bytes; weights have a zero in fewer


def write_text(path: Path, text: str) -> None:
    """Replace a file with a text in UTF-8; parent folders are made.

    Raises:
        UsageError: the place cannot be written, or has a file that is no text, such as a model;
            what stood there before is untouched.
    """
    if path.is_file() and _is_data(path):
        raise UsageError(f"cannot write {path}: the file there is no text; choose another name")
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file with bytes, as ``write_text`` does."""
    write_parts(path, (data,))


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Replace a file with bytes that are made as they are written, otherwise as ``write_bytes``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, beside = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        Path(beside).chmod(mode)
        Path(beside).replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            Path(beside).unlink()
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def _is_data(path: Path) -> bool:
    """Tell whether a file is a model or other data, which no report may take the place of."""
    if path.suffix.lower() == ".onnx":
        return True
    try:
        with path.open("rb") as file:
            return b"\0" in file.read(_HEAD)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

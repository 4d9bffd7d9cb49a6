"""Find out whether anything but one model still needs a file of weights.

A model names its weights relative to its own folder and never upwards, so whoever names a file is
in its folder or in one above, or reaches it by a link. The names are looked for in the bytes of
files and not by parsing: that finds too many at worst, and a file too many costs only room.
Whatever cannot be looked at counts as a reader, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from npugate.repository import git

_SUFFIXES: Final = (".onnx", ".bak", ".ort", ".pb", ".onnxtxt", ".textproto", ".onnxjson", ".json")
"""What models are called, in folders that hold other things than models."""
_MODEL_BYTES: Final = 2**31 - 1  # no protobuf reader takes more, so no larger file is a model
_MOST_BYTES: Final = 1 << 33  # looked through for one file of weights
_MOST_ENTRIES: Final = 1_000_000
_BLOCK: Final = 1 << 20
TOO_MUCH: Final = "there is too much beside it to look through"


def reader_of(weights: Path, model: Path) -> str:
    """Return what else needs a file of weights, as a phrase; empty when nothing does.

    Args:
        weights: the file.
        model: that does not name it any more; looked at like all others.
    """
    weights, folder = Path(os.path.realpath(weights)), Path(os.path.realpath(model.parent))
    name, left = os.fsencode(weights.name), _MOST_BYTES
    try:
        for place in weights.parents:
            # Up to the model's folder any file may be a model; further up, what is called so.
            for file in _files(place, every=place.is_relative_to(folder)):
                size = file.stat().st_size
                if file.samefile(weights) or size > _MODEL_BYTES:
                    continue
                left -= size
                if left < 0:
                    return TOO_MUCH
                if _mentions(file, name):
                    return f"{file} may read it"
        return _link_to(weights, _top(folder))
    except OSError as error:
        return f"{error.filename} cannot be looked at: {error.strerror}"


def _top(folder: Path) -> Path:
    """Return the folder below which links are looked for."""
    cwd = Path.cwd()
    return git.root_above(folder) or (cwd if folder.is_relative_to(cwd) else folder)


def _files(folder: Path, *, every: bool) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if (every or entry.name.lower().endswith(_SUFFIXES)) and entry.is_file():
                yield Path(entry.path)


def _mentions(file: Path, name: bytes) -> bool:
    tail = b""
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            block = tail + block
            if name in block:
                return True
            tail = block[-len(name) :]
    return False


def _link_to(weights: Path, top: Path) -> str:
    """Return the first link below a folder that leads to a file, or to a folder that it is in."""
    waiting, entries_left = [top], _MOST_ENTRIES
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                entries_left -= 1
                if entries_left < 0:
                    return TOO_MUCH
                if entry.is_symlink():
                    if weights.is_relative_to(os.path.realpath(entry.path)):
                        return f"{entry.path} leads to it"
                elif entry.is_dir() and entry.name != ".git":
                    waiting.append(Path(entry.path))
    return ""

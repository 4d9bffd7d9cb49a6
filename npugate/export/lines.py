"""Make the stack traces of an exported model relative, and find the line of a finding.

An exporter writes absolute paths of the exporting machine into the file. Frames of libraries say
nothing about the user's code and are dropped; what is left is relative to the working folder.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from onnx import ModelProto

from npugate.findings.values import Frame

_KEY: Final = "pkg.torch.onnx.stack_trace"
_DYNAMO: Final = re.compile(r'^(\s*File ")([^"\n]+)(", line \d+, in \S+)$')
_TORCHSCRIPT: Final = re.compile(r"^(\s*)(\S[^\n]*\.py)(\(\d+\): \S+)$")
_LIBRARY: Final = re.compile(r"(^|/)(site-packages|dist-packages|lib/python\d[^/]*)/|^<")
_OURS: Final = Path(__file__).resolve().parents[1]
_TAIL: Final = 2  # parts of a path that are kept of a file elsewhere


def relocate(model: ModelProto, folder: Path) -> None:
    """Rewrite the traces in place.

    Args:
        model: as an exporter wrote it.
        folder: to which paths become relative.
    """
    for node in model.graph.node:
        for entry in node.metadata_props:
            if entry.key == _KEY:
                entry.value = _own(entry.value, folder, _DYNAMO)
        if ".py(" in node.doc_string:
            node.doc_string = _own(node.doc_string, folder, _TORCHSCRIPT)


def _own(trace: str, folder: Path, form: re.Pattern[str]) -> str:
    kept: list[str] = []
    wanted = False
    for line in trace.split("\n"):
        match = form.match(line)
        if match is None:
            if wanted:
                kept.append(line)
            continue
        path = _relative(match[2], folder)
        wanted = bool(path)
        if wanted:
            kept.append(f"{match[1]}{path}{match[3]}")
    return "\n".join(kept)


def _relative(name: str, folder: Path) -> str:
    """Return a path relative to the folder; empty for a library's or our own."""
    path = Path(name)
    if path.is_relative_to(_OURS):
        return ""
    if path.is_relative_to(folder):
        inside = path.relative_to(folder).as_posix()
        return "" if _LIBRARY.search(inside) else inside
    if _LIBRARY.search(name):
        return ""
    return Path(*path.parts[-_TAIL:]).as_posix() if path.is_absolute() else name


def finder(folder: Path, code: Path | None) -> Callable[[Sequence[Frame]], tuple[str, int, str]]:
    """Return a function that gives file, line and text of the innermost frame of a trace.

    Args:
        folder: to which the traces are relative.
        code: the folder of the user's module, for files outside of ``folder``.
    """

    def find(frames: Sequence[Frame]) -> tuple[str, int, str]:
        for frame in frames:
            text = frame.text or _text(frame)
            return frame.file, frame.line, text.strip()
        return "", 0, ""

    def _text(frame: Frame) -> str:
        places = [folder / frame.file]
        if code is not None:
            places.append(code / Path(frame.file).name)
        texts = (linecache.getline(str(place), frame.line) for place in places)
        return next((text for text in texts if text), "")

    return find

"""Which line of Python made a node: read from what the exporter left in the file.

torch's dynamo exporter writes ``pkg.torch.onnx.stack_trace`` into the metadata of every node,
outermost frame first, with the text of each line. The TorchScript exporter, with ``verbose=True``,
writes ``file.py(27): forward`` lines into the node's doc string, innermost first.
"""

from __future__ import annotations

import re
from typing import Final

from onnx import NodeProto

from npugate.findings.values import Frame

_TRACE_KEY: Final = "pkg.torch.onnx.stack_trace"
_DYNAMO: Final = re.compile(r'^\s*File "([^"\n]+)", line (\d{1,7}), in (\S+)', re.MULTILINE)
_TORCHSCRIPT: Final = re.compile(r"^\s*(\S[^\n]*\.py)\((\d{1,7})\): (\S+)", re.MULTILINE)
_MAX_TEXT: Final = 65_536  # a hostile doc string must not cost more than a real trace


def frames(node: NodeProto) -> tuple[Frame, ...]:
    """Return the stack trace of a node, innermost frame first; empty when there is none."""
    for entry in node.metadata_props:
        if entry.key == _TRACE_KEY:
            return _dynamo(entry.value[:_MAX_TEXT])
    if ".py(" in node.doc_string[:_MAX_TEXT]:
        found = _TORCHSCRIPT.finditer(node.doc_string[:_MAX_TEXT])
        return tuple(Frame(m[1], int(m[2]), m[3]) for m in found)
    return ()


def _dynamo(text: str) -> tuple[Frame, ...]:
    matches = list(_DYNAMO.finditer(text))
    if not matches:  # it is not what the exporter writes
        return ()
    ends = [match.start() for match in matches[1:]] + [len(text)]
    found = [
        Frame(match[1], int(match[2]), match[3], _line_after(text[match.end() : end]))
        for match, end in zip(matches, ends, strict=True)
    ]
    return tuple(reversed(found))


def _line_after(text: str) -> str:
    lines = text.split("\n")
    return lines[1].strip() if len(lines) > 1 else ""

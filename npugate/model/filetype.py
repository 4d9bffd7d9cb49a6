"""Tell what a file is that is no ONNX model, so that the message can say what to do."""

from __future__ import annotations

import re
from typing import Final

from npugate.findings import rule_names

LFS_POINTER: Final = rule_names.LFS_POINTER
POINTER_BYTES: Final = 1024  # the largest pointer that git-lfs itself accepts
HEAD_BYTES: Final = 1024

_POINTER: Final = b"version https://git-lfs.github.com/spec/v1"
_OID: Final = re.compile(rb"^oid (sha256:[0-9a-f]{64})\r?$", re.MULTILINE)
_SIZE: Final = re.compile(rb"^size ([0-9]{1,19})\r?$", re.MULTILINE)

_AT_START: Final[tuple[tuple[bytes, str], ...]] = (
    (b"PK\x03\x04", "a zip archive (a torch, keras or npz file?): unpack or export it"),
    (b"\x1f\x8b", "gzip data: unpack it with gunzip"),
    (b"BZh", "bzip2 data: unpack it"),
    (b"\xfd7zXZ\x00", "xz data: unpack it"),
    (b"\x28\xb5\x2f\xfd", "zstd data: unpack it"),
    (b"\x89HDF", "an HDF5 file (a keras model?): export it to ONNX"),
    (b"\x93NUMPY", "a numpy array"),
    (b"GGUF", "a GGUF model, which is no ONNX"),
    (b"\x89PNG", "a PNG image"),
    (b"\x7fELF", "a program"),
    (b"<<<<<<< ", "a file with unresolved merge conflicts"),
)
_PICKLE: Final = re.compile(rb"\x80[\x02-\x05][\x95}\]\(cX\x8a]")
_HTML: Final = re.compile(rb"\s*<(!doctype|html|\?xml|head|body)", re.IGNORECASE)
_TEXT_PROTO: Final = re.compile(
    rb"\s*(ir_version\s*:|producer_name\s*:|graph\s*\{|opset_import\s*\{)"
)
_ONNX_TEXT: Final = re.compile(rb"\s*<\s*ir_version\s*:")
_JSON: Final = re.compile(rb'\s*\{\s*"')
_TFLITE: Final = re.compile(rb".{4}TFL3", re.DOTALL)
_ORT: Final = re.compile(rb".{4}ORTM", re.DOTALL)
_TAR: Final = re.compile(rb".{257}ustar", re.DOTALL)
_ZEROS: Final = re.compile(rb"\0+\Z")
_PATTERNS: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = (
    (_TFLITE, "a TensorFlow Lite model: check the ONNX file it was made from"),
    (_ORT, "an ONNX Runtime (.ort) model: check the .onnx file it was made from"),
    (_TAR, "a tar archive: unpack it"),
    (_ZEROS, "nothing but zero bytes at its start: copy or fetch the model again"),
    (_PICKLE, "a Python pickle (a torch checkpoint?): export it to ONNX"),
    (_HTML, "an HTML or XML page (a failed download?): fetch the model again"),
    (_TEXT_PROTO, "a model in protobuf text format: convert it with onnx.load and onnx.save"),
    (_ONNX_TEXT, "a model in ONNX text syntax: convert it with onnx.parser.parse_model"),
    (_JSON, "JSON text: convert it with onnx.load and onnx.save"),
)


def lfs_pointer(data: bytes) -> str | None:
    """Describe a Git LFS pointer and what to do about it; None when the bytes are none."""
    if not data.startswith(_POINTER):
        return None
    oid, size = _OID.search(data), _SIZE.search(data)
    what = f" (oid {oid[1].decode()}, {size[1].decode()} bytes)" if oid and size else ""
    return (
        f"a Git LFS pointer{what}, not the file it stands for: "
        "check out with `lfs: true`, or run `git lfs pull`"
    )


def lfs_identity(data: bytes) -> tuple[str, int] | None:
    """Return sha256 and bytes of the file that a Git LFS pointer stands for; None without both."""
    if len(data) > POINTER_BYTES or not data.startswith(_POINTER):
        return None
    oid, size = _OID.search(data), _SIZE.search(data)
    return (oid[1].decode().removeprefix("sha256:"), int(size[1])) if oid and size else None


def lfs_size(data: bytes) -> int | None:
    """Return the bytes of the file that a Git LFS pointer stands for; None when it is none."""
    size = _SIZE.search(data) if data.startswith(_POINTER) else None
    return int(size[1]) if size else None


def lfs_target(data: bytes) -> tuple[str, int] | None:
    """Return the sha256 and the bytes of the file that a Git LFS pointer stands for."""
    oid, size = _OID.search(data), lfs_size(data)
    return None if oid is None or size is None else (oid[1].decode().partition(":")[2], size)


def describe(head: bytes) -> str | None:
    """Say what kind of file begins with these bytes; None when it is none that is known."""
    for magic, text in _AT_START:
        if head.startswith(magic):
            return text
    for pattern, text in _PATTERNS:
        if pattern.match(head):
            return text
    return None

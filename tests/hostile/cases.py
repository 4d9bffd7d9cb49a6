"""Malformed and hostile model files, each made by a function of ours, with what the reader says.

``CASES`` maps a name to a ``Case``. ``write(folder)`` writes the file, and what it needs beside it,
and returns its path. ``expect`` are the rules that reading it must report; ``()`` means that the
reader has nothing to say (the graph may still be wrong for other rules).
"""

from __future__ import annotations

import gzip
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
)

UNREADABLE = ("unreadable-model",)
POINTER = ("lfs-pointer",)
UNSAFE = ("unsafe-external-data",)
MISSING = ("missing-external-data",)
LIMIT = ("analysis-limit",)
MISMATCH = ("tensor-data-mismatch",)
CLEAN = ()


@dataclass(frozen=True, slots=True)
class Case:
    write: Callable[[Path], Path]
    expect: tuple[str, ...]


CASES: dict[str, Case] = {}


def _case(name: str, expect: tuple[str, ...], write: Callable[[Path], Path]) -> None:
    assert name not in CASES, name
    CASES[name] = Case(write, expect)


def _bytes(name: str, expect: tuple[str, ...], make: Callable[[], bytes]) -> None:
    def write(folder: Path) -> Path:
        path = folder / "model.onnx"
        path.write_bytes(make())
        return path

    _case(name, expect, write)


def _edit(name: str, expect: tuple[str, ...], change: Callable[[ModelProto], object]) -> None:
    def make() -> bytes:
        model = good()
        change(model)
        return model.SerializeToString()

    _bytes(name, expect, make)


def good() -> ModelProto:
    """Make a valid model: one convolution with its weight."""
    weight = numpy_helper.from_array(np.full((4, 3, 3, 3), 0.5, np.float32), "w")
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 6])
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    graph = helper.make_graph([node], "net", [image], [result], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


# --- bytes that are no model ---------------------------------------------------------------------

_OID = "0123456789abcdef" * 4
_LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{_OID}\nsize 1234567\n"

_bytes("good", CLEAN, lambda: good().SerializeToString())
_bytes("empty file", UNREADABLE, lambda: b"")
_bytes("one byte", UNREADABLE, lambda: b"\x08")
_bytes("lfs pointer", POINTER, _LFS.encode)
_bytes("lfs pointer with CRLF", POINTER, lambda: _LFS.replace("\n", "\r\n").encode())
_bytes("lfs pointer cut short", POINTER, _LFS[:60].encode)
_bytes("html page", UNREADABLE, lambda: b"\n<!DOCTYPE html><html><body>404</body></html>")
_bytes("gzip", UNREADABLE, lambda: gzip.compress(good().SerializeToString(), mtime=0))
_bytes("pickle", UNREADABLE, lambda: pickle.dumps({"state": [1, 2]}, protocol=4))
_bytes("tflite", UNREADABLE, lambda: b"\x1c\0\0\0TFL3" + bytes(64))
_bytes("ort flatbuffer", UNREADABLE, lambda: b"\x18\0\0\0ORTM" + bytes(64))
_bytes("json", UNREADABLE, lambda: json.dumps({"irVersion": "8", "graph": {}}).encode())
_bytes("text format", UNREADABLE, lambda: str(good()).encode())
_bytes("onnx text", UNREADABLE, lambda: onnx.printer.to_text(good()).encode())
_bytes("plain words", UNREADABLE, lambda: b"this is not a model\n")
_bytes("zero bytes", UNREADABLE, lambda: bytes(5000))
_bytes("two mebibytes of zero bytes", UNREADABLE, lambda: bytes(2 << 20))
_bytes("trailing zero bytes", UNREADABLE, lambda: good().SerializeToString() + bytes(512))
_bytes("trailing words", UNREADABLE, lambda: good().SerializeToString() + b"the end")
_bytes("utf-16 byte order mark", UNREADABLE, lambda: b"\xff\xfe" + good().SerializeToString())
_bytes("empty protobuf with a version", UNREADABLE, lambda: b"\x08\x08")
_bytes("empty graph and nothing else", UNREADABLE, lambda: b"\x3a\x00")
_bytes("unknown fields only", UNREADABLE, lambda: b"\xfa\x07\x03abc")
_bytes("unknown fields in a model", CLEAN, lambda: good().SerializeToString() + b"\xfa\x07\x03abc")
_bytes("group without an end", UNREADABLE, lambda: good().SerializeToString() + b"\xf3\x07")
_bytes("groups nested 10000 deep", UNREADABLE, lambda: b"\x08\x08" + b"\xf3\x07" * 10_000)
_bytes("tag of six bytes", UNREADABLE, lambda: b"\x88\x80\x80\x80\x80\x00\x01")
_bytes("length of four exabytes", UNREADABLE, lambda: b"\x08\x08\x3a" + b"\xff" * 8 + b"\x3f")
_bytes("a cut large model", UNREADABLE, lambda: _large().SerializeToString()[:-1000])
_bytes("a large zip", UNREADABLE, lambda: b"PK\x03\x04" + _noise(1, 3 << 20))
for _part in range(1, 16):
    _bytes(
        f"cut at {_part}/16",
        UNREADABLE,
        lambda part=_part: (data := good().SerializeToString())[: len(data) * part // 16],
    )
for _seed in range(5):
    _bytes(f"noise {_seed}", UNREADABLE, lambda seed=_seed: _noise(seed, 700))


def _noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311  # the same noise in every run


def _large() -> ModelProto:
    model = good()
    model.graph.initializer.add(name="v", data_type=3, dims=[3_000_000], raw_data=bytes(3_000_000))
    return model


def _zip(folder: Path) -> Path:
    path = folder / "model.onnx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escape.onnx", good().SerializeToString())
    return path


def _folder(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.mkdir()
    return path


def _pipe(folder: Path) -> Path:
    path = folder / "model.onnx"
    os.mkfifo(path)
    return path


def _dangling(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.symlink_to("nowhere.onnx")
    return path


def _three_gigabytes(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(good().SerializeToString())
    os.truncate(path, 3 << 30)
    return path


def _five_gigabytes(folder: Path) -> Path:
    path = _three_gigabytes(folder)
    os.truncate(path, 5 << 30)
    return path


_case("zip with a path that escapes", UNREADABLE, _zip)
_case("folder", UNREADABLE, _folder)
_case("named pipe", UNREADABLE, _pipe)
_case("device", UNREADABLE, lambda _: Path("/dev/zero"))
_case("missing file", UNREADABLE, lambda folder: folder / "model.onnx")
_case("dangling symbolic link", UNREADABLE, _dangling)
_case("above protobuf's two gibibytes", UNREADABLE, _three_gigabytes)
_case("above the size limit", LIMIT, _five_gigabytes)


# --- external data -------------------------------------------------------------------------------


def _entries(tensor: TensorProto, entries: dict[str, str]) -> TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def _external(
    name: str,
    expect: tuple[str, ...],
    entries: dict[str, str],
    prepare: Callable[[Path], object] = lambda _: None,
) -> None:
    def write(folder: Path) -> Path:
        home = folder / "home"
        home.mkdir()
        (folder / "secret").write_bytes(bytes(432))
        (home / "w.bin").write_bytes(bytes(432))
        prepare(home)
        model = good()
        _entries(model.graph.initializer[0], entries)
        path = home / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    _case(f"external data: {name}", expect, write)


_ORT_MARK = "*/_ORT_MEM_ADDR_/*"
for _name, _location in {
    "climbs out": "../secret",
    "climbs out in the middle": "a/../../secret",
    "absolute": "/etc/passwd",
    "drive letter": "C:\\secret",
    "drive letter without folder": "C:secret",
    "backslashes": "..\\secret",
    "network share": "\\\\server\\share",
    "the folder itself": ".",
    "memory address": _ORT_MARK,
    "NUL in the name": "w.bin\0.txt",
}.items():
    _external(_name, UNSAFE, {"location": _location})

_external("fine", CLEAN, {"location": "w.bin"})
_external("fine, with offset and length", CLEAN, {"location": "./w.bin", "length": "432"})
_external("missing file", MISSING, {"location": "v.bin"})
_external("no location", MISSING, {})
_external("empty location", MISSING, {"location": ""})
_external("name of a megabyte", MISSING, {"location": "n" * 1_000_000})
_external("a file as folder", MISSING, {"location": "w.bin/w.bin"})
_external("symbolic link", UNSAFE, {"location": "s"}, lambda h: (h / "s").symlink_to("../secret"))
_external("linked folder", UNSAFE, {"location": "d/secret"}, lambda h: (h / "d").symlink_to(".."))
_external("hard link", UNSAFE, {"location": "h"}, lambda h: (h / "h").hardlink_to(h / "../secret"))
_external("pipe", UNSAFE, {"location": "p"}, lambda h: os.mkfifo(h / "p"))
_external("folder", UNSAFE, {"location": "d"}, lambda h: (h / "d").mkdir())
_external("lfs pointer", POINTER, {"location": "p"}, lambda h: (h / "p").write_text(_LFS))
_external("unknown key", UNSAFE, {"location": "w.bin", "evil": "1"})
_external("dunder key", UNSAFE, {"location": "w.bin", "__class__": "1"})
for _key, _value in {
    "negative offset": ("offset", "-1"),
    "offset NaN": ("offset", "nan"),
    "offset in words": ("offset", "twelve"),
    "offset of 2^64": ("offset", str(2**64)),
    "negative length": ("length", "-5"),
    "length with underscores": ("length", "4_32"),
    "length in other digits": ("length", "٤٣٢"),
}.items():
    _external(_key, UNSAFE, {"location": "w.bin", _value[0]: _value[1]})
_external("offset beyond the file", MISSING, {"location": "w.bin", "offset": "4096"})
_external("length of a pebibyte", MISSING, {"location": "w.bin", "length": str(2**50)})
_external("length too short", MISSING, {"location": "w.bin", "length": "16"})
_external("file too short", MISSING, {"location": "w.bin", "offset": "400"})
_external(
    "file longer than needed", CLEAN, {"location": "l"}, lambda h: (h / "l").write_bytes(b"0" * 999)
)
_external(
    "length too long",
    MISMATCH,
    {"location": "l", "length": "999"},
    lambda h: (h / "l").write_bytes(b"0" * 999),
)


def _location_twice(model: ModelProto) -> None:
    tensor = _entries(model.graph.initializer[0], {"location": "a"})
    tensor.external_data.add(key="location", value="b")


def _both_places(model: ModelProto) -> None:
    raw = model.graph.initializer[0].raw_data
    _entries(model.graph.initializer[0], {"location": "w.bin"}).raw_data = raw


def _elsewhere() -> TensorProto:
    tensor = TensorProto(name="hidden", data_type=1, dims=[2])
    return _entries(tensor, {"location": "../secret"})


def _function(name: str, nodes: list[NodeProto]) -> onnx.FunctionProto:
    return helper.make_function("local", name, ["x"], ["y"], nodes, [helper.make_opsetid("", 14)])


def _subgraph(nodes: list[NodeProto], name: str = "then_branch") -> AttributeProto:
    graph = GraphProto(name="body", node=nodes)
    return AttributeProto(name=name, type=AttributeProto.GRAPH, g=graph)


def _in_function_default(model: ModelProto) -> None:
    function = _function("f", [helper.make_node("Relu", ["x"], ["y"])])
    function.attribute_proto.append(helper.make_attribute("a", _elsewhere()))
    model.functions.append(function)


def _add_node(model: ModelProto, *attributes: AttributeProto, op: str = "Constant") -> NodeProto:
    return model.graph.node.add(op_type=op, output=["c"], attribute=attributes)


def _sparse(values: TensorProto) -> onnx.SparseTensorProto:
    indices = TensorProto(data_type=7, dims=[2], int64_data=[0, 1])
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[4])


_edit("external data: location twice", UNSAFE, _location_twice)
_edit("external data: inside the file as well", ("missing-external-data", *MISMATCH), _both_places)
_edit(
    "external data in a node attribute",
    UNSAFE,
    lambda m: _add_node(m, helper.make_attribute("value", _elsewhere())),
)
_edit(
    "external data in a list of tensors",
    UNSAFE,
    lambda m: _add_node(m, AttributeProto(name="t", type=9, tensors=[_elsewhere()])),
)
_edit(
    "external data in a sparse constant",
    UNSAFE,
    lambda m: _add_node(
        m, AttributeProto(name="sparse_value", type=11, sparse_tensor=_sparse(_elsewhere()))
    ),
)
_edit(
    "external data in a sparse initializer",
    UNSAFE,
    lambda m: m.graph.sparse_initializer.append(_sparse(_elsewhere())),
)
_edit(
    "external data in a subgraph",
    UNSAFE,
    lambda m: _add_node(
        m,
        AttributeProto(name="b", type=5, g=GraphProto(name="b", initializer=[_elsewhere()])),
        op="If",
    ),
)
_edit("external data in a function's default", UNSAFE, _in_function_default)
_edit(
    "external data in a function's node",
    UNSAFE,
    lambda m: m.functions.append(
        _function("f", [helper.make_node("Constant", [], ["y"], value=_elsewhere())])
    ),
)
_edit(
    "external data in a training graph",
    UNSAFE,
    lambda m: m.training_info.add(algorithm=GraphProto(name="t", initializer=[_elsewhere()])),
)


# --- tensors whose bytes do not fit ---------------------------------------------------------------


def _tensor(name: str, expect: tuple[str, ...], **fields: object) -> None:
    _edit(
        f"tensor: {name}",
        expect,
        lambda m: m.graph.initializer.append(TensorProto(name="t", **fields)),
    )


_tensor("a million floats in four bytes", MISMATCH, data_type=1, dims=[10**6], raw_data=bytes(4))
_tensor("700 million bytes in one", MISMATCH, data_type=3, dims=[7 * 10**8], raw_data=b"1")
_tensor("raw data one byte long", MISMATCH, data_type=1, dims=[2], raw_data=bytes(9))
_tensor("large raw data too long", MISMATCH, data_type=1, dims=[2], raw_data=bytes(9000))
_tensor("float data too short", MISMATCH, data_type=1, dims=[3], float_data=[1.0])
_tensor("int64 data too long", MISMATCH, data_type=7, dims=[1], int64_data=[1, 2])
_tensor("strings too few", MISMATCH, data_type=8, dims=[2], string_data=[b"a"])
_tensor("strings as raw data", MISMATCH, data_type=8, dims=[2], raw_data=b"ab")
_tensor("complex with one value each", MISMATCH, data_type=14, dims=[2], float_data=[1.0, 2.0])
_tensor("int4 unpacked", MISMATCH, data_type=22, dims=[4], int32_data=[1, 2, 3, 4])
_tensor("int4 packed, odd count", CLEAN, data_type=22, dims=[3], raw_data=b"\x21\x03")
_tensor("half floats in float data", MISMATCH, data_type=10, dims=[1], float_data=[1.0])
_tensor("bool one in each int32", CLEAN, data_type=9, dims=[2], int32_data=[0, 1])
_tensor("scalar without data", MISMATCH, data_type=1)
_tensor("scalar", CLEAN, data_type=1, float_data=[1.0])
_tensor("empty, with data", MISMATCH, data_type=1, dims=[0], float_data=[1.0])
_tensor("empty", CLEAN, data_type=1, dims=[2**62, 2**62, 0])
_tensor("overflowing dimensions", MISMATCH, data_type=1, dims=[2**40, 2**40], raw_data=bytes(4))
_tensor("2^64 elements, 0 in int64", MISMATCH, data_type=3, dims=[2**32, 2**32], raw_data=b"")
_tensor("negative dimension", MISMATCH, data_type=1, dims=[-1], raw_data=bytes(4))
_tensor("two negative dimensions", MISMATCH, data_type=1, dims=[-2, -2], raw_data=bytes(16))
_tensor("a hundred thousand dimensions", CLEAN, data_type=3, dims=[1] * 10**5, raw_data=b"1")
_tensor("dimensions of six million bits", MISMATCH, data_type=1, dims=[2**62] * 10**5)
_tensor("typed and raw", MISMATCH, data_type=1, dims=[1], raw_data=bytes(4), float_data=[2.0])
_tensor("undefined type", MISMATCH, data_type=0, dims=[1], raw_data=bytes(4))
_tensor("type 9999", MISMATCH, data_type=9999, dims=[1], raw_data=bytes(4))
_tensor("negative type", MISMATCH, data_type=-1, dims=[1], raw_data=bytes(4))
_tensor(
    "segment",
    MISMATCH,
    data_type=1,
    dims=[1],
    raw_data=bytes(4),
    segment=TensorProto.Segment(begin=0, end=1),
)


def _hidden_pair(model: ModelProto) -> None:
    _in_function_default(model)
    pair = TensorProto(data_type=1, dims=[1], raw_data=bytes(4), float_data=[2.0])
    model.functions[0].attribute_proto[0].t.CopyFrom(pair)


_edit("two payloads in a function's default", MISMATCH, _hidden_pair)


# --- graphs that never end ------------------------------------------------------------------------


def _call(name: str, result: str = "y") -> NodeProto:
    return helper.make_node(name, ["x"], [result], domain="local")


def _through_if(name: str) -> NodeProto:
    node = NodeProto(op_type="If", input=["x"], output=["y"])
    node.attribute.append(_subgraph([_call(name)]))
    return node


def _functions(*bodies: list[NodeProto]) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        for index, nodes in enumerate(bodies):
            model.functions.append(_function(f"f{index}", nodes))
        model.graph.node.append(_call(f"f{len(bodies) - 1}", "z"))

    return change


def _laughs(times: int, count: int) -> Callable[[ModelProto], None]:
    layers = [[helper.make_node("Relu", ["x"], ["y"])]]
    layers += [[_call(f"f{index}") for _ in range(times)] for index in range(count)]
    return _functions(*layers)


def _nested(levels: int) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        nodes = [helper.make_node("Relu", ["x"], ["y"])]
        for _ in range(levels):
            nodes = [NodeProto(op_type="If", output=["y"], attribute=[_subgraph(nodes)])]
        model.graph.node.extend(nodes)

    return change


def _nested_bytes(levels: int) -> bytes:
    """Nest If bodies by hand; the protobuf library itself refuses to copy that deep."""
    inner = b""
    for _ in range(levels):
        graph = inner and _field(1, inner)
        inner = _field(4, b"If") + _field(5, b"\x0a\x01b" + _field(6, graph) + b"\xa0\x01\x05")
    return b"\x08\x08" + _field(7, _field(1, inner))


def _field(number: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while size >= 128:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2]) + bytes([*length, size]) + body


def _many_attributes() -> bytes:
    node = _field(1, b"\x2a\x00" * 2000)
    return b"\x08\x08" + _field(7, node * 510)


_edit("function calls itself", LIMIT, _functions([_call("f0")]))
_edit("functions call each other", LIMIT, _functions([_call("f1")], [_call("f0")]))
_edit("function calls itself through an If", LIMIT, _functions([_through_if("f0")]))
_edit("billion laughs", LIMIT, _laughs(2, 26))
_edit("a function of a thousand calls, four deep", LIMIT, _laughs(1000, 4))
_edit("500 functions, each calling the next", LIMIT, _laughs(1, 500))
_edit("a few functions, as exporters write them", CLEAN, _laughs(2, 5))
_edit("32 nested Ifs", CLEAN, _nested(32))
_edit("33 nested Ifs", LIMIT, _nested(33))
_bytes("200 nested Ifs", LIMIT, lambda: _nested_bytes(200))
_bytes("5000 nested Ifs", LIMIT, lambda: _nested_bytes(5000))
_bytes("200001 nodes", LIMIT, lambda: b"\x08\x08" + _field(7, b"\x0a\x00" * 200_001))
_bytes("a million attributes", LIMIT, _many_attributes)


# --- names and text -------------------------------------------------------------------------------

_NAMES = {
    "a megabyte": "n" * 1_000_000,
    "traversal": "../../x",
    "NUL": "a\0b",
    "newline and command": "a\n::error::x",
    "escape sequence": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "script": "<script>alert(1)</script>",
    "template": "${{ secrets.TOKEN }}",
    "formula": '=cmd("calc")',
    "right to left": "\u202eelif.exe",
    "empty": "",
}


def _rename(model: ModelProto, name: str) -> None:
    model.graph.name = model.producer_name = model.doc_string = name
    model.graph.node[0].name = name
    model.graph.node[0].input[1] = model.graph.initializer[0].name = name


for _name, _text in _NAMES.items():
    _edit(f"name: {_name}", CLEAN, lambda m, text=_text: _rename(m, text))
_edit(
    "name: a megabyte, of a tensor that does not fit",
    MISMATCH,
    lambda m: m.graph.initializer.add(name="n" * 1_000_000, data_type=1, dims=[1]),
)
_bytes(
    "name: no utf-8",
    CLEAN,
    lambda: (
        good().SerializeToString().replace(b"conv", b"\xff\xfe\xed\xa0").replace(b"net", b"n\xc3t")
    ),
)

# --- headers and graphs that are wrong, yet readable ---------------------------------------------

_edit("opset imported twice", CLEAN, lambda m: m.opset_import.add(domain="", version=9))
_edit("no opset", CLEAN, lambda m: m.ClearField("opset_import"))
_edit("opset 10^9", CLEAN, lambda m: setattr(m.opset_import[0], "version", 10**9))
_edit("opset negative", CLEAN, lambda m: setattr(m.opset_import[0], "version", -5))
_edit("ir version missing", CLEAN, lambda m: m.ClearField("ir_version"))
_edit("ir version 10^9", CLEAN, lambda m: setattr(m, "ir_version", 10**9))
_edit("no nodes", CLEAN, lambda m: m.graph.ClearField("node"))
_edit("cycle", CLEAN, lambda m: m.graph.node.add(op_type="Relu", input=["q"], output=["q"]))
_edit("no output produced", CLEAN, lambda m: setattr(m.graph.output[0], "name", "other"))
_edit("value made twice", CLEAN, lambda m: m.graph.node.append(m.graph.node[0]))
_edit("initializer twice", CLEAN, lambda m: m.graph.initializer.append(m.graph.initializer[0]))


def _nested_types(levels: int) -> bytes:
    kind = b"\x0a\x02\x08\x01"
    for _ in range(levels):
        kind = _field(4, _field(1, kind))
    value = b"\x0a\x01s" + _field(2, kind)
    return good().SerializeToString() + _field(7, _field(11, value))


_bytes("sequence types nested 30 deep", CLEAN, lambda: _nested_types(30))
_bytes("sequence types nested 60 deep", LIMIT, lambda: _nested_types(60))

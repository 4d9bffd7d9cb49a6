import hashlib
import os
import tracemalloc
from functools import partial

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, ModelProto, SparseTensorProto, TensorProto, helper

from npugate.errors import ModelError
from npugate.limits import Limits
from npugate.model import reader
from npugate.model.wire import KEEP_BYTES, Window, WireError, skip_payloads, varint

LIMITS = Limits()
FLOATS = KEEP_BYTES // 4
EDGE = (
    *(0, 1, 3, 500, FLOATS - 1, FLOATS, FLOATS + 1),
    *(KEEP_BYTES - 1, KEEP_BYTES, KEEP_BYTES + 1, 2 * KEEP_BYTES + 800),
)


def window(data: bytes) -> Window:
    return Window(lambda length, at: data[at : at + length], len(data), 1_000_000)


def parse_directly(data: bytes):
    return reader.read(data, "m.onnx", LIMITS)


def parse_skeleton(data: bytes):
    proto, dropped = reader._parse_skeleton(window(data), LIMITS)
    return proto, reader._examine(proto, dropped, None, LIMITS)


def length_delimited(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


@st.composite
def tensors(draw):
    tensor = TensorProto(name=draw(st.sampled_from(["w", "b", ""])))
    tensor.dims.extend(draw(st.lists(st.sampled_from([-1, 0, 1, 4, 1024, 2**62]), max_size=3)))
    tensor.data_type = draw(st.sampled_from([0, 1, 6, 7, 8, 10, 11, 13, 14, 21, 99]))
    size = draw(st.sampled_from(EDGE))
    fill = draw(st.sampled_from([0, 1, 127, 128, 2**31 - 1, -1]))
    match draw(st.integers(0, 8)):
        case 0:
            tensor.raw_data = bytes(size)
        case 1:
            tensor.float_data.extend([1.5] * size)
        case 2:
            tensor.int32_data.extend([fill] * size)
        case 3:
            tensor.int64_data.extend([fill] * size)
        case 4:
            tensor.double_data.extend([2.5] * size)
        case 5:
            tensor.uint64_data.extend([abs(fill)] * size)
        case 6:
            tensor.string_data.extend([b"text"] * size)
        case 7:
            tensor.raw_data = bytes(size)
            tensor.float_data.extend([0.5] * 2000)
    if draw(st.booleans()):
        tensor.doc_string = "d" * draw(st.sampled_from(EDGE))
    return tensor


@st.composite
def attributes(draw, depth):
    item = AttributeProto(name="a")
    kind = draw(st.integers(0, 5 if depth else 3))
    if kind == 0:
        item.t.CopyFrom(draw(tensors()))
    elif kind == 1:
        item.tensors.extend(draw(st.lists(tensors(), max_size=3)))
    elif kind == 2:
        item.sparse_tensor.CopyFrom(
            SparseTensorProto(values=draw(tensors()), indices=draw(tensors()))
        )
    elif kind == 3:
        item.s = b"s" * draw(st.sampled_from(EDGE))
    elif kind == 4:
        item.g.CopyFrom(draw(graphs(depth - 1)))
    else:
        item.graphs.extend(draw(st.lists(graphs(depth - 1), max_size=2)))
    return item


@st.composite
def graphs(draw, depth):
    graph = onnx.GraphProto(name="g")
    graph.initializer.extend(draw(st.lists(tensors(), max_size=3)))
    for tensor in draw(st.lists(tensors(), max_size=1)):
        graph.sparse_initializer.add(values=tensor, indices=tensor)
    for _ in range(draw(st.integers(0, 3))):
        node = graph.node.add(op_type="Op", output=["y"])
        node.attribute.extend(draw(st.lists(attributes(depth), max_size=2)))
    return graph


@st.composite
def models(draw):
    made = ModelProto(ir_version=8, graph=draw(graphs(2)))
    for item in draw(st.lists(attributes(0), max_size=1)):
        function = made.functions.add(name="f", attribute_proto=[item])
        function.node.add(op_type="Op", attribute=[item])
    for graph in draw(st.lists(graphs(0), max_size=1)):
        made.training_info.add(initialization=graph, algorithm=graph)
    return made


@settings(max_examples=150, deadline=None)
@given(models())
def test_skipping_payloads_and_parsing_everything_give_the_same_model(made):
    data = made.SerializeToString()
    whole = parse_directly(data)
    proto, problems = parse_skeleton(data)
    assert proto.SerializeToString(deterministic=True) == whole.proto.SerializeToString(
        deterministic=True
    )
    assert problems == whole.problems


@settings(max_examples=60, deadline=None)
@given(models(), models())
def test_a_model_written_in_two_pieces_is_read_as_their_merger(first, second):
    second.ClearField("functions")
    data = first.SerializeToString() + second.SerializeToString()
    whole = parse_directly(data)
    proto, problems = parse_skeleton(data)
    assert proto == whole.proto
    assert problems == whole.problems


PIECES = {
    "raw data twice, the last counts": length_delimited(9, bytes(2 * KEEP_BYTES))
    + length_delimited(9, bytes(8)),
    "raw data twice, the last is large": length_delimited(9, bytes(8))
    + length_delimited(9, bytes(2 * KEEP_BYTES)),
    "floats in two packed fields": length_delimited(4, bytes(3000)) * 2,
    "floats one by one": (b"\x25" + bytes(4)) * 2000,
    "few floats one by one": (b"\x25" + bytes(4)) * 20,
    "int32 one by one": b"\x28\x01" * 2000,
    "float field of another wire type": b"\x20\x05" + length_delimited(4, bytes(8)),
    "unknown fields and a group": b"\xf8\x07\x01" + b"\xf3\x07\x08\x01\xf4\x07" + bytes([0x4A, 0]),
    "negative int32, ten bytes each": length_delimited(5, (b"\xff" * 9 + b"\x01") * 1500),
}


@pytest.mark.parametrize("body", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("padding", [0, KEEP_BYTES + 900])
def test_unusual_encodings_of_a_tensor_read_the_same_both_ways(body, padding):
    tensor = b"\x08\x02\x10\x01" + body + length_delimited(12, b"d" * padding)
    node = length_delimited(5, length_delimited(5, tensor) + length_delimited(5, b"\x42\x01w"))
    graph = length_delimited(5, tensor) + length_delimited(1, node)
    data = b"\x08\x08" + length_delimited(7, graph)
    whole = parse_directly(data)
    proto, problems = parse_skeleton(data)
    assert proto.SerializeToString() == whole.proto.SerializeToString()
    assert problems == whole.problems


def test_a_payload_at_the_limit_stays_and_one_byte_more_goes():
    made = ModelProto(ir_version=8)
    for size in (KEEP_BYTES, KEEP_BYTES + 1):
        made.graph.initializer.add(name="w", dims=[size], data_type=3, raw_data=bytes(size))
    kept = parse_directly(made.SerializeToString())
    assert [len(t.raw_data) for t in kept.proto.graph.initializer] == [KEEP_BYTES, 0]
    assert [reader.holds_data(t) for t in kept.proto.graph.initializer] == [True, False]
    assert kept.problems == ()


def test_of_raw_data_given_twice_only_the_last_is_kept():
    tensor = length_delimited(9, bytes(100_000)) + length_delimited(9, bytes(8))
    data = b"\x08\x08" + length_delimited(7, length_delimited(5, tensor))
    assert len(skip_payloads(window(data), 1 << 20).data) < 100


MALFORMED = {
    "a packed float field with a byte too many": length_delimited(4, bytes(KEEP_BYTES + 1)),
    "a packed number of eleven bytes": length_delimited(7, b"\xff" * (2 * KEEP_BYTES) + b"\x01"),
    "a packed number that is cut off": length_delimited(7, b"\x01" * (2 * KEEP_BYTES) + b"\x80"),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_payload_is_refused_both_ways(body):
    data = b"\x08\x08" + length_delimited(7, length_delimited(5, b"\x10\x01" + body))
    with pytest.raises(ModelError):
        parse_directly(data)
    with pytest.raises(WireError):
        skip_payloads(window(data), 1 << 30)


def test_memory_and_bytes_read_do_not_grow_with_the_weights(tmp_path):
    def cost(size):
        made = ModelProto(ir_version=8)
        for name in ("w", "v"):
            made.graph.initializer.add(name=name, dims=[size], data_type=3, raw_data=bytes(size))
        made.graph.node.add(op_type="Constant", output=["c"]).attribute.add(
            name="value", type=4, t=TensorProto(dims=[size], data_type=3, raw_data=bytes(size))
        )
        file = tmp_path / f"{size}.onnx"
        file.write_bytes(made.SerializeToString())
        del made
        read = 0
        fd = os.open(file, os.O_RDONLY)

        def pread(length, at):
            nonlocal read
            data = os.pread(fd, length, at)
            read += len(data)
            return data

        skip_payloads(Window(pread, file.stat().st_size, 1000), 1 << 20)
        os.close(fd)
        tracemalloc.start()
        reader.load(file, "m", LIMITS)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return read, peak

    small, large = cost(2_000_000), cost(20_000_000)
    assert large[0] < small[0] + 100 < 100_000  # longer lengths take a byte more
    assert large[1] < small[1] + 50_000


def test_the_digest_is_that_of_the_whole_file(tmp_path):
    for size in (10, 3_000_000):
        made = ModelProto(ir_version=8)
        made.graph.initializer.add(name="w", dims=[size], data_type=3, raw_data=os.urandom(size))
        file = tmp_path / "m.onnx"
        file.write_bytes(made.SerializeToString())
        loaded = reader.load(file, "m", LIMITS)
        assert loaded.digest == hashlib.sha256(file.read_bytes()).hexdigest()
        assert loaded.size_bytes == file.stat().st_size


def test_text_that_is_no_utf8_is_escaped_and_stays_distinct():
    node = length_delimited(3, b"\xff") + length_delimited(1, b"\xfe") + length_delimited(2, b"y")
    data = b"\x08\x08" + length_delimited(7, length_delimited(1, node))
    loaded = parse_directly(data).proto.graph.node[0]
    assert (loaded.name, list(loaded.input), list(loaded.output)) == ("\\xff", ["\\xfe"], ["y"])


DTYPES = [
    value for name, value in TensorProto.DataType.items() if name not in ("UNDEFINED", "STRING")
]


@pytest.mark.parametrize("dtype", DTYPES, ids=TensorProto.DataType.Name)
@pytest.mark.parametrize("dims", [[], [0], [1], [3], [2, 5]], ids=str)
@pytest.mark.parametrize("raw", [True, False])
def test_what_onnx_itself_writes_fits_and_one_value_more_does_not(dtype, dims, raw):
    count = int(np.prod(dims, dtype=np.int64))
    values = np.ones(count, helper.tensor_dtype_to_np_dtype(dtype)).reshape(dims)
    if raw:
        tensor = onnx.numpy_helper.from_array(values, "w")
    else:
        tensor = helper.make_tensor("w", dtype, dims, values.flatten().tolist())
    assert reader.holds_data(tensor)
    field = next((f for f, _ in tensor.ListFields() if f.name.endswith("_data")), None)
    if field is None or field.name == "raw_data":
        tensor.raw_data += b"\0"
    else:
        getattr(tensor, field.name).append(0)
    assert not reader.holds_data(tensor)


def test_partial_reads_are_completed(tmp_path):
    file = tmp_path / "m"
    file.write_bytes(b"abcdefgh")
    fd = os.open(file, os.O_RDONLY)
    slow = Window(lambda length, at: os.pread(fd, min(length, 3), at), 8, 10)
    whole = Window(partial(os.pread, fd), 8, 10)
    assert slow.read(1, 8) == whole.read(1, 8) == b"bcdefgh"
    os.close(fd)

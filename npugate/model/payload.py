"""Does a tensor hold the data that its type and dimensions call for? In exact integers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from onnx import TensorProto

from npugate.model.wire import KEEP_BYTES, PAYLOADS, VALUE_BYTES, Counts, payload_bytes

_DIMS_SHOWN: Final = 8
_INT64_MAX: Final = 2**63 - 1

# Data type -> (bits of an element in raw_data, typed field, values and elements that correspond).
_Layout = tuple[int, str, int, int]


def _layouts() -> Mapping[int, _Layout]:
    found: dict[int, _Layout] = {}
    for name, value in TensorProto.DataType.items():
        digits = "".join(c for c in name.partition("E")[0] if c.isdigit())
        if name.startswith(("INT", "UINT", "FLOAT")) and digits:
            bits = int(digits)
            packed = 8 // bits if bits in (2, 4) else 1  # float6 is packed in raw_data only
            found[value] = (bits, "int32_data", 1, packed)
    return found | {
        TensorProto.BOOL: (8, "int32_data", 1, 1),
        TensorProto.BFLOAT16: (16, "int32_data", 1, 1),
        TensorProto.FLOAT: (32, "float_data", 1, 1),
        TensorProto.COMPLEX64: (64, "float_data", 2, 1),
        TensorProto.DOUBLE: (64, "double_data", 1, 1),
        TensorProto.COMPLEX128: (128, "double_data", 2, 1),
        TensorProto.INT64: (64, "int64_data", 1, 1),
        TensorProto.UINT64: (64, "uint64_data", 1, 1),
        TensorProto.UINT32: (32, "uint64_data", 1, 1),
        TensorProto.STRING: (0, "string_data", 1, 1),
    }


_LAYOUT: Final = _layouts()


def counts_of(tensor: TensorProto) -> Counts:
    """Return the number of values in each payload field that a tensor carries."""
    return {
        PAYLOADS[item.number]: len(value)
        for item, value in tensor.ListFields()
        if item.number in PAYLOADS
    }


def drop_large(tensor: TensorProto) -> None:
    """Remove the payloads above ``KEEP_BYTES``, as ``wire.skip_payloads`` does."""
    for name, values in counts_of(tensor).items():
        length = sum(map(len, tensor.string_data)) if name == "string_data" else 0
        if payload_bytes(name, values, length) > KEEP_BYTES:
            tensor.ClearField(name)


def element_count(dims: Sequence[int]) -> int | None:
    """Return the number of elements; None when a dimension is negative or it exceeds int64."""
    if any(dim < 0 for dim in dims):
        return None
    if 0 in dims:
        return 0
    count = 1
    for dim in dims:
        count *= dim
        if count > _INT64_MAX:
            return None
    return count


def expected_bytes(tensor: TensorProto) -> int | None:
    """Return the size of the tensor as ``raw_data``, in bytes.

    None when the type is unknown or a string, or the dimensions are impossible.
    """
    layout = _LAYOUT.get(tensor.data_type)
    count = element_count(tensor.dims)
    if layout is None or count is None or not layout[0]:
        return None
    return -(-count * layout[0] // 8)


def holds_data(tensor: TensorProto) -> bool:
    """Tell whether the tensor's values are here, complete and unambiguous.

    Only then may it be turned into an array: a payload that was dropped, is in another file or
    does not fit the dimensions gives False.
    """
    if tensor.data_location == TensorProto.EXTERNAL:
        return False
    return mismatch(tensor, counts_of(tensor)) is None


def mismatch(tensor: TensorProto, counts: Counts) -> str | None:
    """Say how a tensor's payload disagrees with its type and dimensions; None when it fits.

    Args:
        tensor: its payload may have been dropped.
        counts: number of values by payload field, dropped ones included; empty fields too.
    """
    if tensor.HasField("segment"):
        return "it is stored in segments, which no ONNX reader joins"
    layout = _LAYOUT.get(tensor.data_type)
    if layout is None:
        return f"its data type {tensor.data_type} does not exist"
    count = element_count(tensor.dims)
    shape = _shape(tensor.dims)
    if count is None:
        return f"its dimensions {shape} are negative or give more elements than int64 can count"
    external = tensor.data_location == TensorProto.EXTERNAL
    return _disagreement(layout, count, shape, counts, external=external)


def _disagreement(
    layout: _Layout, count: int, shape: str, counts: Counts, *, external: bool
) -> str | None:
    bits, typed, values, elements = layout
    filled = [name for name in VALUE_BYTES if counts.get(name)]
    if external:
        return f"its data is both in another file and in {filled[0]}" if filled else None
    if len(filled) > 1:
        return f"its data is given more than once, in {' and '.join(filled)}"
    if not filled:
        return (
            f"its dimensions {shape} call for {count} elements and it holds none" if count else None
        )
    name = filled[0]
    if name == "raw_data" and bits:
        want, unit = -(-count * bits // 8), "bytes"
    elif name == typed:
        want, unit = -(-count * values // elements), "values"
    else:
        return f"its data is in {name}, where its type has none"
    have = counts[name]
    if have == want:
        return None
    return f"its dimensions {shape} call for {want} {unit} and {name} has {have}"


def _shape(dims: Sequence[int]) -> str:
    shown = "x".join(str(dim) for dim in dims[:_DIMS_SHOWN])
    return f"{shown}x... ({len(dims)} dimensions)" if len(dims) > _DIMS_SHOWN else f"[{shown}]"

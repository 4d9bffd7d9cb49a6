"""Attributes that are one of a few words or numbers, whatever the operands are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from onnx import TensorProto

from npugate.relations.operands import Operands

_KNOWN: Final = frozenset(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
_TYPES: Final[Mapping[str, str]] = {
    "BitCast": "to",
    "Cast": "to",
    "EyeLike": "dtype",
    "RandomNormal": "dtype",
    "RandomNormalLike": "dtype",
    "RandomUniform": "dtype",
    "RandomUniformLike": "dtype",
    "Bernoulli": "dtype",
    "Multinomial": "dtype",
}
_WINDOW: Final = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
_SCATTER: Final = ("none", "add", "mul", "min", "max")

WORDS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "AveragePool": {"auto_pad": _WINDOW},
    "BitShift": {"direction": ("LEFT", "RIGHT")},
    "Conv": {"auto_pad": _WINDOW},
    "ConvInteger": {"auto_pad": _WINDOW},
    "ConvTranspose": {"auto_pad": _WINDOW},
    "DepthToSpace": {"mode": ("DCR", "CRD")},
    "Gelu": {"approximate": ("none", "tanh")},
    "GridSample": {
        "mode": ("linear", "nearest", "cubic", "bilinear", "bicubic"),
        "padding_mode": ("zeros", "border", "reflection"),
    },
    "LpPool": {"auto_pad": _WINDOW},
    "MaxPool": {"auto_pad": _WINDOW},
    "Pad": {"mode": ("constant", "reflect", "edge", "wrap")},
    "QLinearConv": {"auto_pad": _WINDOW},
    "Resize": {
        "mode": ("nearest", "linear", "cubic"),
        "coordinate_transformation_mode": (
            "half_pixel",
            "half_pixel_symmetric",
            "pytorch_half_pixel",
            "align_corners",
            "asymmetric",
            "tf_half_pixel_for_nn",
            "tf_crop_and_resize",
        ),
        "nearest_mode": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
        "keep_aspect_ratio_policy": ("stretch", "not_larger", "not_smaller"),
    },
    "RoiAlign": {
        "mode": ("avg", "max"),
        "coordinate_transformation_mode": ("half_pixel", "output_half_pixel"),
    },
    "ScatterElements": {"reduction": _SCATTER},
    "SpaceToDepth": {"mode": ("DCR", "CRD")},
    "StringNormalizer": {"case_change_action": ("LOWER", "UPPER", "NONE")},
    "TensorScatter": {"mode": ("linear", "circular")},
    "TfIdfVectorizer": {"mode": ("TF", "IDF", "TFIDF")},
    "Upsample": {"mode": ("nearest", "linear")},
}


def words(ops: Operands) -> Iterator[str]:
    """Yield attributes whose text or element type is none of those that there are."""
    name = _TYPES.get(ops.node.op_type)
    dtype = ops.node.attribute(name) if name is not None else None
    if isinstance(dtype, int) and dtype not in _KNOWN:
        yield f"{name} is {dtype}, which is no element type"
    for name, allowed in WORDS.get(ops.node.op_type, {}).items():
        text = ops.node.text_attribute(name, allowed[0])
        if text not in allowed and (text or name != "auto_pad"):  # without a word it is not set
            yield f"{name} is {text!r}, one of {', '.join(allowed)} is wanted"

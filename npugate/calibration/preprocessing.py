"""Turn samples of a file into the numbers that the model was trained on, as the user declares.

Nothing is guessed: integers for a float input need a declared scale, an image a declared size when
its own differs. A wrong scale is the usual reason for a bad int8 model, and no later step sees it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from npugate import nesting
from npugate.errors import UsageError
from npugate.facts.graph import Array
from npugate.rules.selection import suggestion

_Floats = npt.NDArray[np.float32]
LAYOUTS: Final = ("chw", "hwc")
COLOURS: Final = ("rgb", "bgr", "gray")
_PLANES: Final = 3  # axes of one image or feature map


class Preprocessing(Struct, frozen=True):
    """What is done with each sample, in the order of the attributes.

    Attributes:
        resize: (height, width) in pixels of an image, bilinear; None keeps its size.
        colour: ``rgb``, ``bgr`` or ``gray``, of an image.
        source: order of axes of an array that is read; None means as ``layout``.
        layout: order of axes that the model wants, ``chw`` or ``hwc``.
        scale: every value is multiplied by it, for example 1/255; None means none is declared.
        mean: subtracted after the scale, one for each channel or one for all.
        std: divided by at last, as ``mean``.
        limits: (lowest, highest) value that may come out of all this.
    """

    resize: tuple[int, int] | None = None
    colour: str = "rgb"
    source: str | None = None
    layout: str = "chw"
    scale: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    limits: tuple[float, float] | None = None

    @property
    def is_numeric(self) -> bool:
        """True when the user said how integers become what the model reads."""
        return self.scale is not None or bool(self.mean) or bool(self.std)

    def text(self) -> str:
        """Write what differs from doing nothing, for the reports."""
        base = Preprocessing()
        parts = [
            f"{name} = {_written(getattr(self, name))}"
            for name in self.__struct_fields__
            if getattr(self, name) != getattr(base, name)
        ]
        return ", ".join(parts) or "none"


def parse(lines: Sequence[str]) -> Preprocessing:
    """Read ``--preprocess`` values: files in TOML, or single ``key = value`` lines.

    Raises:
        UsageError: a file cannot be read, a key is unknown, or a value makes no sense.
    """
    texts = [line if "=" in line else _file(Path(line)) for line in lines]
    try:
        table = nesting.toml_table("\n".join(texts).encode())
    except ValueError as error:
        raise UsageError(f"--preprocess: {error}; write a TOML file or key=value") from error
    known = set(Preprocessing.__struct_fields__)
    for key in table:
        if key not in known:
            raise UsageError(f"--preprocess: no key {key!r}{suggestion(key, known)}")
    return _checked(table)


def _file(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--preprocess {path}: cannot be read: {error}") from error


def _checked(table: Mapping[str, object]) -> Preprocessing:
    resize = _numbers(table, "resize", 2)
    limits = _numbers(table, "limits", 2)
    if resize and any(size != int(size) or size < 1 for size in resize):
        raise UsageError("--preprocess: resize wants two whole numbers above 0: height, width")
    if limits and limits[0] >= limits[1]:
        raise UsageError("--preprocess: limits wants its lowest value first")
    std = _numbers(table, "std")
    if any(value <= 0 for value in std):
        raise UsageError("--preprocess: std must be above 0")
    scale = _numbers({"scale": [table["scale"]]}, "scale", 1) if "scale" in table else ()
    if scale and scale[0] == 0:
        raise UsageError("--preprocess: scale must not be 0")
    source = _word(table, "source", LAYOUTS, "")
    return Preprocessing(
        resize=(int(resize[0]), int(resize[1])) if resize else None,
        colour=_word(table, "colour", COLOURS, "rgb"),
        source=source or None,
        layout=_word(table, "layout", LAYOUTS, "chw"),
        scale=scale[0] if scale else None,
        mean=_numbers(table, "mean"),
        std=std,
        limits=(limits[0], limits[1]) if limits else None,
    )


def _numbers(table: Mapping[str, object], key: str, count: int | None = None) -> tuple[float, ...]:
    value = table.get(key)
    if value is None:
        return ()
    items: list[object] = list(value) if isinstance(value, list) else [value]
    numbers = tuple(
        float(item)
        for item in items
        if isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item)
    )
    if not items or len(numbers) != len(items) or count not in {None, len(items)}:
        wanted = "a number" if count == 1 else f"{count or 'a list of'} numbers"
        raise UsageError(f"--preprocess: {key} wants {wanted}, not {value}")
    return numbers


def _word(table: Mapping[str, object], key: str, known: Sequence[str], default: str) -> str:
    value = table.get(key, default)
    if value != default and value not in known:
        raise UsageError(f"--preprocess: {key} is {' or '.join(known)}, not {value!r}")
    return str(value)


def _written(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def image(path: Path, how: Preprocessing) -> Array:
    """Decode an image into uint8[H, W, C]; C is 1 for ``gray``.

    Raises:
        UsageError: pillow is missing, or it is no image that pillow reads.
    """
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError("images need pillow: pip install 'npugate[quantize]'") from error
    try:
        with Image.open(path) as opened:
            picture = opened.convert("L" if how.colour == "gray" else "RGB")
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path}: no image that can be read: {error}") from error
    if how.resize is not None:
        height, width = how.resize
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    pixels: Array = np.asarray(picture, dtype=np.uint8)
    if pixels.ndim < _PLANES:
        return pixels[:, :, None]
    return pixels[:, :, ::-1] if how.colour == "bgr" else pixels


def apply(array: Array, how: Preprocessing, *, is_image: bool, where: str) -> Array:
    """Bring one sample into the order and the numbers that the model reads.

        y = (scale * x - mean) / std

    Args:
        array: uint8[H, W, C] of an image, else any[...] without a batch axis; any[C, H, W] or
            any[H, W, C] where an order is declared.
        how: as declared.
        is_image: True for what ``image`` returned.
        where: names the sample in an error.

    Returns:
        float32[C, H, W] or float32[H, W, C] as ``how.layout`` says; the type is kept where neither
        scale, mean nor std is declared.

    Raises:
        UsageError: the declaration does not fit the sample.
    """
    source = "hwc" if is_image else how.source or how.layout
    if how.resize is not None and not is_image:
        raise UsageError(f"{where}: resize is for images; resize arrays before they are stored")
    if source != how.layout:
        if array.ndim != _PLANES:
            raise UsageError(f"{where}: {source} wants 3 axes, the array has {array.ndim}")
        array = np.transpose(array, (2, 0, 1) if how.layout == "chw" else (1, 2, 0))
    if not how.is_numeric:
        return array
    made: _Floats = array.astype(np.float32) * np.float32(1.0 if how.scale is None else how.scale)
    if how.mean:
        made = made - _per_channel(how.mean, made, how, where)
    if how.std:
        made = made / _per_channel(how.std, made, how, where)
    return made


def _per_channel(
    values: Sequence[float], array: _Floats, how: Preprocessing, where: str
) -> _Floats:
    column = np.asarray(values, dtype=np.float32)
    if len(column) == 1:
        return column
    axis = 0 if how.layout == "chw" else array.ndim - 1
    if not array.ndim or array.shape[axis] != len(column):
        raise UsageError(
            f"{where}: mean and std have {len(column)} values for an array of {list(array.shape)}"
        )
    return column.reshape([-1 if index == axis else 1 for index in range(array.ndim)])

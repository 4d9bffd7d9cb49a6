"""ST's scheme with onnxruntime's quantiser: QDQ, int8, weights symmetric and per channel.

Activations are asymmetric and per tensor, biases int32. Every option is written out, so that a new
default of the library changes nothing here.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import onnx
import onnxruntime
from msgspec import Struct
from onnx import ModelProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from npugate.facts.graph import Array

_METHODS: Final = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
_PREPROCESSED: Final = ("onnx.quant.pre_process", "onnxruntime.quant")
_WARNINGS, _ERRORS_ONLY = 2, 3  # severities of onnxruntime's log
HELD_BYTES: Final = 1 << 30  # activations that a histogram method may hold at a time
Progress = Callable[[int, int], None]


class Recipe(Struct, frozen=True):
    """How ranges are measured.

    Attributes:
        method: ``minmax``, ``entropy`` or ``percentile``.
        percentile: share of values kept, in per cent.
        stride: samples that are measured together, as ``stride_of`` returns it.
        exclude: names of nodes that stay in float.
    """

    method: str
    percentile: float
    stride: int
    exclude: Sequence[str]


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Hands out samples one at a time, in ranges of whole strides."""

    def __init__(
        self, feeds: Iterator[Mapping[str, Array]], count: int, stride: int, progress: Progress
    ) -> None:
        self._feeds = feeds
        self._count = count
        self._stride = stride
        self._left = 0
        self._done = 0
        self._progress = progress

    def __len__(self) -> int:
        """Return the count, rounded up to whole strides, as the library demands."""
        return -(-self._count // self._stride) * self._stride

    def set_range(self, start_index: int, end_index: int) -> None:
        """Begin a stride."""
        self._left = end_index - start_index

    def get_next(self) -> Mapping[str, Array] | None:
        """Return the next sample of the stride, T[*dims] by input name; None at its end."""
        if not self._left or (feeds := next(self._feeds, None)) is None:
            return None
        self._left -= 1
        self._done += 1
        self._progress(self._done, self._count)
        return feeds


def stride_of(method: str, count: int, activation_bytes: int) -> int:
    """Return how many samples are measured together.

    ``minmax`` keeps two numbers a tensor. The histogram methods hold every activation of a stride,
    and what they merge from strides is coarser than what they see at once, so it is as long as
    memory allows.
    """
    if method == "minmax":
        return count
    return max(1, min(count, HELD_BYTES // max(activation_bytes, 1)))


def quantized(
    model: ModelProto,
    feeds: Iterator[Mapping[str, Array]],
    count: int,
    recipe: Recipe,
    progress: Progress,
) -> ModelProto:
    """Quantise a copy of a model.

        q = clip(round(x / scale) + zero_point, -128, 127),  x' = (q - zero_point) * scale

    Args:
        model: in float, opset 13 or above; unchanged afterwards.
        feeds: the samples in order, T[*dims] by input name; each is dropped once it was run.
        count: of the samples.
        recipe: how ranges are measured.
        progress: called with (done, all) for each sample.

    Raises:
        OSError: the folder for temporary files is full.
    """
    copy = ModelProto()
    copy.CopyFrom(model)  # the library moves the weights of what it is given into a file
    copy.metadata_props.add(key=_PREPROCESSED[0], value=_PREPROCESSED[1])
    with tempfile.TemporaryDirectory(prefix="npugate-int8-") as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            copy,
            path,
            _Reader(feeds, count, recipe.stride, progress),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=False,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(recipe.exclude),
            calibrate_method=_METHODS[recipe.method],
            extra_options=_options(recipe, model),
        )
        made = onnx.load(path)
    _restore_heading(model, made)
    return made


def _options(recipe: Recipe, model: ModelProto) -> dict[str, object]:
    return {
        "TensorQuantOverrides": _overrides(model),
        "WeightSymmetric": True,
        "ActivationSymmetric": False,
        "QDQKeepRemovableActivations": False,
        "AddQDQPairToWeight": False,
        "DedicatedQDQPair": False,
        "ForceQuantizeNoInputCheck": True,  # a view, pool or resize that reads the input, too
        "CalibTensorRangeSymmetric": False,
        "CalibMovingAverage": False,
        "CalibPercentile": recipe.percentile,
        "CalibStridedMinMax": recipe.stride,
    }


def _overrides(model: ModelProto) -> dict[str, list[dict[str, object]]]:
    """Give stacked matrices of a MatMul one scale each tensor.

    The library takes axis 1 for the channels of any weight of a MatMul, which in a stack are the
    rows that are summed over; no axis is right for a stack.
    """
    ranks = {item.name: len(item.dims) for item in model.graph.initializer}
    return {
        node.input[1]: [{"quant_type": QuantType.QInt8, "symmetric": True}]
        for node in model.graph.node
        if node.op_type == "MatMul" and ranks.get(node.input[1], 0) > 2  # noqa: PLR2004 - a matrix
    }


def _restore_heading(model: ModelProto, made: ModelProto) -> None:
    """Give the result the metadata, the producer and the version that the float model has."""
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    made.producer_name = model.producer_name
    made.producer_version = model.producer_version
    made.model_version = model.model_version
    made.doc_string = model.doc_string
    made.domain = model.domain


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the library prints out of our output; its faults are exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
        onnxruntime.set_default_logger_severity(_WARNINGS)

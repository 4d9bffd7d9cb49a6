"""Rebuild from their papers the networks for which ST publishes figures, with random weights.

``PUBLISHED`` has one row for each file name of ST's table whose architecture is public. Where the
table gives the file of pytorchcv, timm or Keras, the widths are as those libraries round them.
Weights do not matter: neither the memory nor the time of the accelerator depends on them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from onnx import ModelProto
from quantized_net import Net, Value

_CLASSES: Final = {"Imagenet": 1000, "food101": 101}
_V1: Final = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2))
_FD: Final = ((64, 2), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2))
_V2: Final = (
    (16, 1, 1, 1),
    (24, 2, 2, 6),
    (32, 3, 2, 6),
    (64, 4, 2, 6),
    (96, 3, 1, 6),
    (160, 3, 2, 6),
    (320, 1, 1, 6),
)  # channels, repeats, first stride, expansion


@dataclass(frozen=True, slots=True)
class Row:
    """A row of ST's table: RAM and weights in KiB, time in milliseconds."""

    name: str
    dataset: str
    internal: float
    external: float
    weights: float
    milliseconds: float
    toolchain: str


def rows(table: Path) -> Iterator[Row]:
    """Yield the rows of the table that can be rebuilt and have memory figures."""
    with table.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["file_name"] in PUBLISHED and row["internal_ram_kib"]:
                yield Row(
                    row["file_name"],
                    row["dataset"],
                    float(row["internal_ram_kib"]),
                    float(row["external_ram_kib"]),
                    float(row["weights_flash_kib"]),
                    float(row["inference_ms"]),
                    row["stedgeai_version"],
                )


def build(row: Row) -> ModelProto:
    """Build the network of a row, with as many classes as its data set has."""
    return PUBLISHED[row.name](_CLASSES.get(row.dataset, 0))


def rounded(value: float) -> int:
    """Round to a multiple of 8 as MobileNetV2 does: never down by more than a tenth."""
    result = max(8, int(value + 4) // 8 * 8)
    return result + 8 if result < 0.9 * value else result


def _head(net: Net, x: Value, classes: int) -> ModelProto:
    return net.model(net.dense(net.mean(x), classes))


def mobilenet_v1(width: float, size: int = 224, classes: int = 1000) -> ModelProto:
    """MobileNet (Howard et al. 2017)."""
    return _separable(width, size, classes, (*_V1, *((512, 1),) * 5, (1024, 2), (1024, 1)))


def fdmobilenet(width: float, size: int = 224, classes: int = 1000) -> ModelProto:
    """FD-MobileNet (Qin et al. 2018): the same, downsampled faster."""
    return _separable(width, size, classes, (*_FD, *((512, 1),) * 4, (1024, 1)))


def _separable(
    width: float, size: int, classes: int, layers: tuple[tuple[int, int], ...]
) -> ModelProto:
    net = Net((size, size))
    x = net.conv(net.input, int(32 * width), 3, 2)
    for channels, stride in layers:
        x = net.conv(net.depthwise(x, 3, stride), int(channels * width))
    return _head(net, x, classes)


def mobilenet_v2(
    width: float,
    size: tuple[int, int] = (224, 224),
    classes: int = 1000,
    *,
    is_rounded: bool = True,
    first: bool = False,
) -> ModelProto:
    """MobileNetV2 (Sandler et al. 2018).

    Args:
        width: multiplier of the channels.
        size: of the image.
        classes: 0 for a network without a classifier.
        is_rounded: True to round the channels to multiples of 8 (timm, Keras); pytorchcv cuts.
        first: True for a 1x1 convolution in the first block, too (pytorchcv's, not its ``b``).
    """
    scaled = rounded if is_rounded else int
    net = Net(size)
    x = net.conv(net.input, scaled(32 * width), 3, 2)
    for channels, repeats, stride, expansion in _V2:
        for number in range(repeats):
            keep, step = x, stride if number == 0 else 1
            if expansion > 1 or first:
                x = net.conv(x, x.channels * expansion)
            x = net.conv(net.depthwise(x, 3, step), scaled(channels * width))
            if number:
                x = net.add(keep, x)
    x = net.conv(x, scaled(1280 * width) if width > 1 else 1280)
    return _head(net, x, classes) if classes else net.model(net.mean(x))


def resnet18(width: float, *, is_pre: bool = False, classes: int = 1000) -> ModelProto:
    """ResNet-18 (He et al. 2015) as pytorchcv scales it: all but the last unit."""
    net = Net((224, 224))
    x = net.pool(net.conv(net.input, int(64 * width), 7, 2), 3, 2, 1)
    for stage, channels in enumerate((64, 128, 256, 512)):
        for unit in range(2):
            last = (stage, unit) == (3, 1)
            out = channels if last else int(channels * width)
            stride = 2 if stage and unit == 0 else 1
            keep = x
            if x.channels != out or stride > 1:
                keep = net.conv(x, out, 1, stride)
            x = net.conv(net.conv(x, out, 3, stride), out, 3)
            x = net.add(keep, x)
            if is_pre:
                x = net.act(x, "")  # its Relu is in the limits of the quantiser
    return _head(net, x, classes)


def resnet50_v2(classes: int = 1000) -> ModelProto:
    """ResNet-50 v2 as in Keras: the stride is in the last unit of a stage."""
    net = Net((224, 224))
    x = net.pool(net.conv(net.input, 64, 7, 2), 3, 2, 1)
    for stage, (width, units) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for unit in range(units):
            stride = 2 if unit == units - 1 and stage < 3 else 1  # noqa: PLR2004 (last stage)
            active = net.pool(x, 1, 1) if unit else x
            keep = net.conv(active, 4 * width) if unit == 0 else x
            if unit and stride > 1:
                keep = net.pool(x, 1, stride)
            y = net.conv(net.conv(active, width), width, 3, stride)
            x = net.add(keep, net.conv(y, 4 * width))
    return _head(net, x, classes)


def regnetx_200mf(classes: int = 1000) -> ModelProto:
    """RegNetX-200MF (Radosavovic et al. 2020): groups of 8 channels."""
    net = Net((224, 224))
    x = net.conv(net.input, 32, 3, 2)
    for width, depth in ((24, 1), (56, 1), (152, 4), (368, 7)):
        for unit in range(depth):
            stride = 1 if unit else 2
            keep = net.conv(x, width, 1, stride) if unit == 0 else x
            y = net.conv(net.conv(x, width), width, 3, stride, width // 8)
            x = net.add(keep, net.conv(y, width))
    return _head(net, x, classes)


def _fire(net: Net, x: Value, squeeze: int, expand: int) -> Value:
    small = net.conv(x, squeeze)
    return net.concat(net.conv(small, expand), net.conv(small, expand, 3))


def squeezenet(version: str, size: int = 224, classes: int = 1000) -> ModelProto:
    """SqueezeNet 1.0 and 1.1 (Iandola et al. 2016)."""
    net = Net((size, size))
    old = version == "1.0"
    x = net.conv(net.input, 96 if old else 64, 7 if old else 3, 2, pad=0)
    pools = {0, 3, 7} if old else {0, 2, 4}
    fires = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
    for number, (squeeze, expand) in enumerate(fires):
        if number in pools:
            x = net.pool(x, 3, 2, ceil=old)
        x = _fire(net, x, squeeze, expand)
    return net.model(net.mean(net.conv(x, classes)))


def squeezenext(width: float, layers: tuple[int, ...], classes: int = 1000) -> ModelProto:
    """SqueezeNext-23 (Gholami et al. 2018) as pytorchcv has it."""
    net = Net((224, 224))
    x = net.pool(net.conv(net.input, int(64 * width), 7, 2, pad=1), 3, 2, ceil=True)
    for stage, (channels, depth) in enumerate(zip((32, 64, 128, 256), layers, strict=True)):
        out = int(channels * width)
        for unit in range(depth):
            stride = 2 if stage and unit == 0 else 1
            reduced = x.channels // (1 if stride > 1 else 4 if x.channels > out else 2)
            is_same = stride == 1 and x.channels <= out
            keep = x if is_same else net.conv(x, out, 1, stride)
            y = net.conv(net.conv(x, reduced, 1, stride), reduced // 2)
            y = net.conv(net.conv(y, reduced, (1, 3)), reduced, (3, 1))
            x = net.add(keep, net.conv(y, out))
    return _head(net, net.conv(x, int(128 * width)), classes)


def darknet_tiny(classes: int = 1000) -> ModelProto:
    """Tiny Darknet as pytorchcv has it: leaky slopes of 0.1."""
    net = Net((224, 224))
    x = net.input
    stages = ((16,), (32,), (16, 128, 16, 128), (32, 256, 32, 256), (64, 512, 64, 512, 128))
    for number, stage in enumerate(stages):
        for unit, channels in enumerate(stage):
            kernel = 1 if len(stage) > 1 and unit % 2 == 0 else 3
            x = net.conv(x, channels, kernel, act="leaky")
        if number < len(stages) - 1:
            x = net.pool(x, 2, 2)
    return net.model(net.mean(net.conv(x, classes, act="leaky")))


def mnasnet(width: float, classes: int = 1000) -> ModelProto:
    """MnasNet-B1 (Tan et al. 2018), widths as timm rounds them."""
    net = Net((224, 224))
    x = net.conv(net.input, rounded(32 * width), 3, 2)
    x = net.conv(net.depthwise(x), rounded(16 * width))
    for kernel, expansion, channels, repeats, stride in (
        (3, 3, 24, 3, 2),
        (5, 3, 40, 3, 2),
        (5, 6, 80, 3, 2),
        (3, 6, 96, 2, 1),
        (5, 6, 192, 4, 2),
        (3, 6, 320, 1, 1),
    ):
        for unit in range(repeats):
            y = net.conv(x, x.channels * expansion)
            y = net.conv(net.depthwise(y, kernel, 1 if unit else stride), rounded(channels * width))
            x = net.add(x, y) if unit else y
    return _head(net, net.conv(x, 1280), classes)


def _swish_gate(net: Net, x: Value, reduced: int) -> Value:
    gate = net.conv(net.conv(net.mean(x), reduced, act="swish"), x.channels, act="sigmoid")
    return net.mul(x, gate)


def efficientnet_v2(
    stem: int, blocks: tuple[tuple[int, ...], ...], size: int, head: int, classes: int
) -> ModelProto:
    """EfficientNetV2 (Tan, Le 2021); block: kernel, stride, expansion, width, repeats, gate."""
    net = Net((size, size))
    x = net.conv(net.input, stem, 3, 2, act="swish")
    for kernel, first, expansion, width, repeats, gate in blocks:
        for unit in range(repeats):
            stride, wide = (1 if unit else first), x.channels * expansion
            if gate:
                y = net.conv(x, wide, act="swish")
                y = _swish_gate(net, net.depthwise(y, kernel, stride, "swish"), x.channels // 4)
                y = net.conv(y, width)
            elif expansion > 1:
                y = net.conv(net.conv(x, wide, kernel, stride, act="swish"), width)
            else:
                y = net.conv(x, width, kernel, stride, act="swish")
            x = net.add(x, y) if stride == 1 and x.channels == width else y
    return _head(net, net.conv(x, head, act="swish"), classes)


def _efficientnet_v2b(width: float, depth: float, size: int, classes: int) -> ModelProto:
    base = (
        (3, 1, 1, 16, 1, 0),
        (3, 2, 4, 32, 2, 0),
        (3, 2, 4, 48, 2, 0),
        (3, 2, 4, 96, 3, 1),
        (3, 1, 6, 112, 5, 1),
        (3, 2, 6, 192, 8, 1),
    )
    blocks = tuple(
        (k, s, e, rounded(w * width), -int(-n * depth // 1), g) for k, s, e, w, n, g in base
    )
    return efficientnet_v2(rounded(32 * width), blocks, size, rounded(1280 * width), classes)


def _efficientnet_v2s(classes: int) -> ModelProto:
    blocks = (
        (3, 1, 1, 24, 2, 0),
        (3, 2, 4, 48, 4, 0),
        (3, 2, 4, 64, 4, 0),
        (3, 2, 4, 128, 6, 1),
        (3, 1, 6, 160, 9, 1),
        (3, 2, 6, 256, 15, 1),
    )
    return efficientnet_v2(24, blocks, 384, 1280, classes)


PUBLISHED: Final[Mapping[str, Callable[[int], ModelProto]]] = {
    "mobilenet_a025_pt_224_qdq_int8.onnx": lambda n: mobilenet_v1(0.25, classes=n),
    "mobilenet_a050_pt_224_qdq_int8.onnx": lambda n: mobilenet_v1(0.5, classes=n),
    "mobilenet_a075_pt_224_qdq_int8.onnx": lambda n: mobilenet_v1(0.75, classes=n),
    "mobilenetb_a025_pt_224_qdq_int8.onnx": lambda n: mobilenet_v1(0.25, classes=n),
    "mobilenetb_a050_pt_224_qdq_int8.onnx": lambda n: mobilenet_v1(0.5, classes=n),
    "mobilenetb_a075_pt_224_qdq_int8.onnx": lambda n: mobilenet_v1(0.75, classes=n),
    "mobilenetv1_a025_224_int8.tflite": lambda n: mobilenet_v1(0.25, classes=n),
    "mobilenetv1_a050_224_int8.tflite": lambda n: mobilenet_v1(0.5, classes=n),
    "mobilenetv1_a100_224_int8.tflite": lambda n: mobilenet_v1(1.0, classes=n),
    "mobilenetv1_a025_224_fft_int8.tflite": lambda n: mobilenet_v1(0.25, classes=n),
    "mobilenetv1_a050_224_fft_int8.tflite": lambda n: mobilenet_v1(0.5, classes=n),
    "mobilenetv1_a100_224_fft_int8.tflite": lambda n: mobilenet_v1(1.0, classes=n),
    "fdmobilenet_a025_pt_224_qdq_int8.onnx": lambda n: fdmobilenet(0.25, classes=n),
    "fdmobilenet_a050_pt_224_qdq_int8.onnx": lambda n: fdmobilenet(0.5, classes=n),
    "fdmobilenet_a075_pt_224_qdq_int8.onnx": lambda n: fdmobilenet(0.75, classes=n),
    "fdmobilenet_a025_224_tfs_int8.tflite": lambda n: fdmobilenet(0.25, classes=n),
    "fdmobilenet_a025_128_tfs_int8.tflite": lambda n: fdmobilenet(0.25, 128, n),
    "mobilenetv2_a025_pt_224_qdq_int8.onnx": lambda n: mobilenet_v2(
        0.25, classes=n, is_rounded=False, first=True
    ),
    "mobilenetv2b_a025_pt_224_qdq_int8.onnx": lambda n: mobilenet_v2(
        0.25, classes=n, is_rounded=False
    ),
    "mobilenetv2_w035_pt_224_qdq_int8.onnx": lambda n: mobilenet_v2(0.35, classes=n),
    "mobilenetv2_a050_pt_224_qdq_int8.onnx": lambda n: mobilenet_v2(
        0.5, classes=n, is_rounded=False, first=True
    ),
    "mobilenetv2b_a050_pt_224_qdq_int8.onnx": lambda n: mobilenet_v2(
        0.5, classes=n, is_rounded=False
    ),
    "mobilenetv2_a075_pt_224_qdq_int8.onnx": lambda n: mobilenet_v2(
        0.75, classes=n, is_rounded=False, first=True
    ),
    "mobilenetv2b_a075_pt_224_qdq_int8.onnx": lambda n: mobilenet_v2(
        0.75, classes=n, is_rounded=False
    ),
    "mobilenetv2_a100_pt_224_qdq_int8.onnx": lambda n: mobilenet_v2(1.0, classes=n, first=True),
    "mobilenetv2b_a100_pt_224_qdq_int8.onnx": lambda n: mobilenet_v2(1.0, classes=n),
    "mobilenetv2_a035_128_int8.tflite": lambda n: mobilenet_v2(0.35, (128, 128), n),
    "mobilenetv2_a035_128_fft_int8.tflite": lambda n: mobilenet_v2(0.35, (128, 128), n or 2),
    "mobilenetv2_a035_224_int8.tflite": lambda n: mobilenet_v2(0.35, classes=n),
    "mobilenetv2_a035_224_fft_int8.tflite": lambda n: mobilenet_v2(0.35, classes=n),
    "mobilenetv2_a100_224_int8.tflite": lambda n: mobilenet_v2(1.0, classes=n),
    "mobilenetv2_a100_224_fft_int8.tflite": lambda n: mobilenet_v2(1.0, classes=n),
    "mobilenetv2_a140_224_int8.tflite": lambda n: mobilenet_v2(1.4, classes=n),
    "mobilenetv2_a035_256_128_fft_int8.tflite": lambda n: mobilenet_v2(0.35, (256, 128), n),
    "mobilenetv2_a100_256_128_fft_int8.tflite": lambda n: mobilenet_v2(1.0, (256, 128), n),
    "resnet18wd4_pt_224_qdq_int8.onnx": lambda n: resnet18(0.25, classes=n),
    "preresnet18_a025_pt_224_qdq_int8.onnx": lambda n: resnet18(0.25, is_pre=True, classes=n),
    "resnet50v2_224_int8.tflite": resnet50_v2,
    "resnet50v2_224_fft_int8.tflite": resnet50_v2,
    "regnetx002_pt_224_qdq_int8.onnx": regnetx_200mf,
    "squeezenetv10_pt_224_qdq_int8.onnx": lambda n: squeezenet("1.0", classes=n),
    "squeezenetv11_224_tfs_int8.tflite": lambda n: squeezenet("1.1", classes=n),
    "squeezenetv11_128_tfs_int8.tflite": lambda n: squeezenet("1.1", 128, n),
    "sqnxt23_x100_pt_224_qdq_int8.onnx": lambda n: squeezenext(1.0, (6, 6, 8, 1), n),
    "sqnxt23_x150_pt_224_qdq_int8.onnx": lambda n: squeezenext(1.5, (6, 6, 8, 1), n),
    "sqnxt23_x200_pt_224_qdq_int8.onnx": lambda n: squeezenext(2.0, (6, 6, 8, 1), n),
    "sqnxt23v5_x150_pt_224_qdq_int8.onnx": lambda n: squeezenext(1.5, (2, 4, 14, 1), n),
    "sqnxt23v5_x200_pt_224_qdq_int8.onnx": lambda n: squeezenext(2.0, (2, 4, 14, 1), n),
    "darknettiny_pt_224_qdq_int8.onnx": darknet_tiny,
    "mnasnet_d050_pt_224_qdq_int8.onnx": lambda n: mnasnet(0.5, n),
    "efficientnetv2b0_224_qdq_int8.onnx": lambda n: _efficientnet_v2b(1.0, 1.0, 224, n),
    "efficientnetv2b0_224_fft_qdq_int8.onnx": lambda n: _efficientnet_v2b(1.0, 1.0, 224, n),
    "efficientnetv2b1_240_qdq_int8.onnx": lambda n: _efficientnet_v2b(1.0, 1.1, 240, n),
    "efficientnetv2b1_240_fft_qdq_int8.onnx": lambda n: _efficientnet_v2b(1.0, 1.1, 240, n),
    "efficientnetv2b2_260_qdq_int8.onnx": lambda n: _efficientnet_v2b(1.1, 1.2, 260, n),
    "efficientnetv2b2_260_fft_qdq_int8.onnx": lambda n: _efficientnet_v2b(1.1, 1.2, 260, n),
    "efficientnetv2b3_300_qdq_int8.onnx": lambda n: _efficientnet_v2b(1.2, 1.4, 300, n),
    "efficientnetv2s_384_qdq_int8.onnx": _efficientnet_v2s,
    "efficientnetv2s_384_fft_qdq_int8.onnx": _efficientnet_v2s,
}

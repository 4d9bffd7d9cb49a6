"""Activations may go to external memory, which is 5 to 20 times slower.

**Why.** What does not go into the RAM on the chip goes into the RAM beside it, over a narrow bus.
ST's own figures show the cliff: FastDepth takes 24 ms at 224 pixels, where it fits, and 478 ms at
320, where it does not; the firmware must set that RAM up as well.

**Fix.** Lower the input resolution or the channels of the first layers: the tensors named are those
alive at the peak. For a 7x7 convolution at full resolution, whose partial sums the compiler keeps,
use 3x3 ones. Choose the board that you have with `board`.

**Limits.** An estimate: it says what the upper end of the interval is, which about one model in ten
exceeds. Float models are not checked, since int8 needs a quarter.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import (
    Example,
    Facts,
    Fit,
    Hit,
    Location,
    Rule,
    Severity,
    Target,
    board_of,
    memory,
    show_size,
)


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield the model when the interval reaches into external memory."""
    if facts.quantization.form == "float":
        return
    found = memory(facts, target)
    if found is None or found.fit not in {Fit.MAY_SPILL, Fit.SPILLS}:
        return
    board = board_of(target)
    alive = ", ".join(f"{b.tensor!r} {show_size(b.size_bytes)}" for b in found.alive[:3])
    if found.fit is Fit.SPILLS:
        needs = f"needs at least {show_size(found.lower_bound)} of RAM"
    else:
        low, high = show_size(found.activations.low), show_size(found.activations.high)
        needs = f"needs {low} to {high} of RAM"
    yield Hit(
        Location(),
        f"{needs}, {board.name} has {show_size(board.on_chip_bytes)} on the chip;"
        f" alive at the peak: {alive}",
    )


_SPILLS = (
    "needs at least 5.17 MiB of RAM, stm32n6570-dk has 2.75 MiB on the chip;"
    " alive at the peak: 'm' 4.59 MiB, 'x' 588.0 KiB"
)

RULE = Rule(
    id="NPU402",
    name="may-spill",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "STMicroelectronics/stm32ai-modelzoo, STM32N6570-DK: with external RAM 64 ms and more",
        "LarocheC/stm32n6-deployment-zoo: activations in external RAM are 5 to 20 times slower",
    ),
    check=check,
    examples=(
        Example(
            title="an image at full resolution through 24 channels",
            bad="""
                <ir_version: 8, opset_import: ["" : 13]>
                net (float[1, 3, 448, 448] x) => (float[1, 24, 448, 448] y)
                <float s = {0.1}, int8 z = {1}, int8[24, 3, 3, 3] w, int8 wz = {0}>
                { q = QuantizeLinear (x, s, z)
                  d = DequantizeLinear (q, s, z)
                  wd = DequantizeLinear (w, s, wz)
                  c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d, wd)
                  cq = QuantizeLinear (c, s, z)
                  cd = DequantizeLinear (cq, s, z)
                  m = Sigmoid (cd)
                  mq = QuantizeLinear (m, s, z)
                  y = DequantizeLinear (mq, s, z) }
            """,
            messages=(_SPILLS,),
            good="""
                <ir_version: 8, opset_import: ["" : 13]>
                net (float[1, 3, 32, 32] x) => (float[1, 24, 32, 32] y)
                <float s = {0.1}, int8 z = {1}, int8[24, 3, 3, 3] w, int8 wz = {0}>
                { q = QuantizeLinear (x, s, z)
                  d = DequantizeLinear (q, s, z)
                  wd = DequantizeLinear (w, s, wz)
                  c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d, wd)
                  cq = QuantizeLinear (c, s, z)
                  y = DequantizeLinear (cq, s, z) }
            """,
        ),
    ),
)

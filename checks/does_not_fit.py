"""The model needs more memory than the board has.

**Why.** At one step more bytes are alive than all memories of the board hold together, or the
weights are larger than the flash. No order and no allocation changes that; the compiler ends with
an error, or with a program that cannot be linked.

**Fix.** Lower the input resolution or the channels of the first layers: the tensors named are those
alive at the peak. Quantise a float model: its tensors are four times as large. Weights become
smaller with fewer channels or 4-bit weights. Choose the board that you have with `board`.

**Limits.** Only what is certain is said here: the bytes alive at the peak, without what the
compiler adds. A float model that would fit as int8, in a quarter of the memory, gets a warning. A
model without shapes is not checked.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import (
    Example,
    Facts,
    Fit,
    Hit,
    Location,
    Memory,
    Rule,
    Severity,
    Target,
    board_of,
    memory,
    show_size,
)


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield the model when even the lower bound exceeds the memories."""
    found = memory(facts, target)
    if found is None or found.fit is not Fit.DOES_NOT_FIT:
        return
    board = board_of(target)
    ram, flash = board.ram_bytes, board.flash_bytes
    subject = "RAM" if found.lower_bound > ram else "weights"
    if found.lower_bound > ram:
        message = _activations(found, board.name, ram)
    else:
        message = (
            f"needs {show_size(found.weights.low)} for the weights beside"
            f" {show_size(found.lower_bound)} of activations; {board.name} has"
            f" {show_size(flash or ram)}"
        )
    smaller = (found.lower_bound + found.weights.low) / 4 <= ram + flash
    if facts.quantization.form == "float" and smaller and found.lower_bound / 4 <= ram:
        text = f"{message}; as int8 it takes a quarter"
        yield Hit(Location(), text, Severity.WARNING, subject=subject)
    else:
        yield Hit(Location(), message, subject=subject)


def _activations(found: Memory, board: str, room: int) -> str:
    alive = ", ".join(f"{b.tensor!r} {show_size(b.size_bytes)}" for b in found.alive[:3])
    return (
        f"needs at least {show_size(found.lower_bound)} of RAM, {board} has {show_size(room)};"
        f" alive at the peak: {alive}"
    )


_GOOD = """
    <ir_version: 8, opset_import: ["" : 13]>
    net (float[1, 16, 8, 8] x) => (float[1, 16, 8, 8] y) { y = Relu (x) }
"""
_LARGE = (
    "needs at least 192.00 MiB of RAM, stm32n6570-dk has 34.75 MiB;"
    " alive at the peak: 'h' 96.00 MiB, 'x' 96.00 MiB"
)
_SMALL = (
    "needs at least 4.00 MiB of RAM, nucleo-n657x0-q has 2.75 MiB;"
    " alive at the peak: 'h' 2.00 MiB, 'x' 2.00 MiB; as int8 it takes a quarter"
)

RULE = Rule(
    id="NPU401",
    name="does-not-fit",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "memory pool files of ST's STM32N6 applications: sizes of the memories",
        "ST Edge AI Core 2.1 to 4.0, reports: the activations must lie in one of the pools",
    ),
    check=check,
    examples=(
        Example(
            title="two tensors of 96 MiB, 24 as int8",
            bad="""
                <ir_version: 8, opset_import: ["" : 13]>
                net (float[1, 384, 256, 256] x) => (float[1, 384, 256, 256] y)
                { h = Exp (x)  y = Sin (h) }
            """,
            messages=(_LARGE,),
            good=_GOOD,
        ),
        Example(
            title="a board without external RAM",
            bad="""
                <ir_version: 8, opset_import: ["" : 13]>
                net (float[1, 8, 256, 256] x) => (float[1, 8, 256, 256] y)
                { h = Exp (x)  y = Sin (h) }
            """,
            messages=(_SMALL,),
            good=_GOOD,
            board="nucleo-n657x0-q",
        ),
    ),
)

"""Cycles and traffic of one convolution, as the compiler maps it to the accelerators.

A unit reads one element of the input per cycle and multiplies it with the weights of a batch of
output channels (8 with a window, up to 24 without): each batch is a pass over the whole input.
Up to four units are chained, each with its own batch of input channels; where the input has more,
the passes leave 16-bit partial sums, which are written and read again. The weights themselves
stream in at a byte per cycle, which binds on small maps.
"""

from __future__ import annotations

from math import ceil, prod

from msgspec import Struct

from npugate.estimate.chip import Units
from npugate.report.estimate import Window


class Work(Struct, frozen=True):
    """What a convolution takes.

    Attributes:
        cycles: of the accelerators.
        passes: how often the input is read.
        partial_reads, partial_writes: bytes of partial sums.
        partial_bytes: of memory that they take; 0 when one round makes the whole sum.
        weights: bytes of weights as they are stored.
    """

    cycles: float
    passes: int
    partial_reads: int
    partial_writes: int
    partial_bytes: int
    weights: int


def work(window: Window, units: Units) -> Work:
    """Return what a convolution takes; windows beyond the native size are cut into tiles."""
    if window.kernel == (1, 1) and window.groups == 1:
        return _pointwise(window, units)
    taps = prod(window.kernel)
    stored = window.channels_in // window.groups
    grouped = window.groups > 1
    fan_in = max(stored, units.inputs) if grouped else stored
    if grouped and window.kernel[1] <= units.inflated_width:
        stored = fan_in
    tiles = parts(window.kernel, window.strides, units)
    batches = ceil(fan_in / units.inputs) * tiles
    weights = window.channels_out * stored * taps
    pixels = prod(window.size_in)
    chained = _chained(
        batches, pixels * fan_in * window.channels_out / units.outputs, weights, units
    )
    outputs = units.outputs_chained if chained == units.count and tiles == 1 else units.outputs
    passes = ceil(window.channels_out / outputs)
    rounds = ceil(batches / chained)
    streamed = pixels * min(fan_in, units.inputs) * rounds * passes
    restreams = (
        1 if grouped or pixels <= units.small_map else ceil(window.channels_out / units.outputs)
    )
    return _finish(window, max(streamed, weights), restreams, rounds, weights)


def _pointwise(window: Window, units: Units) -> Work:
    pixels = prod(window.size_in)
    weights = window.channels_in * window.channels_out
    made = _divisor(window.channels_out, units.channels)
    is_fast = (
        window.channels_in >= units.fast_from
        and window.channels_in >= units.fast_ratio * window.channels_out
        and pixels > 1
    )
    rate = units.fast_rate if is_fast else 1
    most = 128 if is_fast else units.channels
    batch = _divisor(window.channels_in, most)
    passes = ceil(window.channels_out / made)
    alone = pixels * window.channels_in * passes / rate
    chained = _chained(ceil(window.channels_in / batch), alone, weights / rate, units)
    rounds = ceil(window.channels_in / (batch * chained))
    cycles = max(pixels * batch * rounds * passes / rate, weights / rate)
    restreams = 1 if pixels <= units.small_map and not is_fast else passes
    return _finish(window, cycles, restreams, rounds, weights)


def _finish(window: Window, cycles: float, passes: int, rounds: int, weights: int) -> Work:
    made = window.channels_out * prod(window.size_out)
    reads = 2 * made * rounds if rounds > 1 else 0
    writes = 2 * made * (rounds + 1) if rounds > 1 else 0
    held = 2 * made if rounds > 1 else 0
    return Work(max(cycles, made), passes, reads, writes, held, weights)


def parts(kernel: tuple[int, int], strides: tuple[int, int], units: Units) -> int:
    """Return the passes that a kernel is split into; 1 where the unit takes it whole.

    A kernel of height 1 may have any width (ST's guide to the accelerator).
    """
    if kernel[0] == 1:
        return 1
    height, width, strided = units.tile
    across = strided if max(strides) > 1 else width
    return ceil(kernel[0] / height) * ceil(kernel[1] / across)


def _chained(batches: int, alone: float, weights: float, units: Units) -> int:
    """Return how many units are chained: no more than it takes for the weights to bind."""
    counts = range(1, units.count + 1)
    usable = [n for n in counts if batches % n == 0]
    if len(usable) == 1 and batches > units.count:  # a prime; assumed, no c_info has one
        usable = list(counts)
    return next((n for n in usable if alone / n <= weights), usable[-1])


def _divisor(channels: int, most: int) -> int:
    """Return the largest divisor that is no more than a batch holds; the batch for a prime."""
    found = next(n for n in range(min(channels, most), 0, -1) if channels % n == 0)
    return found if found >= most // 4 or found == channels else min(channels, most)

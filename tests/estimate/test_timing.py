"""What an epoch and a network cost."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from statistics import median

import pytest

from npugate.estimate import chip, timing
from npugate.estimate.convolution import work
from npugate.findings.values import Location
from npugate.report.estimate import (
    Access,
    Buffer,
    Engine,
    Epoch,
    Fit,
    Interval,
    Memory,
    Operator,
    Pool,
    Window,
)
from tests.evidence import FOLDER, needs_evidence

NOWHERE = Location()


def _epoch(kind: str, engine: Engine, reads: tuple[Access, ...], made: Access) -> Epoch:
    return Epoch(0, engine, (Operator(kind, engine, NOWHERE),), reads, (made,))


def _memory(**placed: str) -> Memory:
    buffers = tuple(Buffer(name, 1, 0, 0, pool) for name, pool in placed.items())
    pools = (Pool("npuRAM5", 1), Pool("hyperRAM", 1, is_external=True))
    nothing = Interval(0, 0, 0)
    return Memory(Fit.FITS, pools, nothing, nothing, 0, 0, buffers=buffers)


@pytest.mark.parametrize(
    ("window", "cycles"),
    [
        # compute cycles of c_info; centerface (2.1), PP-OCR det (2.2), tiny YOLO v2 (2.0)
        (Window((3, 3), (2, 2), (1, 1), (1, 1, 1, 1), 1, 3, 32, (128, 128), (64, 64)), 196_608),
        (Window((3, 3), (2, 2), groups=96, channels_in=96, channels_out=96,
                size_in=(64, 64), size_out=(32, 32)), 393_216),
        (Window((3, 3), groups=384, channels_in=384, channels_out=384,
                size_in=(8, 8), size_out=(8, 8)), 27_648),
        (Window(channels_in=96, channels_out=24, size_in=(32, 32), size_out=(32, 32)), 32_768),
        (Window(channels_in=384, channels_out=96, size_in=(8, 8), size_out=(8, 8)), 12_288),
        (Window(channels_in=960, channels_out=320, size_in=(4, 4), size_out=(4, 4)), 102_400),
        (Window((3, 3), channels_in=96, channels_out=24, size_in=(40, 40), size_out=(40, 40)),
         230_400),
        (Window((5, 5), groups=192, channels_in=192, channels_out=192,
                size_in=(10, 10), size_out=(10, 10)), 19_200),
        (Window((3, 3), channels_in=256, channels_out=512, size_in=(7, 7), size_out=(7, 7)),
         1_179_648),
    ],
)  # fmt: skip
def test_a_convolution_takes_the_cycles_that_the_compiler_counts(
    window: Window, cycles: int
) -> None:
    assert work(window, chip.units()).cycles == pytest.approx(cycles, rel=0.2)


def test_partial_sums_of_two_rounds_are_written_and_read_again() -> None:
    done = work(
        Window((3, 3), channels_in=256, channels_out=512, size_in=(7, 7), size_out=(7, 7)),
        chip.units(),
    )

    made = 512 * 49
    assert done.partial_writes == 2 * made * 33  # tiny YOLO v2, epoch 12
    assert done.partial_reads == 2 * made * 32
    assert done.passes == 1


@pytest.mark.parametrize(("pool", "cost"), [("npuRAM5", 0.15625), ("hyperRAM", 2.5)])
def test_an_epoch_that_moves_data_costs_its_bytes_exactly(pool: str, cost: float) -> None:
    epoch = _epoch(
        "Identity", Engine.NPU, (Access("x", (1, 32, 80, 80), 8),), Access("y", (1, 32, 80, 80), 8)
    )

    timed, total = timing.time((epoch,), _memory(x=pool, y=pool), chip.clocks("overdrive"))

    assert total.compiler_cycles == 2 * 204_800 * cost
    assert timed[0].bound == pool


def test_weights_are_read_from_flash_and_bind_a_fully_connected_layer() -> None:
    window = Window(channels_in=1024, channels_out=1000)
    weights = Access("w", (1000, 1024), 8, is_weight=True)
    epoch = Epoch(
        0,
        Engine.NPU,
        (Operator("Gemm", Engine.NPU, NOWHERE),),
        (Access("x", (1, 1024), 8), weights),
        (Access("y", (1, 1000), 8),),
        1_024_000,
        window,
    )

    timed, total = timing.time((epoch,), None, chip.clocks("overdrive"))

    assert timed[0].bound == "octoFlash"
    assert total.compiler_cycles == 6 * 1_024_000
    assert total.microseconds.low < total.microseconds.likely < total.microseconds.high


def test_weights_that_are_placed_in_ram_cost_what_ram_costs() -> None:
    weights = Access("w", (64, 64, 1, 1), 8, is_weight=True)
    epoch = _epoch("Concat", Engine.NPU, (weights,), Access("y", (1, 1), 8))

    _, total = timing.time((epoch,), _memory(w="npuRAM5", y="npuRAM5"), chip.Clocks())

    assert total.compiler_cycles == pytest.approx(4097 * 0.15625)


def test_the_cpu_takes_its_own_clock_and_measured_cycles() -> None:
    epoch = _epoch(
        "DequantizeLinear", Engine.CPU, (Access("x", (1, 1000), 8),), Access("y", (1, 1000), 32)
    )

    _, fast = timing.time((epoch,), None, chip.clocks("overdrive"))
    _, slow = timing.time((epoch,), None, chip.clocks("nominal"))

    assert fast.microseconds.likely == pytest.approx(7100 / 800)
    assert slow.microseconds.likely == pytest.approx(7100 / 600)
    assert (fast.npu, fast.cpu) == (0.0, 1.0)
    assert fast.compiler_cycles == 2000


def test_what_lies_outside_of_the_measured_networks_is_said() -> None:
    odd = _epoch("Elu", Engine.CPU, (Access("x", (1, 10), 32),), Access("y", (1, 10), 32))

    _, total = timing.time((odd,), None, chip.Clocks())

    assert not total.is_calibrated
    assert any("bytes of weights" in note for note in total.notes)
    assert any("Elu" in note for note in total.notes)


def test_no_epochs_take_no_time() -> None:
    _, total = timing.time((), None, chip.Clocks())

    assert total.microseconds.high == 0


@needs_evidence("groundtruth")
def test_the_compiler_s_cycles_are_met_on_the_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Path(__file__).parents[2] / "tools" / "accuracy_timing.py"
    monkeypatch.setattr(sys, "path", [*sys.path])

    rows = list(runpy.run_path(str(tool))["compared"](FOLDER))

    on_npu = [row for row in rows if row.engine is Engine.NPU]
    assert len(on_npu) > 250
    for model in {row.model for row in on_npu if "float" not in row.model}:
        errors = [row.error for row in on_npu if row.model == model]
        assert median(errors) < 0.15, model


def test_a_pool_on_the_cpu_takes_as_long_as_what_it_reads():
    operator = Operator("GlobalAveragePool", Engine.CPU, Location())
    read, made = Access("x", (1, 1280, 7, 7), 32), Access("y", (1, 1280, 1, 1), 32)
    epoch = Epoch(0, Engine.CPU, (operator,), (read,), (made,))
    (timed,), _ = timing.time((epoch,), None, chip.clocks("overdrive"))
    # 0.394 ms in a validation report of MobileNetV2 (2.2)
    assert timed.microseconds.likely == pytest.approx(394, rel=0.1)


def _conv(window: Window, macs: int, index: int = 0) -> Epoch:
    reads = (Access("x", (1, window.channels_in, *window.size_in), 8),)
    made = Access("y", (1, window.channels_out, *window.size_out), 8)
    operator = Operator("Conv", Engine.NPU, NOWHERE)
    return Epoch(index, Engine.NPU, (operator,), reads, (made,), macs, window)


def test_the_parts_of_a_large_window_together_take_the_time_that_a_board_took() -> None:
    window = Window((7, 7), (1, 1), (1, 1), (3, 3, 3, 3), 1, 3, 32, (64, 64), (64, 64))
    parts = tuple(_conv(window, 19_267_584 // 5, index) for index in range(5))

    _, total = timing.time(parts, None, chip.clocks("overdrive"))

    # 0.462 ms for 4 epochs in a validation report (2.2)
    assert total.microseconds.likely == pytest.approx(5 * 462 / 4, rel=0.3)


def test_partial_sums_that_do_not_fit_go_outside_the_chip() -> None:
    window = Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 1, 48, 192, (96, 96), (96, 96))
    epoch = _conv(window, 48 * 9 * 192 * 96 * 96)
    nothing = Interval(0, 0, 0)
    pools = (Pool("npuRAM5", 2_883_584), Pool("hyperRAM", 2**25, is_external=True))
    bound = {}
    for live in (0, 2_000_000):
        free = Pool("npuRAM5", 8_000_000) if not live else pools[0]
        memory = Memory(
            Fit.FITS, (free, pools[1]), nothing, nothing, 0, 0, live=(live,),
            buffers=(Buffer("x", 1, 0, 0, "npuRAM5"), Buffer("y", 1, 0, 0, "npuRAM5")),
        )  # fmt: skip
        (timed,), _ = timing.time((epoch,), memory, chip.clocks("overdrive"))
        bound[live] = timed.bound

    # the table of EfficientNetV2-S at 384 pixels: 3456 KiB outside, the bytes of these sums
    assert work(window, chip.units()).partial_bytes == 3456 * 1024
    assert bound[0] != "hyperRAM"
    assert bound[2_000_000] == "hyperRAM"


def test_a_window_over_few_channels_is_not_slowed_down() -> None:
    few = Window((3, 3), (2, 2), (1, 1), (1, 1, 1, 1), 1, 3, 32, (224, 224), (112, 112))

    (timed,), _ = timing.time((_conv(few, 10_838_016),), None, chip.clocks("overdrive"))

    # 0.623 ms in a validation report of MobileNetV2 (2.2)
    assert timed.microseconds
    assert timed.microseconds.likely == pytest.approx(623, rel=0.1)


@needs_evidence("groundtruth")
def test_single_layers_are_near_what_boards_took(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Path(__file__).parents[2] / "tools" / "accuracy_boards.py"
    monkeypatch.setattr(sys, "path", [*sys.path])

    found = list(runpy.run_path(str(tool))["runs"](FOLDER))

    layers = [run.error for run in found if not run.is_whole]
    assert len(layers) >= 25
    assert median(layers) < 0.15

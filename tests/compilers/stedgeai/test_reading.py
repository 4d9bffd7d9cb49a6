"""What the compiler prints and writes, read: our own samples of each layout."""

from pathlib import Path

import pytest

from npugate import log
from npugate.compilers.stedgeai import info, lines, reading, text
from npugate.compilers.stedgeai.info import InfoError
from npugate.report.compiled import CompiledEpoch, EpochCounts, Failure

SAMPLES = Path(__file__).parents[2] / "fixtures" / "stedgeai"
MB = 1024 * 1024


def sample(name):
    return (SAMPLES / name).read_bytes()


def only(name):
    (run,) = text.read(sample(name))
    return run


def test_the_layout_of_2_2_is_read_whole():
    run = only("generate-2.2.txt")
    assert (run.command, run.version, run.compiler) == (
        "generate",
        "2.2.0-20266 2adc00962",
        "1.1.1-14",
    )
    assert (run.toolchain, run.model, run.model_format) == (
        "2.2",
        "sample_net",
        "ss/sa per channel",
    )
    assert run.macs is None, "the 0 of 2.2 is no figure"
    assert (run.parameters, run.weights, run.activations) == (40960, 41473, 1081344)
    assert (run.flash, run.ram, run.seconds) == (44473, 1081344, 4.25)
    assert run.counts == EpochCounts(5, 2)
    assert [(row.first, row.kind, row.operators) for row in run.epochs] == [
        (1, "HW", ()),
        (2, "HW", ()),
        (3, "SW", ("DepthToSpace",)),
        (4, "HW", ()),
        (5, "SW", ("DequantizeLinear",)),
    ]
    pools = {pool.name: pool for pool in run.pools}
    assert pools["cpuRAM2"].start == 0x34100000
    assert (pools["cpuRAM2"].size_bytes, pools["cpuRAM2"].activation_bytes) == (MB, MB)
    assert (pools["npuRAM3"].size_bytes, pools["npuRAM3"].used_bytes) == (458752, 32768)
    assert pools["octoFlash"].weight_bytes == round(40.501 * 1024)
    assert run.external_activations == 0
    assert run.warnings == (
        "Unsupported keys in the current profile sample are ignored: memory_desc",
    )
    assert run.failure is None


def test_the_layout_of_2_1_is_read_with_its_hybrid_epoch_and_spilled_activations():
    run = only("generate-2.1.txt")
    assert (run.command, run.toolchain, run.model) == ("generate", "2.1", "sample_net")
    assert run.macs == 1234567
    assert run.weights is None, "no line of this report says how many bytes the NPU's weights have"
    assert [row.kind for row in run.epochs] == ["EC", "SW", "HYBRID", "EC"]
    assert run.external_activations == 600 * 1024


def test_the_layout_of_4_0_is_read_with_ranges_and_hybrid_epochs():
    run = only("generate-4.0.txt")
    assert run.toolchain == "4.0"
    assert (run.macs, run.weights, run.activations, run.seconds) == (1300000, 41473, 401408, 5.125)
    assert run.counts == EpochCounts(12, 2, 1, 9, 3)
    assert run.epochs == (
        CompiledEpoch(1, 7, "EC"),
        CompiledEpoch(8, 8, "HYBRID", ("Concat",)),
        CompiledEpoch(10, 10, "SW", ("Sub(float)",)),
        CompiledEpoch(11, 11, "SW", ("QuantizeLinear",)),
        CompiledEpoch(12, 14, "EC"),
    )


def test_a_measurement_is_read_with_its_clocks():
    timing = only("validate-4.0.txt").timing
    assert (timing.milliseconds, timing.low, timing.high, timing.samples) == (
        12.345,
        12.001,
        12.9,
        10,
    )
    assert timing.cpu_cycles == (10000, 7300000, 97000)
    assert dict(timing.clocks_mhz) == {"mcu": 600, "noc": 400, "npu": 800, "nic": 800}


def test_a_network_for_the_processor_alone_has_no_epochs():
    run = only("cortex-2.1.txt")
    assert (run.macs, run.weights, run.activations) == (90000, 2048, 5120)
    assert (run.counts, run.epochs, run.pools) == (None, (), ())


def test_json_is_read_without_the_parameters_the_end_and_the_joint_pool():
    run = info.read(sample("sample_c_info.json"))
    assert (run.command, run.version, run.compiler) == (
        "generate",
        "2.2.0-20266 2adc00962",
        "1.1.1-14",
    )
    assert run.counts == EpochCounts(5, 2, 0, 3)
    assert [row.operators for row in run.epochs][:3] == [
        ("Conv", "Relu"),
        ("Conv",),
        ("DepthToSpace",),
    ]
    assert run.cycles == 4000
    assert [pool.name for pool in run.pools] == ["npuRAM3", "cpuRAM2", "hyperRAM", "octoFlash"]
    assert [pool.start for pool in run.pools][2:] == [0x90000000, 0x71000000]
    assert (run.weights, run.activations, run.external_activations) == (41473, 1081344, 0)


def test_text_and_json_of_one_run_agree_and_make_one_account():
    printed, written = only("generate-2.2.txt"), info.read(sample("sample_c_info.json"))
    for name in ("weights", "activations", "parameters", "version", "model"):
        assert getattr(printed, name) == getattr(written, name), name
    run = reading.read(sample("generate-2.2.txt"), {"a_c_info.json": sample("sample_c_info.json")})
    assert run.counts == EpochCounts(5, 2, 0, 3)
    assert run.epochs == written.epochs
    assert run.cycles == 4000
    flash = next(pool for pool in run.pools if pool.name == "octoFlash")
    assert (flash.used_bytes, flash.is_exact) == (41473, True)
    cpu = next(pool for pool in run.pools if pool.name == "cpuRAM2")
    assert (cpu.used_bytes, cpu.activation_bytes) == (MB, MB)


def test_the_older_json_report_is_read():
    run = info.read(sample("sample_report.json"))
    assert (run.command, run.toolchain) == ("analyze", "2.0")
    assert (run.macs, run.weights, run.activations) == (90000, 2048, 5120)
    failed = info.read(b'{"report_version": 1.1, "error": 1, "error_str": ["no", "memory"]}')
    assert failed.failure == Failure("", "no memory")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b'{"json_schema_version"', b"[" * 9999]
)
def test_json_that_is_none_of_the_compiler_is_refused(data):
    with pytest.raises(InfoError):
        info.read(data)


def test_json_of_the_wrong_types_gives_no_figure():
    run = info.read(
        b'{"json_schema_version": "2.0", "memory_pools": 3, "graphs": [{"nodes": [5, '
        b'{"name": "epoch_x"}]}], "memory_footprint": {"weights": "many", "activations": -1}, '
        b'"environment": [], "power_estimates": {}, "aton_execution_time": [{}]}'
    )
    assert (run.weights, run.activations, run.pools, run.counts, run.timing) == (
        None,
        None,
        (),
        None,
        None,
    )


def test_a_log_of_cubemx_says_the_same_without_its_time_stamps():
    plain = sample("generate-2.2.txt")
    stamp = b"2026-06-16 21:38:12,362 [INFO] CmdLine:76 - "
    logged = b"\r\n".join(stamp + line for line in plain.split(b"\n"))
    assert text.read(logged) == text.read(plain)


def test_a_progress_bar_hides_no_warning():
    bar = b"PASS:  12%|##        | 12/103 [00:00<00:01, 99.10it/s]WARNING: x is not quantized\r\n"
    assert next(lines.clean(bar)) == "WARNING: x is not quantized"


def test_bytes_that_are_no_text_are_kept_in_words():
    assert list(lines.clean(b"caf\xe9 \x1b[31mred\x1b[0m")) == ["caf\\xe9 red"]


def test_two_calls_in_one_log_stay_two():
    runs = text.read(sample("generate-4.0.txt") + sample("validate-4.0.txt"))
    assert [run.command for run in runs] == ["generate", "validate"]
    assert [run.macs for run in runs] == [1300000, 1310000]


FAILURES = {
    "failed-ir-version.txt": ("INTERNAL ERROR", "Your model ir_version 11 is higher", 0),
    "failed-allocation.txt": ("E103(CliRuntimeError)", "Error calling the Neural Art", 5),
    "failed-crash.txt": ("E103(CliRuntimeError)", "Error calling the Neural Art compiler", 2),
    "failed-unknown.txt": ("TOOL ERROR", "the flux of node '/head/Add'", 0),
    "failed-arguments.txt": ("E102(CliArgumentError)", "Profile nothing does not exist", 0),
}


@pytest.mark.parametrize(("name", "expected"), FAILURES.items())
def test_a_failure_is_read_in_the_words_of_the_tool(name, expected):
    category, message, detail = expected
    failure = only(name).failure
    assert failure.category == category
    assert failure.message.startswith(message)
    assert len(failure.detail) == detail
    assert not any(line.startswith("$") for line in failure.detail), "the command line is no reason"


def test_the_message_that_ai_studio_wraps_is_taken_out_of_its_wrapping():
    run = only("failed-wrapped.txt")
    assert run.toolchain == "4.0"
    assert str(run.failure) == (
        "INTERNAL ERROR: Exported ONNX could be malformed since ONNX shape inference fails"
    )
    assert run.warnings == ("norm_Reduce is not quantized",)


def test_c_code_that_does_not_compile_is_no_failure_of_a_run_that_ended_well():
    shell = b"   >>> Shell execution has FAILED (returned code = 1)\n   $ gcc x.c\n   bad\n   <<<\n"
    (run,) = text.read(sample("generate-4.0.txt").replace(b"Compilation details", shell))
    assert run.failure is None


def test_nothing_is_made_of_other_programs_output():
    assert text.read(b"make: *** [all] Error 2\nweights: 12 kg\n") == ()


POOL = b"""{"memory": {"mempools": [ // the fast one
{"fname": "AXISRAM6", "name": "npuRAM6", "offset": {"value": "0x34350000", "magnitude": "BYTES"},
 "size": {"value": "448", "magnitude": "KBYTES"},
 "prop": {"rights": "ACC_WRITE", "byteWidth": 8, "freqRatio": 1.25}}]}}"""


def test_the_memories_of_a_run_that_failed_are_those_that_it_was_given():
    run = reading.read(sample("failed-allocation.txt"), {"x.mpool": POOL})
    assert run.failure is not None
    assert [(p.name, p.start, p.size_bytes, p.used_bytes) for p in run.pools] == [
        ("npuRAM6", 0x34350000, 458752, None)
    ]


def test_the_figures_of_a_report_stay_beside_the_file_of_its_memories():
    file = POOL.replace(b"npuRAM6", b"npuRAM3")
    run = reading.read(sample("generate-2.2.txt"), {"x.mpool": file})
    assert {p.name: p.used_bytes for p in run.pools}["npuRAM3"] == 32768


def test_a_damaged_file_of_a_run_is_left_out(capsys, monkeypatch):
    monkeypatch.setattr(log, "_stream", None)
    run = reading.read(
        sample("generate-2.2.txt"), {"x_c_info.json": b"{", "y.mpool": b"{", "z_report.json": b"[]"}
    )
    assert run == text.read(sample("generate-2.2.txt"))[0]
    assert capsys.readouterr().err.count("npugate: ") == 3

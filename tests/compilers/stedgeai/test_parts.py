"""The parts around the compiler: the catalogue, what is hidden, what is compared, what is run."""

import re
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from npugate.compilers.stedgeai import (
    catalogue,
    comparison,
    invocation,
    process,
    reading,
    record,
    redact,
    verdict,
)
from npugate.compilers.stedgeai.record import Ended, Output, Tail
from npugate.findings.values import Location
from npugate.report.compiled import Asked, Compiled, State
from npugate.report.estimate import (
    Engine,
    Epoch,
    Estimate,
    Fit,
    Interval,
    Memory,
    Operator,
    Pool,
    Time,
)
from npugate.rules import registry
from npugate.target.file import bundled
from tests.stedgeai_tool import SAMPLES

RULES, REPAIRS = registry.rules(), registry.repairs()
# One line that each row must know, as the tool prints it; rows that no text shows have none.
LINES = {
    "ir-version": "INTERNAL ERROR: Your model ir_version 10 is higher than the checker's (9).",
    "activations-do-not-fit": "Warning: Oauto did not find valid compile options: aborting",
    "allocation-without-npu": "E700(UnfeasibleAllocation): Allocation Pass failed on schedule. Not "
    "enough memory on device",
    "list-index": "TOOL ERROR: list index out of range",
    "non-numerical-parameter": "E010(InvalidModelError): Non-numerical or not-string elements in "
    "a's parameter out_0",
    "shape-inference": "INTERNAL ERROR: Exported ONNX could be malformed since ONNX shape "
    "inference fails",
    "layer-format": "NOT IMPLEMENTED: Unkonwn layer format for layer Input_72",
    "unsigned-format": "INTERNAL ERROR: quantized unsigned integer format is not supported",
    "einsum-shapes": 'TOOL ERROR: Error in computation of shapes "Unknown dimensions: H"',
    "slice-shapes": "TOOL ERROR: Error in computation of shapes",
    "pad-constant": "INTERNAL ERROR: Failed to build a valid graph: missing shape or size for "
    "value=Pad_3_constant_value",
    "missing-shape": "INTERNAL ERROR: Failed to build a valid graph: missing shape or size for "
    "value=x",
    "non-ascii-path": "wstring_convert::from_bytes",
    "group-lowering": "lower_arith_set_in_batch conf_CONV_IN_ACTIVATION",
    "compiler-crash": "Internal compiler error (signo=11)",
    "none-type": "INTERNAL ERROR: None has type NoneType, but expected one of: bytes, unicode",
    "conversion-shape": "INTERNAL ERROR: not implemented shape len for Conversion",
    "channel-position": "INTERNAL ERROR: Mismatch in channel position",
    "unsupported-layer": "NOT IMPLEMENTED: Unsupported layer types: Expand, stopping.",
    "gemm-shape": "INTERNAL ERROR: Mismatch in input shape of gemm",
    "int-argument": "INTERNAL ERROR: int() argument must be a string, a bytes-like object or a "
    "number, not 'NoneType'",
    "wrong-series": "E010(InvalidModelError): Error during NBG compilation",
    "arguments": "E102(CliArgumentError): no such profile",
    "firmware": "E801(HwIOError): Invalid firmware",
    "board-timeout": "LOAD ERROR: STM32 - read timeout 50094.0ms/50000ms",
    "probe": "No ST-LINK detected",
    "interrupted": "INTERRUPT: by the user",
}
TRAPS = {
    "quantization-ignored": "Ignore Quantization JSON file; unsupported version",
    "not-quantized": "WARNING: conv_out is not quantized",
    "obsolete-profile-key": "> memory_desc is not a valid key anymore, use machine_desc instead",
    "unallocated": "total bytes left unallocated=64",
}


def test_the_catalogue_is_no_target():
    assert bundled() == ("stm32h7", "stm32n6")


@pytest.mark.parametrize("row", catalogue.rows(), ids=lambda row: row.id)
def test_a_row_names_what_exists_and_says_what_to_do(row):
    assert row.rule in RULES
    assert not row.repair or row.repair in REPAIRS
    assert row.cause
    assert row.fix
    assert (row.where == "later") == (row.pattern is None)
    assert all(re.fullmatch(r"\d\.\d", version) for version in row.versions)


def test_the_rows_have_names_of_their_own():
    names = [row.id for row in catalogue.rows()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("name", "line"), LINES.items())
def test_a_failure_is_known_by_its_line(name, line):
    assert catalogue.of_failure(["something else", line]).id == name


def test_every_row_of_a_failure_or_a_trap_has_its_line_here():
    rows = {row.id: row.where for row in catalogue.rows() if row.where != "later"}
    assert rows == dict.fromkeys(LINES, "failure") | dict.fromkeys(TRAPS, "output")


@pytest.mark.parametrize(("name", "line"), TRAPS.items())
def test_a_trap_is_known_by_its_line_and_counted(name, line):
    assert [(row.id, count) for row, count in catalogue.of_output([line, "x", line])] == [(name, 2)]


def test_a_line_of_no_row_is_unknown():
    assert catalogue.of_failure(["TOOL ERROR: the flux is out of phase"]) is None


HIDDEN = {
    "model file :   /home/someone/a b/net.onnx  ": "model file :   <folder>/net.onnx  ",
    r"-m " + "C:" + r"\Users\Some One\net.onnx --name n": "-m <folder>/net.onnx --name n",
    '"path": "' + "C:" + r'\\Users\\someone\\x\\net.json"': '"path": "<folder>/net.json"',
    "-i /tmp/a/x.onnx -o /tmp/b/y.c": "-i <folder>/x.onnx -o <folder>/y.c",
    "--output /home/someone --quiet": "--output <folder>/<user> --quiet",
    r"\\server\share\net.onnx": "<folder>/net.onnx",
    "~/nets/net.onnx": "<folder>/net.onnx",
    "ST-LINK SN  : 002F00112233445566778899": "ST-LINK SN  : <serial>",
    "board 002F00112233445566778899 found": "board <serial> found",
    "Serial driver v1.0 - /dev/cu.usbmodem1402:921600": "Serial driver v1.0 - <port>:921600",
    "by some.one@example.com": "by <mail>",
}
KEPT = (
    "node '/model.0/conv/Conv_output_0' is not quantized",
    "model/c-model: macc=1/2 weights=3/4 activations=--/5 io=--/0",
    "cpuRAM2 [0x34100000 - 0x34200000]: 1.000 MB / 1.000 MB -- weights: 0 B",
    "model_hash : 0x0300025eebdbb68c09bdb2054efb898c",
    "model_fmt : ss/sa per channel",
    "https://st.com/x/y",
    "serial:COM3:115200",
    "duration : 0.080 ms by sample (0.079/0.088/0.003)",
)


@pytest.mark.parametrize(("given", "expected"), HIDDEN.items())
def test_what_belongs_to_somebody_is_taken_out(given, expected):
    assert redact.text(given) == expected


@pytest.mark.parametrize("given", KEPT)
def test_what_belongs_to_nobody_stays(given):
    assert redact.text(given) == given


def test_the_folders_of_this_run_are_hidden_wherever_they_are():
    assert redact.text("in /odd/place/net.onnx", places=["/odd/place"]) == "in <folder>/net.onnx"


def asked(**more):
    return Asked("small.onnx", Path("small.onnx"), toolchain="2.2", **more)


def epoch(index, engine, kind):
    return Epoch(index, engine, (Operator(kind, engine, Location()),))


def estimate(**more):
    epochs = (
        epoch(0, Engine.NPU, "Conv"),
        epoch(1, Engine.NPU, "Conv"),
        epoch(2, Engine.CPU, "DepthToSpace"),
        epoch(3, Engine.NPU, "Add"),
        epoch(4, Engine.CPU, "DequantizeLinear"),
    )
    memory = Memory(
        Fit.FITS,
        (Pool("cpuRAM2", 1 << 20, 0, 1 << 20), Pool("npuRAM3", 458752, 0, 400000)),
        Interval(41000, 41473, 42000),
        Interval(1000000, 1081344, 1100000),
        1000000,
        1,
    )
    time = Time(Interval(900, 1000, 1100), 0.9, 0.1, 4100.0)
    values = {"memory": memory, "time": time, **more}
    return Estimate("stm32n6", "2.2", "STM32N6570-DK", epochs, 1200000, 1300000, **values)


def both():
    return reading.read(
        (SAMPLES / "generate-2.2.txt").read_bytes(),
        {"network_c_info.json": (SAMPLES / "sample_c_info.json").read_bytes()},
    )


def compared(run, prediction):
    state = Compiled(State.COMPILED, "cli", "", run)
    return {row.subject: row for row in comparison.compare(asked(estimate=prediction), state, "")}


def test_predictions_are_laid_beside_what_was_compiled():
    rows = compared(both(), estimate())
    assert rows["epochs"].agrees
    assert rows["epochs on the CPU"].agrees
    assert rows["DepthToSpace (CPU)"].agrees
    assert "DequantizeLinear (CPU)" not in rows, "the borders are in the count of epochs"
    assert rows["weights"].agrees
    assert rows["weights"].predicted == "40.0 KiB to 41.0 KiB"
    assert rows["activations"].compiled == "1,056.0 KiB"
    assert rows["cpuRAM2"].agrees
    assert not rows["npuRAM3"].agrees
    assert rows["cycles of the compiler's model"].agrees
    assert "time" not in rows, "nothing was measured"
    assert "MACs" not in rows, "2.2 tells none"


def test_a_wrong_placement_is_called_out_by_operator():
    moved = replace(
        estimate(), epochs=(*estimate().epochs[:2], *[epoch(n, Engine.CPU, "Resize") for n in "ab"])
    )
    rows = compared(both(), moved)
    assert not rows["Resize (CPU)"].agrees
    assert (rows["Resize (CPU)"].predicted, rows["Resize (CPU)"].compiled) == ("2", "0")
    assert (rows["DepthToSpace (CPU)"].predicted, rows["DepthToSpace (CPU)"].compiled) == ("0", "1")
    assert not rows["epochs"].agrees


def test_macs_and_a_measured_time_are_compared():
    run = reading.read((SAMPLES / "generate-4.0.txt").read_bytes(), {})
    assert compared(run, estimate())["MACs"].agrees
    run = reading.read((SAMPLES / "validate-4.0.txt").read_bytes(), {})
    row = compared(run, estimate())["time"]
    assert not row.agrees
    assert (row.predicted, row.compiled) == ("0.90 to 1.10 ms", "12.35 ms measured")


def output(name, **more):
    return Output("cli", Ended.EXIT, 0, (SAMPLES / name).read_bytes(), **more)


def test_more_on_the_cpu_than_predicted_is_a_warning():
    none = replace(estimate(), epochs=(epoch(0, Engine.NPU, "Conv"),))
    text = output("generate-2.2.txt").stdout.replace(b"which 2 impl", b"which 4 impl")
    answer = verdict.verdict_of(
        asked(estimate=none), replace(output("generate-2.2.txt"), stdout=text)
    )
    assert [rule for rule, _ in answer.hits if rule == catalogue.FALLBACK] == [catalogue.FALLBACK]
    assert "4 of 5 epochs on the CPU, 0 were predicted" in answer.hits[-1][1].message
    answer = verdict.verdict_of(asked(estimate=none), output("generate-2.2.txt"))
    assert catalogue.FALLBACK not in dict(answer.hits), "two are within what a model may err"


@pytest.mark.parametrize(("is_quantized", "expected"), [(True, True), (False, False)])
def test_without_a_prediction_half_of_a_quantised_network_is_too_much(is_quantized, expected):
    text = output("generate-2.2.txt").stdout.replace(b"which 2 impl", b"which 3 impl")
    told = replace(output("generate-2.2.txt"), stdout=text)
    answer = verdict.verdict_of(asked(is_quantized=is_quantized), told)
    assert (catalogue.FALLBACK in dict(answer.hits)) is expected


def test_the_reason_may_stand_beside_the_line_that_ends_the_run():
    text = (
        b"ST Edge AI Core v4.0.1-20581 7ed50de05\nUnknown dimensions: H\n"
        b"TOOL ERROR: Error in computation of shapes\n"
    )
    answer = verdict.verdict_of(asked(), Output("cli", Ended.EXIT, 255, text))
    assert answer.compiled.known == ("einsum-shapes",)
    assert [rule for rule, _ in answer.hits] == ["NPU227"]


def test_weights_without_a_place_are_an_error():
    text = output("generate-2.2.txt").stdout
    for size in (b"1.000 MB /", b"32.000 kB /", b"40.501 kB /"):
        text = text.replace(size, b"0  B /")
    answer = verdict.verdict_of(asked(), replace(output("generate-2.2.txt"), stdout=text))
    assert "no memory holds them" in dict(answer.hits)[catalogue.MEMORY].message


def test_the_beginning_and_the_end_of_a_long_output_are_kept():
    kept = Tail(20)
    for number in range(1000):
        kept.add(f"{number:04d}".encode())
    assert kept.bytes() == b"0000000100" + record.MARK + b"9709980999"
    short = Tail(20)
    short.add(b"short")
    assert short.bytes() == b"short"


def test_a_record_stays_below_its_folder():
    assert record.slug("../../etc/pass wd") == "__..__etc__pass_wd"
    assert "/" not in record.slug("a/b\\c:d")
    assert record.slug("...") == "model"


@pytest.mark.parametrize(
    "name", ["../x_c_info.json", "x_c_info.json.exe", ".ssh", "a/b_report.txt"]
)
def test_only_reports_are_taken_from_a_folder_or_an_archive(name):
    assert not record.is_wanted(name)


def python(code):
    return [sys.executable, "-c", code]


def test_a_program_that_prints_without_end_is_ended(tmp_path):
    told = process.run(
        python("while True: print('x' * 100000)"), tmp_path, {}, 60, total_bytes=5_000_000
    )
    assert (told.ended, told.status) == (Ended.TOO_MUCH_OUTPUT, None)
    assert len(told.stdout) <= record.OUTPUT_BYTES + len(record.MARK)


def test_a_program_that_closes_its_output_is_waited_for(tmp_path):
    code = "import os, time; print('a', flush=True); os.close(1); os.close(2); time.sleep(0.3)"
    told = process.run(python(f"{code}; os._exit(3)"), tmp_path, {}, 60)
    assert (told.ended, told.status, told.stdout) == (Ended.EXIT, 3, b"a\n")
    told = process.run(python(f"{code}; time.sleep(60)"), tmp_path, {}, 1)
    assert told.ended is Ended.TIME_OUT


def test_a_program_that_ignores_the_polite_signal_is_ended_all_the_same(tmp_path):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('x', flush=True)"
    told = process.run(python(f"{code}; time.sleep(600)"), tmp_path, {}, 1)
    assert (told.ended, told.stdout) == (Ended.TIME_OUT, b"x\n")


def test_a_program_that_is_none_is_told(tmp_path):
    told = process.run([str(tmp_path / "nothing")], tmp_path, {}, 1)
    assert told.ended is Ended.NOT_STARTED
    assert "cannot be started" in told.reason


def test_of_what_a_tool_wrote_only_plain_reports_are_taken(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "network_c_info.json").write_text("{}")
    (tmp_path / "network.c").write_text("int x;")
    (tmp_path / "secret").write_text("key")
    (tmp_path / "a_report.txt").symlink_to(tmp_path / "secret")
    assert record.collected([tmp_path]) == {"network_c_info.json": b"{}"}


@pytest.mark.parametrize("name", ["/etc/hostname", "../outside.bin", "link.bin"])
def test_weights_from_elsewhere_are_not_copied(tmp_path, name):
    (tmp_path / "outside.bin").write_text("key")
    folder = tmp_path / "nets"
    folder.mkdir()
    (folder / "a.onnx").write_text("model")
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    with pytest.raises(OSError, match=r"the weights (lie outside|are in no plain file)"):
        invocation.copy(invocation.Request(folder / "a.onnx", (name,)), tmp_path / "copy")

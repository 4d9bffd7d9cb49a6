"""``npugate deploy`` and ``npugate verify``: steps, cache, report, and what goes wrong."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from examples.rppg import data
from npugate import cli
from npugate.commands import dispatch
from npugate.console import Console
from npugate.deploy import cache, plan, run
from npugate.deploy.run import Ended
from npugate.deploy.values import Settings, Verdict
from npugate.errors import UsageError
from npugate.reporters import deployment
from tests.sample_report import HOSTILE

MODELS = Path(__file__).resolve().parents[1] / "fixtures/models"
FIX = MODELS / "rppg_4d_fp32.onnx"
CLEAN = MODELS / "rppg_stm32_clean_fp32.onnx"
ASKED = ("--labels", "bpm", "--metric", "mae", "--unit", "BPM", "--expect-range", "30:180")


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Few samples of the real splits."""
    folder = tmp_path_factory.mktemp("samples")
    for name in ("calibration", "test"):
        split = data.make(name, 24)
        np.savez(folder / f"{name}.npz", images=split.images, bpm=split.bpm)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, samples):
    """The models and the samples in a folder of their own, as the working directory."""
    fill(tmp_path, samples)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(folder, samples):
    for path in (FIX, CLEAN, *samples.iterdir()):
        shutil.copy(path, folder / path.name)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory, samples):
    """A folder where both plans ran once, which is dear, and how that ended."""
    folder = tmp_path_factory.mktemp("deployed")
    fill(folder, samples)
    out, err = io.StringIO(), io.StringIO()
    arguments = ["deploy", "--plan", "both", "--clean", CLEAN.name, *given()]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code = dispatch.run(arguments, Console({}, out, err))
    return folder, code, out.getvalue(), err.getvalue()


@pytest.fixture
def again(tmp_path, monkeypatch, deployed):
    """A copy of that folder, as the working directory: what is done is known by its paths here."""
    shutil.copytree(deployed[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def deploy(capsys, *arguments):
    code = cli.main(["deploy", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def given(*more, model=FIX.name):
    return (
        "--model",
        model,
        "--calibration",
        "calibration.npz",
        "--data",
        "test.npz",
        *ASKED,
        *more,
    )


def test_both_plans_run_to_no_violation_and_a_report_that_says_so(deployed, monkeypatch):
    folder, code, out, err = deployed
    monkeypatch.chdir(folder)
    assert (code, err) == (0, "")
    assert "(unchanged)" not in out
    report = json.loads((folder / "npugate-deploy/deployment.json").read_bytes())
    assert [item["plan"] for item in report["plans"]] == ["fix", "clean"]
    for item in report["plans"]:
        assert [step["verdict"] for step in item["steps"]] == ["passed"] * 7
        met = {criterion["text"]: criterion["is_met"] for criterion in item["criteria"]}
        assert met["the int8 model has 0 violations"] is True
        assert met["it runs in ONNX Runtime, every output is as expected"] is True
        assert met["ST's compiler takes it"] is None
        for path, digest in (pair for step in item["steps"] for pair in step["made"]):
            assert cache.digest_of(Path(path)) == digest
    assert "violations before 8; violations after 0" in (
        folder / "npugate-deploy/deployment.md"
    ).read_text("utf-8")
    assert "deployment: PASS" in out


def test_only_what_changed_is_done_again(again, capsys):
    out = deploy(capsys, *given())[1]
    assert out.count("(unchanged)") == 7
    test = np.load("test.npz")
    np.savez("test.npz", images=test["images"][:20], bpm=test["bpm"][:20])
    out = deploy(capsys, *given())[1]
    done = [line for line in out.splitlines() if " s)" in line]
    assert len(done) == 2  # evaluate and run
    (again / "npugate-deploy/fix/model_int8.onnx").unlink()
    out = deploy(capsys, *given())[1]
    assert [line.split("(")[0].split()[1] for line in out.splitlines() if " s)" in line] == [
        "quantise"
    ]


def test_a_limit_that_is_missed_stops_the_plan_and_says_what_to_do(again, capsys):
    code, out, _ = deploy(capsys, *given("--limit=--min-sqnr=200"))
    assert code == 1
    assert "failed  evaluate on other samples" in out
    assert "--exclude one" in out
    report = json.loads((again / "npugate-deploy/deployment.json").read_bytes())
    verdicts = [step["verdict"] for step in report["plans"][0]["steps"]]
    assert verdicts == ["passed"] * 3 + ["failed"] + ["skipped"] * 3
    assert not report["passed"]


def test_an_output_outside_of_the_range_fails(again, capsys):
    arguments = [word if word != "30:180" else "30:50" for word in given()]
    code, out, _ = deploy(capsys, *arguments)
    assert code == 1
    assert "failed  run the int8 model" in out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--model", "none.onnx"), "none.onnx: there is no such file"),
        (("--calibration", "none.npz"), "none.npz: there is no such file"),
        (("--expect-range", "9:1"), "--expect-range 9:1"),
        (("--expect-range", "a:b"), "write LEAST:MOST"),
        (("--plan", "clean"), "the plan clean needs --clean"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_done(place, capsys, change, said):
    code, _, err = deploy(capsys, *given(), *change)
    assert code == 2
    assert said in err
    assert not list(place.glob("npugate-deploy/*/*"))


def test_a_step_that_fails_on_findings_names_the_worst(place, capsys):
    (place / "text.onnx").write_text("hello")
    words = [word if word != FIX.name else "text.onnx" for word in given()]
    code, out, _ = deploy(capsys, *words)
    assert code == 1
    assert "NPU001 unreadable-model: the file is no ONNX model" in out


def test_missing_data_is_named(place, capsys):
    code, _, err = deploy(capsys)
    assert code == 2
    assert "say what to deploy: --model MODEL.onnx repairs a model" in err
    code, _, err = deploy(capsys, "--model", FIX.name)
    assert code == 2
    assert "--calibration DATA is missing" in err
    code, _, err = deploy(capsys, "--model", FIX.name, "--calibration", "calibration.npz")
    assert "--data DATA is missing" in err


@pytest.mark.parametrize("fault", ["empty", "nan", "shape", "rubbish"])
def test_wrong_data_stops_at_its_step_with_a_reason(again, capsys, fault):
    images = np.zeros((8, 72, 36, 36), np.float32)
    if fault == "empty":
        np.savez("calibration.npz", images=images[:0], bpm=np.zeros((0, 1), np.float32))
    elif fault == "nan":
        np.savez("calibration.npz", images=images * np.nan, bpm=np.ones((8, 1), np.float32))
    elif fault == "shape":
        np.savez("calibration.npz", images=images[:, :3], bpm=np.ones((8, 1), np.float32))
    else:
        Path("calibration.npz").write_bytes(b"no archive")
    code, out, _ = deploy(capsys, *given())
    assert code == 1
    assert "failed  quantise to int8" in out
    assert not (again / "npugate-deploy/fix/model_int8.onnx").exists()


def test_the_configuration_says_what_the_arguments_do_not(place, capsys):
    Path("npugate.toml").write_text(
        '[deploy]\nmodel = "rppg_4d_fp32.onnx"\ncalibration = "calibration.npz"\n'
        'data = "test.npz"\nlabels = "bpm"\nmetric = "mae"\nexpect-range = "30:180"\n'
    )
    assert deploy(capsys)[0] == 0
    Path("npugate.toml").write_text('[deploy]\nmodell = "x"\n')
    code, _, err = deploy(capsys)
    assert code == 2
    assert "modell" in err
    assert "'model'" in err
    assert cli.main(["check", "rppg_stm32_clean_fp32.onnx", "--quiet"]) == 0  # it is no key of ours


def settings(folder):
    model = folder / FIX.name
    npz = folder / "calibration.npz"
    return Settings(("fix",), folder / "out", model, calibration=npz, data=npz)


def test_an_interrupted_run_goes_on_where_it_was(place):
    """The program stands in for npugate: it makes what a step makes."""
    seen = []

    def program(arguments):
        seen.append(arguments[0])
        if arguments[0] == "quantize" and len(seen) < 4:
            return Ended(run.INTERRUPTED, "npugate: interrupted\n")
        return real(arguments)

    def real(arguments):
        return Ended(cli.main(list(arguments)), "")

    with pytest.raises(KeyboardInterrupt):
        run.deploy(settings(place), program, lambda _line: None)
    assert seen == ["fix", "check", "quantize"]
    run.deploy(settings(place), program, lambda _line: None)
    assert seen[3] == "quantize"


def test_a_full_disk_ends_with_a_reason_and_nothing_half_written(place, capsys, monkeypatch):
    from npugate import atomic_write  # noqa: PLC0415 - patched here only

    real = atomic_write.write_bytes

    def full(path, content):
        if path.name == "model_int8.onnx":
            raise UsageError(f"cannot write {path}: No space left on device")
        real(path, content)

    monkeypatch.setattr(atomic_write, "write_bytes", full)
    code, out, _ = deploy(capsys, *given())
    assert code == 1
    assert "No space left on device" in out
    assert not (place / "npugate-deploy/fix/model_int8.onnx").exists()


def test_a_folder_that_cannot_be_made_is_an_error_at_once(place, capsys):
    Path("taken").write_text("")
    code, _, err = deploy(capsys, *given("--output-dir", "taken/inside"))
    assert code == 2
    assert "cannot be written" in err


def test_a_damaged_state_is_no_state(again, capsys):
    assert deploy(capsys, *given())[0] == 0
    state = again / "npugate-deploy/deploy-state.json"
    for content in (b"", b"[]", b"{", b'{"schema": "npugate-deploy-state/1", "steps": 3}'):
        state.write_bytes(content)
        assert cache.State(state.parent).seconds("fix/source", "x", ()) is None


def test_steps_of_the_clean_plan_from_a_callable_export_first(tmp_path):
    chosen = Settings(("clean",), tmp_path, clean="net.model:make", calibration=tmp_path)
    first = plan.steps(chosen, "clean")[0]
    assert first.arguments[:2] == ("export", "net.model:make")


def test_names_cannot_break_the_reports():
    from npugate.deploy.values import Deployment, Outcome, Result  # noqa: PLC0415 - used here only

    for name in HOSTILE.values():
        step = Result(name, name, Verdict.FAILED, name, figures=((name, name),), reason=name)
        report = Deployment("1", (Outcome(name, (step,), ()),), ((name, name),))
        page = deployment.page(report)
        assert "<script" not in page
        assert "\x1b" not in page + deployment.markdown(report)
        json.loads(deployment.document(report))


def verify(capsys, *arguments):
    code = cli.main(["verify", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_verify_runs_a_float_model_on_random_numbers(place, capsys):
    code, out, _ = verify(capsys, CLEAN.name, "--samples", "3", "--expect-range", "30:180")
    assert code == 0
    assert "note: run on random numbers" in out
    assert verify(capsys, CLEAN.name, "--samples", "0")[0] == 2


def quantized(path, *, leak):
    """A model that quantises its input; with ``leak``, one that also uses it before."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Add", ["d", "x" if leak else "d"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy"]
    weights = [
        helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]),
        helper.make_tensor("z", TensorProto.INT8, [], [3]),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.save(made, path)


@pytest.mark.parametrize(("leak", "code"), [(False, 0), (True, 1)])
def test_inputs_in_the_models_own_integers_must_make_no_difference(tmp_path, capsys, leak, code):
    quantized(tmp_path / "m.onnx", leak=leak)
    assert verify(capsys, str(tmp_path / "m.onnx"))[0] == code


def test_an_output_that_is_no_number_fails(tmp_path, capsys):
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy"]
    nodes = [helper.make_node("Sub", ["x", "x"], ["n"]), helper.make_node("Log", ["n"], ["y"])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.save(made, tmp_path / "m.onnx")
    code, out, _ = verify(capsys, str(tmp_path / "m.onnx"))
    assert code == 1
    assert "NaN or infinity" in out

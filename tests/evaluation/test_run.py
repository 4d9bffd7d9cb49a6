"""``npugate evaluate``: figures against numpy, the gate, and what is refused."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from jsonschema import validate
from onnx import numpy_helper

import npugate
from examples.rppg import data as rppg
from npugate import cli
from npugate.errors import UsageError
from npugate.evaluation import grades, metrics, plots
from npugate.evaluation.spread import TOP_DB, Spread
from npugate.evaluation.values import Fidelity, Figure, Grade
from npugate.proof.sessions import Session
from tests.small_networks import network, samples

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests/fixtures/models"
SCHEMA = json.loads((Path(npugate.__file__).parent / "evaluate.schema.json").read_bytes())


def outputs(model, rows):
    session = Session(model)
    return np.concatenate([session.run({"x": row[None]})["y"] for row in rows])


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A float model, its int8 version and held-out data, in the working directory."""
    monkeypatch.chdir(tmp_path)
    model = network()
    onnx.save(model, "m.onnx")
    np.savez("cal.npz", x=samples(60))
    assert cli.main(["quantize", "m.onnx", "--calibration", "cal.npz", "--output", "q.onnx"]) == 0
    rows = samples(40, seed=2)
    made = outputs(model, rows)
    noise = np.random.default_rng(5).normal(size=made.shape) * 0.1
    np.savez("test.npz", x=rows, number=(made + noise).astype("f"), kind=made.argmax(1))
    return tmp_path


def evaluate(*arguments):
    return cli.main(["evaluate", "m.onnx", "q.onnx", "--data", "test.npz", *arguments])


def report(capsys, *arguments, status=0):
    capsys.readouterr()
    assert evaluate("--format", "json", *arguments) == status
    found = json.loads(capsys.readouterr().out)
    validate(found, SCHEMA)
    return found


def test_the_figures_are_those_of_numpy(place, capsys):
    found = report(capsys, "--labels", "number", "--metric", "mae", "--metric", "rmse")
    with np.load("test.npz") as arrays:
        rows, truth = arrays["x"], arrays["number"]
    a, b = outputs(onnx.load("m.onnx"), rows), outputs(onnx.load("q.onnx"), rows)
    mae, rmse = found["figures"]
    assert mae["float_value"] == pytest.approx(np.abs(a - truth).mean(), rel=1e-4)
    assert mae["int8_value"] == pytest.approx(np.abs(b - truth).mean(), rel=1e-4)
    assert mae["loss"] == pytest.approx(mae["int8_value"] - mae["float_value"])
    assert rmse["int8_value"] == pytest.approx(math.sqrt(((b - truth) ** 2).mean()), rel=1e-4)
    (same,) = found["fidelity"]
    signal, gap = a - a.mean(0), b - a
    noise = gap - gap.mean(0)
    wanted = 10 * math.log10((signal**2).sum() / (noise**2).sum())
    assert same["sqnr_db"] == pytest.approx(wanted, abs=0.01)
    assert same["nrmse"] == pytest.approx(
        math.sqrt((gap**2).mean()) / math.sqrt((signal**2).mean()), rel=1e-3
    )
    assert same["max_error"] == pytest.approx(np.abs(gap).max(), rel=1e-3)
    assert found["disjoint"] is True


def test_classes_are_compared_with_labels_and_with_the_float_model(place, capsys):
    arguments = ("--labels", "kind", "--metric", "accuracy", "--metric", "agreement")
    found = report(capsys, *arguments, "--metric", "top-2")
    accuracy, agreement, second = found["figures"]
    assert accuracy["float_value"] == 1.0
    assert agreement["against"] == "float"
    assert agreement["int8_value"] == accuracy["int8_value"]
    assert second["int8_value"] >= accuracy["int8_value"]
    table = np.array(found["confusion"])
    assert table.sum() == 40
    assert np.trace(table) == round(40 * accuracy["int8_value"])


def test_the_users_own_metric_sees_all_samples(place, capsys, monkeypatch):
    (place / "mine.py").write_text(
        "import numpy as np\n\n\ndef worst(made, truth):\n"
        "    assert made.shape == (40, 1, 3), made.shape\n"
        "    return np.abs(made[:, 0] - truth).max()\n\n\n"
        "def broken(made, truth):\n    return 'a'\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    found = report(capsys, "--labels", "number", "--metric", "mine:worst")
    assert 0.1 < found["figures"][0]["float_value"] < 1
    assert evaluate("--labels", "number", "--metric", "mine:broken") == 2
    assert "mine:broken failed" in capsys.readouterr().err
    assert evaluate("--labels", "number", "--metric", "mine:absent") == 2
    assert "cannot be imported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("limit", "status"),
    [
        (("--max-mae-increase", "1"), 0),
        (("--max-mae-increase", "-1"), 1),
        (("--min-sqnr", "5"), 0),
        (("--min-sqnr", "150"), 1),
        (("--max-loss", "rmse=-1"), 1),
        (("--min-grade", "FAIR"), 0),
    ],
)
def test_a_threshold_decides_the_exit_status(limit, status, place, capsys):
    found = report(capsys, "--labels", "number", *limit, status=status)
    assert [verdict["passed"] for verdict in found["verdicts"]] == [status == 0]
    assert found["exit_code"] == status


REFUSALS = [
    (("--max-mae-increase", "1"), "measured against --labels"),
    (("--metric", "mea"), "did you mean 'mae'"),
    (("--labels", "one"), "every label is"),
    (("--labels", "short"), "3 labels for 40 samples"),
    (("--labels", "kind", "--metric", "mae"), "the output has 3, the label 1"),
    (("--labels", "kind", "--metric", "top-3"), "always right"),
    (("--labels", "big", "--metric", "accuracy"), "no class"),
    (("--metric", "miou"), "miou wants scores"),
    (("--output-name", "z"), "no float output"),
    (("--max-loss", "mae"), "METRIC=NUMBER"),
    (("--report", "xml=a"), "FORMAT=FILE"),
    (("--data", "nan.npz"), "NaN or infinite"),
    (("--data", "cal.npz"), "was used to calibrate"),
    (("--samples", "-1"), "must not be negative"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSALS)
def test_what_cannot_be_evaluated_is_refused_with_what_to_do(arguments, words, place, capsys):
    with np.load("test.npz") as arrays:
        had = dict(arrays)
    more = {"one": np.ones(40), "short": np.arange(3.0), "big": np.arange(40) + 7}
    np.savez("test.npz", **had, **more)
    np.savez("nan.npz", x=np.full((4, 2, 8, 8), np.nan, "f"))
    assert evaluate(*arguments) == 2
    assert words in capsys.readouterr().err


def test_models_in_the_wrong_order_or_of_other_inputs_are_refused(place, capsys):
    assert cli.main(["evaluate", "q.onnx", "m.onnx", "--data", "test.npz"]) == 2
    assert "give the float model first" in capsys.readouterr().err
    model = network()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 10
    onnx.save(model, "m.onnx")
    assert evaluate() == 2
    assert "do not read the same" in capsys.readouterr().err


def test_overlap_may_be_allowed_and_is_then_reported(place, capsys):
    found = report(capsys, "--data", "cal.npz", "--allow-overlap")
    assert found["disjoint"] is False
    assert found["overlap"] == 60
    assert "figures flatter" in " ".join(found["notices"])


def test_a_sidecar_of_another_model_is_not_believed(place, capsys):
    side = json.loads(Path("q.onnx.calibration.json").read_text())
    Path("q.onnx.calibration.json").write_text(json.dumps(side | {"model_sha256": "0" * 64}))
    found = report(capsys)
    assert found["disjoint"] is None
    assert "another version" in " ".join(found["notices"])
    Path("q.onnx.calibration.json").write_text("[1]")
    assert report(capsys)["disjoint"] is None


def test_data_far_beyond_the_calibration_is_told(place, capsys):
    np.savez("test.npz", x=samples(40, seed=3) * 50)
    assert "is the preprocessing the same" in " ".join(report(capsys)["notices"])


def test_a_float_model_that_knows_nothing_is_told(place, capsys):
    with np.load("test.npz") as arrays:
        had = dict(arrays)
    had["wrong"] = (had["kind"] + np.arange(40)) % 3
    np.savez("test.npz", **had)
    told = " ".join(report(capsys, "--labels", "wrong", "--metric", "accuracy")["notices"])
    assert "no better than one answer" in told
    told = " ".join(report(capsys, "--labels", "kind", "--metric", "accuracy")["notices"])
    assert "no better" not in told


def test_random_calibration_is_told_by_the_evaluation(place, capsys):
    arguments = ["quantize", "m.onnx", "--random-calibration", "--output", "q.onnx"]
    assert cli.main(arguments) == 0
    Path("q.onnx.calibration.json").unlink()
    found = report(capsys)
    assert found["calibration"] == "random"
    assert "accuracy is unknown" in " ".join(found["notices"])


def test_the_layer_that_was_damaged_loses_most(place, capsys):
    model = onnx.load("q.onnx")
    scale = next(t for t in model.graph.initializer if t.name == "dense_scale")
    bent = numpy_helper.to_array(scale) * np.array([1, -2, 3], np.float32)
    scale.CopyFrom(numpy_helper.from_array(bent, scale.name))
    onnx.save(model, "q.onnx")
    layers = report(capsys)["layers"]
    assert layers[0]["operator"] == "Gemm"
    assert layers[0]["lost_db"] > 10 > layers[1]["lost_db"]


def test_pictures_are_drawn_of_numbers_and_of_classes(place, capsys):
    pytest.importorskip("matplotlib")
    assert evaluate("--labels", "kind", "--metric", "accuracy", "--plots", "pics") == 0
    assert [p.name for p in sorted(Path("pics").iterdir())] == ["confusion.png"]
    assert Path("pics/confusion.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_without_matplotlib_are_refused_before_any_work(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"npugate\[evaluate\]"):
        plots.require()
    assert evaluate("--plots", "pics") == 2
    assert not Path("pics").exists()


def test_the_heart_rate_network_keeps_its_accuracy(tmp_path, capsys):
    """The worked example: int8 on its own held-out split, errors in beats per minute."""
    for name, count in (("calibration", 96), ("test", 60)):
        split = rppg.make(name, count)
        np.savez(tmp_path / f"{name}.npz", images=split.images, bpm=split.bpm)
    model, out = str(MODELS / "rppg_stm32_clean_fp32.onnx"), str(tmp_path / "q.onnx")
    arguments = ["--calibration", str(tmp_path / "calibration.npz"), "--labels", "bpm"]
    assert cli.main(["quantize", model, "--output", out, *arguments]) == 0
    capsys.readouterr()
    held_out = ["--data", str(tmp_path / "test.npz"), "--labels", "bpm", "--metric", "mae"]
    limits = ["--max-mae-increase", "1.5", "--min-grade", "GOOD", "--format", "json"]
    assert cli.main(["evaluate", model, out, *held_out, "--unit", "BPM", *limits]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["figures"][0]["float_value"] < 4
    assert abs(found["figures"][0]["loss"]) < 0.5
    assert found["disjoint"] is True
    assert len(found["points"]) == 60


def test_an_offset_hides_no_error_from_the_centred_ratio():
    """All that varies is lost, yet cosine and plain SQNR call it excellent (algorithms.md 7)."""
    rng = np.random.default_rng(0)
    spread = Spread()
    for _ in range(200):
        spread.add(np.array([100 + rng.normal()]), np.array([100 + rng.normal()]))
    assert spread.cosine() > 0.999
    assert spread.sqnr_db() == pytest.approx(-3, abs=1)
    assert spread.nrmse() > 1


def test_equal_and_constant_tensors_have_defined_figures():
    same, still = Spread(), Spread()
    for value in (1.0, 2.0, 5.0):
        same.add(np.array([value, 2 * value]), np.array([value, 2 * value]))
        still.add(np.full(3, 7.0), np.full(3, 7.5))
    assert same.sqnr_db() == TOP_DB
    assert same.nrmse() == 0
    assert still.sqnr_db() is None
    assert still.nrmse() is None
    assert still.rmse() == 0.5


def test_overlap_of_two_pictures_is_counted_by_class():
    measure = metrics.measure("miou")
    scores = np.zeros((1, 2, 2, 2), np.float32)
    scores[0, 1, 0, :] = 1  # the upper row is class 1
    measure.add(scores, np.array([[1, 1], [1, 0]]))
    assert measure.value() == pytest.approx((2 / 3 + 1 / 2) / 2)
    with pytest.raises(UsageError, match="class below 2"):
        measure.add(scores, np.full((2, 2), 2))


@pytest.mark.parametrize(
    ("loss", "grade"),
    [(0.5, Grade.EXCELLENT), (1.5, Grade.GOOD), (3.0, Grade.FAIR), (5.0, Grade.POOR)],
)
def test_heart_rate_losses_are_graded_as_the_guide_has_it(loss, grade):
    figure = Figure("mae", "labels", 3 + loss, 3.0, loss, higher_is_better=False)
    assert grades.grade([figure], [], 34.6)[0] is grade


@pytest.mark.parametrize(
    ("ratio", "grade"),
    [(30, Grade.EXCELLENT), (29.9, Grade.GOOD), (10, Grade.FAIR), (9, Grade.POOR)],
)
def test_without_a_metric_the_worst_output_grades(ratio, grade):
    output = Fidelity("y", ratio, 0.1, 1.0, 0.1, 0.1, 1.0)
    assert grades.grade([], [output], 1.0)[0] is grade
    assert grades.grade([], [], 1.0)[0] is None

"""``npugate quantize``: the scheme, the checks of the result, and what is refused."""

import hashlib
import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from jsonschema import validate
from onnx import TensorProto, numpy_helper

import npugate
from npugate import cli
from npugate.facts import Facts, provenance
from npugate.int8 import inspect, prepare, scheme, traces
from npugate.int8.norms import fold_batch_norms
from npugate.proof.sessions import Session
from npugate.rules import registry
from npugate.surgery import structure
from npugate.target.profiles import load
from tests.small_networks import network, samples

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests/fixtures/models"
SCHEMA = json.loads((Path(npugate.__file__).parent / "quantize.schema.json").read_bytes())


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a float model and data, as the working directory."""
    monkeypatch.chdir(tmp_path)
    onnx.save(network(), "m.onnx")
    np.savez("cal.npz", x=samples(60), label=np.arange(60.0))
    return tmp_path


def quantize(*arguments):
    return cli.main(["quantize", *arguments])


def done(capsys, *arguments):
    """Quantise with a JSON report and return it."""
    assert quantize("m.onnx", "--output", "q.onnx", "--format", "json", *arguments) == 0
    found = json.loads(capsys.readouterr().out)
    validate(found, SCHEMA)
    return found


def test_the_result_is_in_the_scheme_and_every_check_says_so(place, capsys):
    found = done(capsys, "--calibration", "cal.npz")
    assert found["passed"]
    assert {c["name"] for c in found["checks"]} >= {"form", "weights", "activations", "biases"}
    model = onnx.load("q.onnx")
    store = {t.name: t for t in model.graph.initializer}
    kinds = {t.name: t.data_type for t in model.graph.initializer}
    weights = [t for t in store.values() if t.name in {"kernel_quantized", "dense_quantized"}]
    assert [t.data_type for t in weights] == [TensorProto.INT8] * 2
    assert numpy_helper.to_array(store["kernel_scale"]).shape == (4,)
    assert not numpy_helper.to_array(store["kernel_zero_point"]).any()
    assert kinds["bias1_quantized"] == TensorProto.INT32
    assert model.opset_import[0].version == 14
    assert len(model.opset_import) == 1
    feeds = {"x": samples(1, seed=9)}
    left, right = (Session(m).run(feeds)["y"] for m in (network(), model))
    assert 0 < np.abs(left - right).max() < 0.05 * np.abs(left).max()


def test_the_same_job_gives_the_same_bytes(place, capsys):
    done(capsys, "--calibration", "cal.npz", "--samples", "20")
    first = Path("q.onnx").read_bytes()
    done(capsys, "--calibration", "cal.npz", "--samples", "20")
    assert Path("q.onnx").read_bytes() == first
    done(capsys, "--calibration", "cal.npz", "--samples", "20", "--seed", "1")
    assert Path("q.onnx").read_bytes() != first


def test_the_sidecar_lists_the_samples_and_belongs_to_the_file(place, capsys):
    done(capsys, "--calibration", "cal.npz", "--samples", "20", "--labels", "label")
    side = json.loads(Path("q.onnx.calibration.json").read_text())
    assert side["model_sha256"] == hashlib.sha256(Path("q.onnx").read_bytes()).hexdigest()
    assert len(set(side["samples"])) == 20
    assert side["limits"]["x"][0] < 0 < side["limits"]["x"][1]
    assert str(place) not in Path("q.onnx.calibration.json").read_text()


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_every_method_works(method, place, capsys):
    found = done(capsys, "--calibration", "cal.npz", "--method", method)
    assert found["calibration"]["method"] == method


def test_activations_beyond_the_memory_are_measured_in_groups(place, capsys, monkeypatch):
    monkeypatch.setattr(scheme, "HELD_BYTES", 7 * 4 * 1000)
    found = done(capsys, "--calibration", "cal.npz", "--method", "percentile")
    assert found["calibration"]["used"] == 60
    assert "merged from groups of" in " ".join(found["notices"])
    assert len(json.loads(Path("q.onnx.calibration.json").read_text())["samples"]) == 60


def test_an_old_opset_is_converted_with_proof_first(place, capsys):
    onnx.save(network(opset=11), "m.onnx")
    found = done(capsys, "--calibration", "cal.npz")
    assert any("converted opset 11 to" in line for line in found["prepared"])
    assert any("compared with the original: 12 samples" in line for line in found["prepared"])
    assert onnx.load("q.onnx").opset_import[0].version >= 13


def test_a_batch_norm_goes_into_the_convolution_before(place, capsys):
    model = network(norm=True)
    onnx.save(model, "m.onnx")
    found = done(capsys, "--calibration", "cal.npz")
    assert "put BatchNormalization into the convolution before: 1" in found["prepared"]
    assert not found["islands"]
    assert "BatchNormalization" not in {node.op_type for node in onnx.load("q.onnx").graph.node}


def test_a_batch_norm_whose_input_is_read_twice_stays():
    model = network(norm=True)
    model.graph.output.append(onnx.helper.make_tensor_value_info("c0", 1, [1, 4, 8, 8]))
    assert fold_batch_norms(model) == []


def test_an_operator_that_stays_in_float_is_named(place, capsys):
    onnx.save(network(head="island"), "m.onnx")
    found = done(capsys, "--calibration", "cal.npz")
    assert [island["operators"] for island in found["islands"]] == [["Softplus"]]
    assert "operators run in float" in " ".join(found["notices"])


def test_an_excluded_node_stays_in_float_and_is_told_apart(place, capsys):
    found = done(capsys, "--calibration", "cal.npz", "--exclude", "y")
    assert found["excluded"] == ["y"]
    assert [(i["nodes"], i["asked"]) for i in found["islands"]] == [(["y"], True)]
    assert (
        quantize("m.onnx", "--output", "r.onnx", "--calibration", "cal.npz", "--exclude", "z") == 2
    )
    assert "no node 'z'" in capsys.readouterr().err


def test_the_lines_of_python_survive_and_reach_the_new_nodes(tmp_path, capsys):
    np.savez(
        tmp_path / "cal.npz", a=np.random.default_rng(0).normal(size=(8, 72, 36, 36)).astype("f")
    )
    out = tmp_path / "q.onnx"
    source = str(MODELS / "rppg_4d_fp32_dynamo.onnx")
    assert quantize(source, "--calibration", str(tmp_path / "cal.npz"), "--output", str(out)) == 0
    assert "20 of 20 operators have their line of Python" in capsys.readouterr().out
    nodes = onnx.load(out).graph.node
    traced = [node for node in nodes if provenance.frames(node)]
    assert len(traced) == len(nodes)


def test_an_operator_without_its_line_would_be_seen():
    source = onnx.load(MODELS / "rppg_4d_fp32_dynamo.onnx")
    result = onnx.load(MODELS / "rppg_4d_fp32_dynamo.onnx")
    for node in result.graph.node:
        del node.metadata_props[:]
    result.graph.node[3].output[0] = "renamed"
    had, kept = traces.keep(source, result)
    assert had - kept == 1


REFUSALS = [
    ((), "no calibration data"),
    (("--calibration", "absent.npz"), "no such file"),
    (("--calibration", "cal.npz", "--random-calibration"), "not both"),
    (("--calibration", "nan.npz"), "NaN or infinite"),
    (("--calibration", "shape.npz"), r"wants [1, 2, 8, 8], the sample is [2, 8, 7]"),
    (("--calibration", "uint8.npz"), "say how the model was trained"),
    (("--calibration", "empty.npz"), "not one sample"),
    (("--calibration", "cal.npz", "--labels", "one"), "covers one case only"),
    (("--calibration", "cal.npz", "--labels", "none"), "no such file, nor an array"),
    (("--calibration", "cal.npz", "--samples", "0"), "at least 1"),
    (("--calibration", "cal.npz", "--percentile", "3"), "above 50"),
    (("--calibration", "cal.npz", "--preprocess", "scale=0"), "must not be 0"),
    (
        ("--calibration", "cal.npz", "--preprocess", "limits=[0,1]"),
        "outside of the declared limits",
    ),
    (("--calibration", "cal.npz", "--target", "nosuch"), "no target"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSALS)
def test_what_cannot_be_used_is_refused_and_nothing_is_written(arguments, words, place, capsys):
    good = samples(12)
    np.savez("cal.npz", x=good, one=np.ones(12))
    np.savez("nan.npz", x=np.where(good > 3, np.nan, good))
    np.savez("shape.npz", x=good[..., :7])
    np.savez("uint8.npz", x=good.astype(np.uint8))
    np.savez("empty.npz", x=good[:0])
    before = set(Path().iterdir())
    assert quantize("m.onnx", "--output", "q.onnx", *arguments) == 2
    assert words in capsys.readouterr().err
    assert set(Path().iterdir()) == before


def test_a_model_that_is_quantised_already_is_refused(place, capsys):
    done(capsys, "--calibration", "cal.npz")
    assert quantize("q.onnx", "--calibration", "cal.npz", "--output", "r.onnx") == 2
    assert "quantised already (int8 QDQ): give its float original" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"), [(b"no model", "no ONNX model"), (b"", "m.onnx"), (None, "m.onnx")]
)
def test_a_file_that_is_no_model_is_refused(content, words, place, capsys):
    Path("m.onnx").unlink()
    if content is not None:
        Path("m.onnx").write_bytes(content)
    assert quantize("m.onnx", "--calibration", "cal.npz", "--output", "q.onnx") == 2
    assert words in capsys.readouterr().err


def test_the_model_itself_is_never_overwritten(place, capsys):
    before = Path("m.onnx").read_bytes()
    assert quantize("m.onnx", "--calibration", "cal.npz", "--output", "m.onnx") == 2
    assert "is the model itself" in capsys.readouterr().err
    assert Path("m.onnx").read_bytes() == before


def test_random_calibration_says_in_every_report_that_accuracy_is_unknown(place, capsys):
    for form in ("text", "json", "markdown"):
        assert (
            quantize("m.onnx", "--random-calibration", "--output", "q.onnx", "--format", form) == 0
        )
        assert "accuracy is unknown" in capsys.readouterr().out
    notes = {entry.key: entry.value for entry in onnx.load("q.onnx").metadata_props}
    assert notes["npugate.calibration"] == "random"


def faulty(change):
    """Quantise the small network and change the result."""
    source, _ = prepare.prepare(network(), load("stm32n6"), registry.repairs())
    feeds = [{"x": row[None]} for row in samples(8)]
    recipe = scheme.Recipe("minmax", 99.999, 8, ())
    made = scheme.quantized(source, iter(feeds), 8, recipe, lambda _done, _all: None)
    change(made, {t.name: t for t in made.graph.initializer})
    facts = Facts(structure.skeleton(made))
    subject = inspect.Subject(source, made, facts, frozenset(), feeds[0], (0, 0))
    return {check.name: check for check in inspect.inspect(subject)}


def put(tensor, value):
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))


FAULTS = {
    "weights": lambda _m, s: put(s["kernel_zero_point"], np.array([0, 0, 1, 0], np.int8)),
    "biases": lambda _m, s: put(
        s["bias1_quantized_scale"], numpy_helper.to_array(s["bias1_quantized_scale"]) * 2
    ),
    "activations": lambda _m, s: put(s["x_scale"], np.array(0, np.float32)),
    "structure": lambda m, _s: (
        m.graph.output[0].type.tensor_type.shape.dim[1].__setattr__("dim_value", 4)
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_result_that_is_not_in_the_scheme_fails_its_check(name):
    assert not faulty(FAULTS[name])[name].passed
    assert all(check.passed for check in faulty(lambda _model, _store: None).values())


def test_a_result_that_fails_a_check_is_not_written(place, capsys, monkeypatch):
    monkeypatch.setitem(inspect._LOOKS, "form", lambda _subject: ("bent on purpose", ""))
    assert quantize("m.onnx", "--calibration", "cal.npz", "--output", "q.onnx") == 1
    assert "bent on purpose" in capsys.readouterr().out
    assert not Path("q.onnx").exists()
    assert not Path("q.onnx.calibration.json").exists()


def run_apart(place, *, before=None, wait=True, samples_wanted="60"):
    """Start the program in a process of its own, with its temporary files in a folder we see."""
    (place / "tmp").mkdir(exist_ok=True)
    started = subprocess.Popen(
        [
            *(sys.executable, "-m", "npugate", "quantize", "m.onnx", "--calibration", "cal.npz"),
            *("--output", "q.onnx", "--samples", samples_wanted),
        ],
        cwd=place,
        env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT), "TMPDIR": str(place / "tmp")},
        preexec_fn=before,  # noqa: PLW1509 - this process has no threads
        stderr=subprocess.PIPE,
        text=True,
    )
    if wait:
        return started, started.communicate(timeout=60)[1]
    return started, ""


def left_in(folder):
    """Return what is there; onnxruntime keeps a small file of its own beside it."""
    return [path for path in folder.iterdir() if path.name != ".ses"]


def test_a_full_disk_ends_with_a_sentence_and_leaves_nothing(place):
    def small_files():  # a file-size limit stands for a disk that is full
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    started, told = run_apart(place, before=small_files)
    assert started.returncode == 2, told
    assert "Traceback" not in told
    assert not (place / "q.onnx").exists()
    assert left_in(place / "tmp") == []


def heed():
    """Let SIGINT end the program, also where a shell in the background has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_run_leaves_nothing(place):
    np.savez(place / "cal.npz", x=samples(20_000))
    started, _ = run_apart(place, before=heed, wait=False, samples_wanted="20000")
    until = time.monotonic() + 30
    while not list((place / "tmp").glob("npugate-*/*")) and time.monotonic() < until:
        time.sleep(0.002)
    started.send_signal(signal.SIGINT)
    told = started.communicate(timeout=60)[1]
    assert started.returncode == 130, told
    assert not (place / "q.onnx").exists()
    assert left_in(place / "tmp") == []


def test_labels_that_are_maps_choose_by_chance_and_say_so(place, capsys):
    np.savez("maps.npz", x=samples(60), label=np.zeros((60, 4, 4), np.int64))
    found = done(capsys, "--calibration", "maps.npz", "--labels", "label", "--samples", "50")
    assert found["calibration"]["used"] == 50
    assert not found["calibration"]["strata"]
    assert any("taken by chance" in notice for notice in found["notices"])

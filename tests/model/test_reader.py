import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, helper

from npugate.errors import ModelError
from npugate.limits import Limits
from npugate.model import reader
from npugate.model.reader import load, read
from tests.evidence import FOLDER, needs_evidence
from tests.hostile import cases

ROOT = Path(__file__).parents[2]
LIMITS = Limits()


def problems(model, folder=None):
    return read(model.SerializeToString(), "m.onnx", LIMITS, folder).problems


def external(name, location, **entries):
    tensor = TensorProto(name=name, data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_many_tensors_in_one_missing_file_are_one_problem(tmp_path):
    model = ModelProto(ir_version=8)
    for index in range(20):
        model.graph.initializer.append(external(f"w{index}", "net.onnx.data", offset=str(index)))
    (problem,) = problems(model, tmp_path)
    assert problem.message == (
        "external data of 20 tensors ('w0', 'w1', 'w2', ...): "
        "the file 'net.onnx.data' does not exist beside the model"
    )
    assert str(problem.location) == "w0"


def test_a_problem_says_which_graph_node_and_tensor():
    bad = TensorProto(name="w", data_type=1, dims=[4])
    inner = GraphProto(name="body", initializer=[bad])
    model = ModelProto(ir_version=8)
    node = model.graph.node.add(op_type="If", output=["", "y"])
    node.attribute.add(name="then_branch", type=AttributeProto.GRAPH, g=inner)
    node = model.graph.node.add(op_type="Gelu", domain="com.example", name="act")
    node.attribute.add(name="table", type=AttributeProto.TENSOR, t=TensorProto(data_type=1))
    node.attribute.add(name="list", type=AttributeProto.TENSORS, tensors=[bad])
    model.graph.initializer.add(data_type=1)
    model.functions.add(domain="local", name="f").node.add(op_type="Constant", output=["c"])
    model.functions[0].node[0].attribute.add(name="value", type=4, t=TensorProto(data_type=1))
    assert [str(problem.location) for problem in problems(model)] == [
        "initializer 0",
        "y.then_branch:w",
        "com.example.Gelu(act):table",
        "com.example.Gelu(act):w",
        "local.f/Constant(c):value",
    ]


def test_a_thousand_problems_are_reported_as_the_first_hundred_and_a_number():
    model = ModelProto(ir_version=8)
    for index in range(1000):
        model.graph.initializer.add(name=f"w{index}", data_type=1, dims=[2])
    found = problems(model)
    assert len(found) == 100
    assert found[-1].message.endswith("(and 900 more like it)")


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, size):
    file = tmp_path / "m.onnx"
    model = cases.good()
    model.graph.initializer.add(name="v", data_type=3, dims=[size], raw_data=bytes(size))
    file.write_bytes(model.SerializeToString())
    parse = reader._parse

    def parse_and_grow(*arguments):
        with file.open("ab") as stream:
            stream.write(b"more")
        return parse(*arguments)

    monkeypatch.setattr(reader, "_parse", parse_and_grow)
    with pytest.raises(ModelError, match=r"'m\.onnx' changed while it was read") as error:
        load(file, "m.onnx", LIMITS)
    assert error.value.rule == "unreadable-model"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    file = tmp_path / "m.onnx"
    file.write_bytes(cases.good().SerializeToString())
    file.chmod(0)
    with pytest.raises(ModelError, match="Permission denied"):
        load(file, "m.onnx", LIMITS)


def calls(*bodies):
    """Make a model of local functions, each a list of names it calls; the last is called once."""
    model = ModelProto(ir_version=8)
    for index, names in enumerate(bodies):
        function = model.functions.add(domain="local", name=f"f{index}")
        for name in names:
            function.node.add(op_type=name, domain="local" if name.startswith("f") else "")
    model.graph.node.add(op_type=f"f{len(bodies) - 1}", domain="local")
    return model.SerializeToString()


def test_nodes_are_counted_as_if_functions_were_inlined():
    # f0 has 3 nodes, f1 calls it twice and adds one: 7; the call in the main graph disappears.
    data = calls(["A", "B", "C"], ["f0", "f0", "D"])
    assert read(data, "m", Limits(nodes=7)).problems == ()
    with pytest.raises(ModelError, match="more than 6 nodes") as error:
        read(data, "m", Limits(nodes=6))
    assert error.value.rule == "analysis-limit"


def test_calls_count_as_depth():
    data = calls(["A"], ["f0"], ["f1"])
    assert read(data, "m", Limits(depth=3)).problems == ()
    with pytest.raises(ModelError, match="nested more than 2 deep"):
        read(data, "m", Limits(depth=2))


def test_a_ring_of_functions_is_named():
    with pytest.raises(ModelError) as error:
        read(calls(["f1"], ["f2"], ["f0"]), "m", LIMITS)
    message = str(error.value)
    assert message.startswith("local functions call themselves without end: ")
    ring = message.partition("end: ")[2].split(" -> ")
    assert ring[0] == ring[-1]
    for caller, callee in pairwise(ring):
        assert (caller, callee) in {("'f0'", "'f1'"), ("'f1'", "'f2'"), ("'f2'", "'f0'")}


def test_the_size_limit_is_a_limit_of_the_run():
    data = cases.good().SerializeToString()
    with pytest.raises(ModelError, match=f"has {len(data)} bytes, more than the 10"):
        read(data, "m", Limits(model_bytes=10))


def test_an_operator_named_like_a_function_of_another_domain_is_no_call():
    model = ModelProto(ir_version=8)
    model.functions.add(domain="local", name="Relu").node.add(op_type="Relu")
    model.graph.node.add(op_type="Relu", domain="ai.onnx")
    assert read(model.SerializeToString(), "m", LIMITS).problems == ()


MESSAGES = {
    "gzip": "the file is gzip data: unpack it with gunzip",
    "tflite": "the file is a TensorFlow Lite model: check the ONNX file it was made from",
    "trailing words": "after the model, from byte 548 on, come 7 bytes that are no part of it; "
    "write the file again",
    "empty file": "the file is empty: fetch or export the model again",
    "folder": "it is a folder, pipe or device, not a file",
    "missing file": "the file cannot be opened: No such file or directory",
    "external data: hard link": "external data of tensor 'w': 'h' is a hard link, one of 2: "
    "replace it by a copy",
    "external data: offset NaN": "external data of tensor 'w': offset 'nan' is no number of bytes",
    "tensor: int4 unpacked": "tensor 't': its dimensions [4] call for 2 values "
    "and int32_data has 4",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_says_what_is_wrong_and_what_to_do(name, tmp_path):
    try:
        model = load(cases.CASES[name].write(tmp_path), "m.onnx", LIMITS)
        found = [problem.message for problem in model.problems]
    except ModelError as error:
        found = [str(error)]
    assert found == [MESSAGES[name]]


def test_unknown_fields_survive_reading():
    data = cases.good().SerializeToString() + b"\xfa\x07\x03abc"
    assert read(data, "m", LIMITS).proto.SerializeToString() == data


def test_a_good_model_is_read_as_it_is():
    model = cases.good()
    assert read(model.SerializeToString(), "m", LIMITS).proto == model


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.STRING])
def test_data_elsewhere_is_not_held(dtype):
    tensor = external("w", "w.bin")
    tensor.data_type = dtype
    assert not reader.holds_data(tensor)
    assert reader.holds_data(helper.make_tensor("w", TensorProto.STRING, [1], [b"text"]))


def test_a_short_fuzz_run_finds_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "tools/fuzz.py", "reader", "--seconds", "2", "--keep", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "nothing found" in done.stdout


@needs_evidence("groundtruth")
def test_the_real_models_are_read_without_a_false_alarm():
    files = [*FOLDER.glob("groundtruth/**/*.onnx"), *FOLDER.glob("corpus/**/*.onnx")]
    assert files
    found = {}
    for file in files:
        try:
            model = load(file, file.name, LIMITS)
        except ModelError as error:
            found[file.name] = error.rule
        else:
            found.update((file.name, problem.rule) for problem in model.problems)
    assert found == {
        "yunet_n_320_320.onnx": "unreadable-model",  # a web page saved as a model
        "ext_weights.onnx": "missing-external-data",  # its weights are not in the corpus
    }

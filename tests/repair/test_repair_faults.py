"""A fault in one repair, or in the proof, costs that repair and nothing else."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from npugate.repair import gate
from npugate.rules.values import Repair
from npugate.surgery.results import Applied, Skipped
from npugate.surgery.views import fuse
from tests.fixers.test_samples_apart import copy_of, outcomes_of
from tests.repair.test_gate import HONEST, context, cube, outcome, repaired
from tests.sample_cases import MIXING


def failing(draft, _target, _options):
    draft.nodes[0].inputs.clear()  # half done
    raise KeyError("shape")


def test_a_repair_that_crashes_is_declined_and_the_others_are_applied(capsys):
    crash = Repair("crash", "Crash.", edit=failing)
    honest = Repair("flatten", "Flatten.", edit=HONEST.edit, after=("crash",), needs=("crash",))
    result = repaired(cube(), context(honest, crash))
    assert outcome(result, "crash").state == "declined"
    assert outcome(result, "crash").reason == (
        "npugate itself failed in the repair crash: KeyError: 'shape'"
    )
    assert outcome(result).state == "applied"
    assert result.report.verification.equal is True


def test_a_repair_that_crashes_when_it_is_done_is_declined():
    calls = []

    def once(draft, target, options):
        calls.append(1)
        if len(calls) > 1:
            raise IndexError("tuple index out of range")
        return HONEST.edit(draft, target, options)

    result = repaired(cube(), context(Repair("flatten", "Flatten.", edit=once)))
    assert result.model is None
    assert "IndexError: tuple index out of range" in outcome(result).reason


def test_a_proof_that_crashes_drops_the_result(monkeypatch):
    def crash(*_args, **_kwargs):
        raise KeyError(77)

    monkeypatch.setattr(gate, "verify", crash)
    result = repaired(cube(), context(HONEST))
    assert result.model is None
    assert outcome(result).state == "declined"
    assert outcome(result).reason == "npugate itself failed in the proof: KeyError: 77"


def test_want_of_memory_is_not_a_fault_of_the_repair():
    def exhausted(_draft, _target, _options):
        raise MemoryError

    with pytest.raises(MemoryError):
        repaired(cube(), context(Repair("flatten", "Flatten.", edit=exhausted)))


def test_the_network_that_crashed_is_declined():
    name = "an integer convolution behind a range over the batch"
    _, outcomes = outcomes_of(MIXING[name], frozenset({"take-one-sample"}))
    assert outcomes["take-one-sample"].reason.startswith("DynamicQuantizeLinear 'n0' is not known")


def test_a_scalar_beside_an_integer_convolution_is_read_as_one():
    """What crashed: a constant without axes beside a tensor with four."""
    model = copy_of(MIXING["an integer convolution behind a range over the batch"])
    quantize = model.graph.node[0]
    quantize.op_type = "QuantizeLinear"
    quantize.input.extend(["scale", "z"])
    del quantize.output[1:]
    for kind, value, name in ((np.float32, 0.1, "scale"), (np.uint8, 3, "z"), (np.float32, 1, "s")):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, kind), name))
    result, outcomes = outcomes_of(model)
    assert outcomes["take-one-sample"].state == "applied", outcomes["take-one-sample"].reason
    assert result.report.verification.equal is True


QUANTIZED = helper.make_model(
    helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantise"),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="back"),
            helper.make_node("Reshape", ["d", "six"], ["a"], name="split"),
            helper.make_node("Relu", ["a"], ["b"], name="relu"),
            helper.make_node("Reshape", ["b", "two"], ["y"], name="join"),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [
            numpy_helper.from_array(np.float32(0.05), "s"),
            numpy_helper.from_array(np.int8(3), "z"),
            numpy_helper.from_array(np.array([1, 2, 2, 2, 2, 4]), "six"),
            numpy_helper.from_array(np.array([1, 64]), "two"),
        ],
    ),
    ir_version=8,
    opset_imports=[helper.make_opsetid("", 14)],
)


def flattening(more):
    """Return a repair that flattens a Relu, and adds what ``more`` emits behind it."""

    def edit(draft, _target, _options):
        def change(node):
            if not node.is_a("Relu") or (draft.rank(node.inputs[0]) or 0) <= 4:
                return False
            flat = draft.reshape(node.inputs[0], [1, 64])
            inner = draft.emit("Relu", [flat], [1, 64], draft.dtype(flat))
            made = more(draft, inner)
            draft.reshape(made, draft.dims(node.outputs[0]), node.outputs[0])
            return True

        done = draft.rewrite(change)
        fuse(draft)
        return Applied((f"{done.replaced} done",)) if done.replaced else Skipped("nothing")

    return Repair("flatten", "Flatten.", edit=edit)


def requantized(scale, zero):
    def more(draft, value):
        step = draft.constant(np.array(scale, np.float32))
        centre = draft.constant(np.array(zero, np.int8))
        quant = draft.emit("QuantizeLinear", [value, step, centre], [1, 64], TensorProto.INT8)
        return draft.emit("DequantizeLinear", [quant, step, centre], [1, 64], TensorProto.FLOAT)

    return flattening(more)


@pytest.mark.parametrize(
    ("scale", "zero", "reason"),
    [
        (0.0500001, 3, "has the scale 0.0500001, which the original lacks"),
        (0.05, 4, "has the zero point 4, which the original lacks"),
    ],
)
def test_a_repair_that_makes_up_a_scale_is_dropped(scale, zero, reason):
    result = repaired(copy_of(QUANTIZED), context(requantized(scale, zero)))
    assert result.model is None
    assert reason in outcome(result).reason


def test_a_repair_may_use_a_scale_that_the_model_has():
    result = repaired(copy_of(QUANTIZED), context(requantized(0.05, 3)))
    assert outcome(result).state == "applied", outcome(result).reason


def test_the_report_says_what_was_added_in_float():
    def more(draft, value):
        one = draft.constant(np.array(1, np.float32))
        return draft.emit("Mul", [value, one], [1, 64], TensorProto.FLOAT)

    result = repaired(copy_of(QUANTIZED), context(flattening(more)))
    assert outcome(result).state == "applied", outcome(result).reason
    assert outcome(result).edits[-1] == (
        "computed in float, since no repair invents a scale: the Mul it added"
    )

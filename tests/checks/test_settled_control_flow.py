"""The rule and the repair mean the same nodes: what is called repairable is written out."""

import pytest

from checks import settled_control_flow, unsupported_operator
from npugate.rules import testing
from npugate.surgery.fold import fold
from npugate.target import profiles
from tests.surgery.test_fold import BRANCHES, STAYING, loop

GOES_ON = "c2 = Identity (c)"
ALWAYS = "c2 = Constant <value = bool {1}> ()"
OPEN = BRANCHES.replace("d = Gather (s, one)", "r = ReduceMax <keepdims = 0> (x) "
                        "d = Cast <to = 7> (r)")  # fmt: skip
SETTLED = {
    "a branch": (BRANCHES, ["If", "If"]),
    "a loop": (loop(5, GOES_ON), ["Loop"]),
    "one turn": (loop(1, GOES_ON), ["Loop"]),
    "a loop that never asks": (loop(64, ALWAYS), ["Loop"]),
    "the condition of the start": (loop(3, GOES_ON, condition=""), ["Loop"]),
}
NOT_SETTLED = {
    "a branch by the data": (OPEN, ["If"]),
    **{case: (text, ["Loop"]) for case, text in STAYING.items()},
    "draws numbers": (loop(5, GOES_ON).replace("v2 = Add (v, f)", "n = RandomNormalLike (v) "
                           "w = Add (v, f) v2 = Add (w, n)"), ["Loop"]),
    "too many copies": (loop(60, GOES_ON).replace(
        "v2 = Add (v, f)",
        "v0 = Add (v, f) " + " ".join(f"w{i} = Neg ({f'w{i - 1}' if i else 'v0'})"
                                      for i in range(40)) + " v2 = Neg (w39)"), ["Loop"]),
}  # fmt: skip


def model_of(text):
    return testing.model_from_text(f'<ir_version: 8, opset_import: ["" : 15]> {text}')


def found(model, folder):
    file = folder / "model.onnx"
    file.write_bytes(model.SerializeToString())
    rules = (settled_control_flow.RULE, unsupported_operator.RULE)
    hits = testing.hits(rules, file, profiles.load("stm32n6"))
    return tuple(sorted(hit.location.op_type for hit in hits[rule.name]) for rule in rules)


def left(model):
    fold(model)
    return sorted(node.op_type for node in model.graph.node if node.op_type in {"If", "Loop"})


@pytest.mark.parametrize("case", SETTLED)
def test_what_is_called_settled_is_written_out(case, tmp_path):
    text, ops = SETTLED[case]
    assert found(model_of(text), tmp_path) == (ops, [])
    assert left(model_of(text)) == []


def test_a_loop_whose_body_lacks_its_inputs_is_not_settled(tmp_path):
    model = model_of(loop(5, GOES_ON))
    node = next(node for node in model.graph.node if node.op_type == "Loop")
    body = node.attribute[0].g
    del node.input[1:], body.input[1:], body.output[:]
    assert found(model, tmp_path)[0] == []


@pytest.mark.parametrize("case", NOT_SETTLED)
def test_what_stays_is_called_unsupported(case, tmp_path):
    text, ops = NOT_SETTLED[case]
    settled, unsupported = found(model_of(text), tmp_path)
    assert [op for op in unsupported if op in {"If", "Loop"}] == ops
    assert settled == (["If"] if case == "a branch by the data" else [])  # the one inside
    assert left(model_of(text)) == ops

"""The gate, held against repairs that lie, crash or do half the work."""

import numpy as np
import pytest
from msgspec.structs import replace
from onnx import ModelProto, helper, numpy_helper

from npugate.facts import Facts
from npugate.limits import Limits
from npugate.repair import gate
from npugate.repair.context import RepairContext
from npugate.repair.values import Repaired
from npugate.report.values import InterfaceChange
from npugate.rules import registry
from npugate.rules.check import run as run_rules
from npugate.rules.testing import model_from_text
from npugate.rules.values import Repair
from npugate.settings.options import RepairRequest
from npugate.surgery import structure
from npugate.surgery.draft import Draft
from npugate.surgery.node import EditError, Node
from npugate.surgery.results import Applied, Declined, RepairOptions, Skipped
from npugate.surgery.views import fuse
from npugate.target import profiles

RULES = registry.rules()
TARGET = profiles.load("stm32n6")
LIMITS = Limits()
HEAD = '<ir_version: 8, opset_import: ["" : 14]>'
CUBE = (
    HEAD
    + """ net (float[1, 64] x) => (float[1, 64] y) <int64[6] six = {1, 2, 2, 2, 2, 4},
    int64[2] two = {1, 64}>
    { a = Reshape (x, six)  b = Relu (a)  c = Reshape (b, two)  y = Tanh (c) }"""
)
RANK = next(key for key, rule in RULES.items() if rule.name == "tensor-rank")


def named(model: ModelProto) -> ModelProto:
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"n{index}_{node.op_type}"
    return model


def cube() -> ModelProto:
    return named(model_from_text(CUBE))


def flattened(draft, _target, _options, op="Relu", **attributes):
    """Replace every Relu above rank 4 by one on the flat data: honest unless ``op`` is another."""

    def change(node: Node) -> bool:
        if not node.is_a("Relu") or (draft.rank(node.inputs[0]) or 0) <= 4:
            return False
        flat = draft.reshape(node.inputs[0], [1, 64])
        made = draft.emit(op, [flat], [1, 64], draft.dtype(flat), **attributes)
        draft.reshape(made, draft.dims(node.outputs[0]), node.outputs[0])
        return True

    done = draft.rewrite(change)
    fuse(draft)
    return Applied((f"{done.replaced} flattened",)) if done.replaced else Skipped("nothing")


HONEST = Repair("flatten", "Flatten.", edit=flattened)


def context(*repairs: Repair, rule_repair: str = "flatten", **changes) -> RepairContext:
    rules = {
        key: replace(rule, repair=rule_repair if rule.name == "tensor-rank" else None)
        for key, rule in RULES.items()
    }
    every = {item.name: item for item in repairs}
    request = RepairRequest(every, RepairOptions())
    return changed(RepairContext(rules, tuple(rules), TARGET, LIMITS, request), **changes)


def changed(on: RepairContext, **changes) -> RepairContext:
    """Return a context with other fields, or other fields of its request."""
    asked = {key: changes.pop(key) for key in ("repairs", "selected") if key in changes}
    return replace(on, request=replace(on.request, **asked), **changes)


def repaired(model: ModelProto, on: RepairContext) -> Repaired:
    facts = Facts(structure.skeleton(model), LIMITS)
    hits = run_rules(facts, on.rules, on.chosen, on.target, lambda _stage: None).hits
    return gate.repair_model(model, facts, hits, on)[0]


def outcome(result: Repaired, name: str = "flatten"):
    return next(item for item in result.report.outcomes if item.repair == name)


def test_an_honest_repair_is_applied_and_proved():
    result = repaired(cube(), context(HONEST))
    assert outcome(result).state == "applied"
    assert result.model is not None
    assert [node.op_type for node in result.model.graph.node] == ["Relu", "Tanh"]
    proof = result.report.verification
    assert (proof.equal, proof.max_abs_error, proof.samples) == (True, 0.0, 12)
    assert RANK not in {rule for rule, _ in result.hits}
    assert (result.report.before.max_rank, result.report.after.max_rank) == (6, 2)


def test_the_original_is_untouched():
    model = cube()
    before = model.SerializeToString()
    repaired(model, context(HONEST))
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    ("op", "attributes"), [("LeakyRelu", {"alpha": 0.001}), ("Abs", {}), ("Identity", {})]
)
def test_a_repair_that_changes_the_numbers_is_dropped(op, attributes):
    def lie(draft, target, options):
        return flattened(draft, target, options, op, **attributes)

    result = repaired(cube(), context(replace(HONEST, edit=lie)))
    assert result.model is None
    assert outcome(result).state == "declined"
    assert outcome(result).reason.startswith("the numbers differ: ")


def test_a_difference_that_the_output_hides_is_seen_at_the_region():
    text = CUBE.replace("y = Tanh (c)", "s = Tanh (c)  y = Add (s, far)").replace(
        "int64[2] two", "float far = {100000}, int64[2] two"
    )

    def lie(draft, target, options):
        return flattened(draft, target, options, "LeakyRelu", alpha=0.001)

    result = repaired(named(model_from_text(text)), context(replace(HONEST, edit=lie)))
    assert "Relu" in outcome(result).reason or "'b" in outcome(result).reason


def test_a_repair_that_makes_an_invalid_model_is_dropped():
    def break_it(draft, _target, _options):
        def change(node):
            if not node.is_a("Relu"):
                return False
            draft.emit(
                "Relu",
                [*node.inputs, *node.inputs],
                draft.dims(node.outputs[0]),
                1,
                node.outputs[0],
            )
            return True

        draft.rewrite(change)
        return Applied(("broken",))

    result = repaired(cube(), context(replace(HONEST, edit=break_it)))
    assert outcome(result).reason.startswith("the ONNX checker refuses the result: ")


def test_a_repair_that_never_ends_is_dropped():
    def restless(draft, target, options):
        flattened(draft, target, options)
        return Applied(("again",))

    result = repaired(cube(), context(replace(HONEST, edit=restless)))
    assert "a second time" in outcome(result).reason


def test_a_repair_that_removes_no_finding_is_dropped():
    def useless(model, _target, _options):
        if model.producer_name == "touched":
            return Skipped("done")
        model.producer_name = "touched"
        return Applied(("touched",))

    result = repaired(cube(), context(Repair("flatten", "Touch.", edit_message=useless)))
    assert "are still there" in outcome(result).reason


def test_a_repair_that_brings_a_new_error_is_dropped():
    def batch(draft, target, options):
        done = flattened(draft, target, options)
        if isinstance(done, Skipped):
            return done

        def change(node):
            if not node.is_a("Tanh"):
                return False
            data = draft.reshape(node.inputs[0], [4, 1, 4, 4])
            pooled = draft.emit("MaxPool", [data], [4, 1, 4, 4], 1, kernel_shape=[1, 1])
            flat = draft.reshape(pooled, [1, 64])
            draft.emit("Tanh", [flat], [1, 64], 1, node.outputs[0])
            return True

        draft.rewrite(change)
        return done

    result = repaired(cube(), context(replace(HONEST, edit=batch)))
    assert "batched-layer has 1 errors in the repaired model, 0 in the original" in (
        outcome(result).reason
    )


def test_an_interface_that_changed_silently_is_dropped_and_a_declared_one_kept():
    deep = named(
        model_from_text(
            HEAD + " net (float[1, 2, 2, 2, 2, 2] x) => (float[1, 32] y) <int64[2] s = {1, 32}>"
            "{ r = Relu (x)  y = Reshape (r, s) }"
        )
    )

    def quiet(draft, _target, _options):
        if draft.dims(draft.inputs[0]) == (1, 32):
            return Skipped("flat")
        draft.declare(draft.inputs[0], [1, 32])

        def change(node):
            if not node.is_a("Relu"):
                return False
            made = draft.emit("Relu", node.inputs, [1, 32], 1)
            draft.reshape(made, draft.dims(node.outputs[0]), node.outputs[0])
            return True

        draft.rewrite(change)
        return Applied(("flat input",))

    def loud(draft, target, options):
        done = quiet(draft, target, options)
        change = InterfaceChange("x", "[1, 2, 2, 2, 2, 2]", "[1, 32]")
        return replace(done, interface=(change,)) if isinstance(done, Applied) else done

    silent = repaired(deep, context(replace(HONEST, edit=quiet)))
    assert "which the repair did not declare" in outcome(silent).reason


def test_a_bad_repair_costs_no_other():
    def lie(draft, _target, _options):
        def change(node):
            if not node.is_a("Tanh"):
                return False
            draft.emit("Sigmoid", node.inputs, draft.dims(node.outputs[0]), 1, node.outputs[0])
            return True

        return Applied(("lied",)) if draft.rewrite(change).replaced else Skipped("nothing")

    liar = Repair("lie", "Lie.", edit=lie)
    on = context(HONEST, liar, selected=frozenset({"flatten", "lie"}))
    result = repaired(cube(), on)
    assert outcome(result).state == "applied"
    assert outcome(result, "lie").state == "declined"
    assert [node.op_type for node in result.model.graph.node] == ["Relu", "Tanh"]


def test_what_a_repair_needs_runs_first_and_only_with_it():
    order = []

    def note(name, result):
        def edit(_draft, _target, _options):
            order.append(name)
            return result

        return edit

    first = Repair("first", "First.", edit=note("first", Skipped("nothing")))
    last = Repair("last", "Last.", edit=note("last", Declined("no")), after=("flatten",))
    second = replace(HONEST, needs=("first",))
    repaired(cube(), context(second, last, first))
    assert order == ["first"]
    order.clear()
    repaired(cube(), context(second, last, first, selected=frozenset({"last", "flatten"})))
    assert order == ["first", "last"]


def test_a_repair_goes_on_where_one_that_works_on_the_bare_message_ended():
    def stamp(model, _target, _options):
        if model.producer_name == "stamped":
            return Skipped("it is stamped")
        model.producer_name = "stamped"
        return Applied(("stamped",))

    look = Repair("look", "Look.", edit=lambda _draft, _target, _options: Skipped("nothing"))
    stamped = Repair("stamp", "Stamp.", edit_message=stamp, after=("look",))
    last = replace(HONEST, needs=("look", "stamp"), after=("look", "stamp"))
    result = repaired(cube(), context(look, stamped, last))
    assert [outcome(result, name).state for name in ("stamp", "flatten")] == ["applied"] * 2
    assert result.model.producer_name == "stamped"
    assert [node.op_type for node in result.model.graph.node] == ["Relu", "Tanh"]


def test_a_model_that_cannot_be_linked_is_declined_with_the_reason():
    def refuse(_draft, _target, _options):
        raise EditError("the model holds sparse tensors")

    result = repaired(cube(), context(replace(HONEST, edit=refuse)))
    assert (outcome(result).state, outcome(result).reason) == (
        "declined",
        "the model holds sparse tensors",
    )


def test_what_onnxruntime_cannot_run_is_unverified_and_not_applied():
    text = CUBE.replace('["" : 14]', '["" : 14, "acme" : 1]').replace("Tanh (c)", "acme.Magic (c)")
    result = repaired(named(model_from_text(text)), context(HONEST))
    assert result.model is None
    assert outcome(result).state == "unverified"


def test_a_legalising_repair_must_keep_every_part():
    def rename(model, _target, _options, scale=1.0):
        if model.graph.name == "legal":
            return Skipped("legal")
        model.graph.name = "legal"
        for item in model.graph.initializer:
            if item.name == "k" and scale != 1:
                value = numpy_helper.to_array(item) * np.float32(scale)
                item.CopyFrom(numpy_helper.from_array(value, "k"))
        return Applied(("named",))

    text = CUBE.replace("y = Tanh (c)", "s = Tanh (c)  y = Mul (s, k)").replace(
        "int64[2] two", "float k = {1}, int64[2] two"
    )
    honest = Repair("legal", "Legal.", edit_message=rename, legalises=True)
    selected = frozenset({"legal"})
    model = named(model_from_text(text))
    assert outcome(repaired(model, context(honest, selected=selected)), "legal").state == "applied"

    def lie(model, target, options):
        return rename(model, target, options, 1.0000001)

    result = repaired(model, context(replace(honest, edit_message=lie), selected=selected))
    assert "changed a node, an attribute or a weight" in outcome(result, "legal").reason


def test_a_draft_gives_back_the_very_file_it_was_given():
    model = cube()
    model.metadata_props.add(key="who", value="us")
    model.graph.node[0].metadata_props.add(key="line", value="7")
    model.graph.node[1].doc_string = "a note"
    before = model.SerializeToString()
    assert Draft(model).finish().SerializeToString() == before


def test_an_error_that_becomes_a_warning_counts_as_progress():
    text = CUBE.replace("b = Relu (a)", "b = Transpose <perm = [0, 3, 1, 5, 2, 4]> (a)")
    repairs = registry.repairs()
    on = changed(context(), rules=RULES, chosen=tuple(RULES), repairs=repairs)
    result = repaired(named(model_from_text(text)), on)
    assert outcome(result, "lower-rank").state == "applied"


@pytest.mark.parametrize(("toolchain", "rank"), [("2.2", 5), ("4.0", 4)])
def test_ranks_are_lowered_to_where_the_toolchain_has_an_error(toolchain, rank):
    text = CUBE.replace("b = Relu (a)", "b = Transpose <perm = [0, 3, 1, 5, 2, 4]> (a)")
    profile = profiles.load("stm32n6", toolchain)
    on = changed(context(), rules=RULES, repairs=registry.repairs(), target=profile)
    result = repaired(named(model_from_text(text)), on)
    assert outcome(result, "lower-rank").state == "applied"
    assert result.report.after.max_rank <= rank


def test_a_file_made_legal_that_nothing_can_run_is_held_to_its_parts():
    text = CUBE.replace('["" : 14]', '["" : 14, "acme" : 1]').replace("Tanh (c)", "acme.Magic (c)")
    model = model_from_text(text)
    on = changed(
        context(), rules=RULES, repairs=registry.repairs(), selected=frozenset({"make-legal"})
    )
    result = repaired(model, on)
    assert outcome(result, "make-legal").state == "applied"
    assert result.report.verification.reference == "parts"
    assert all(node.name for node in result.model.graph.node)


def test_a_repair_of_an_old_file_declares_the_weights_it_makes():
    model = cube()
    model.ir_version = 3
    for item in model.graph.initializer:
        info = helper.make_tensor_value_info(item.name, item.data_type, list(item.dims))
        model.graph.input.append(info)
    result = repaired(model, context(HONEST))
    assert outcome(result).state == "applied"
    assert result.model.ir_version == 3

"""What the operator rules do beside their examples: levels, silence, and no fault named twice."""

from pathlib import Path

import pytest

from npugate.facts import Facts
from npugate.findings.values import Severity
from npugate.limits import Limits
from npugate.model.reader import read
from npugate.rules import registry, testing
from npugate.target import profiles

RULES = {rule.name: rule for rule in registry.rules().values()}
HEAD = '<ir_version: 8, opset_import: ["" : {}]> '
NET = HEAD.format(14) + "net (float[1, 8, 4, 4] x) => (y) "


def found(name, text, profile="stm32n6", toolchain=None):
    rule = RULES[name]
    data = testing.model_from_text(text).SerializeToString()
    facts = Facts(read(data, "net.onnx", Limits(), Path()))
    hits = rule.check(facts, profiles.load(profile, toolchain))
    return [((hit.severity or rule.severity).label, hit.message) for hit in hits]


def levels(name, text, *where):
    return [level for level, _ in found(name, text, *where)]


def test_a_cpu_operator_is_a_note_and_a_costly_one_a_warning():
    text = NET + "<float[8] s> { n = InstanceNormalization (x, s, s) y = Elu (n) }"
    assert levels("cpu-operator", text) == ["warning", "note"]


def test_on_a_target_without_an_npu_nothing_is_said_of_the_cpu():
    text = NET + "{ y = Elu (x) }"
    assert levels("cpu-operator", text, "stm32h7") == []
    assert levels("cpu-operator", text, "stm32n6") == ["note"]


def test_a_constraint_has_the_level_of_its_row_under_the_toolchain():
    text = NET + "<float[8, 8, 7, 7] w> { y = Conv <pads = [3, 3, 3, 3]> (x, w) }"
    assert levels("operator-constraint", text, "stm32n6", "2.2") == ["note", "note"]
    assert levels("operator-constraint", text, "stm32n6", "4.0") == ["note", "warning", "note"]
    assert levels("operator-constraint", text, "stm32h7") == []


def test_a_cut_of_the_batch_is_an_error_only_where_the_compiler_was_seen_to_refuse_it():
    text = HEAD.format(14) + "net (float[4, 8] x) => (y) <int64[1] s = {1}, int64[1] e = {3}> "
    text += "{ y = Slice (x, s, e) }"
    assert levels("batch-axis", text, "stm32n6", "2.2") == ["warning"]
    assert levels("batch-axis", text, "stm32n6", "4.0") == ["error"]


def test_every_broken_constraint_is_reported_by_exactly_one_of_the_two_rules():
    text = HEAD.format(14) + "net (float[2, 8, 4] a, float[2, 8, 4] b) => (y) "
    text += "{ c = Concat <axis = 0> (a, b) y = Concat <axis = 2> (c, c) }"
    messages = [
        message.partition(":")[0]
        for name in ("operator-constraint", "batch-axis")
        for _, message in found(name, text)
    ]
    assert sorted(messages) == ["concat-axis", "concat-batch"]


@pytest.mark.parametrize(
    ("version", "toolchain", "expected"),
    [
        (6, "2.2", ["error"]),
        (7, "2.2", ["note"]),
        (14, "2.2", []),
        (20, "2.2", ["note"]),
        (21, "2.2", ["error"]),
        (21, "3.0", ["note"]),
        (22, "4.0", ["error"]),
    ],
)
def test_an_opset_is_judged_by_the_range_of_the_toolchain(version, toolchain, expected):
    text = HEAD.format(version) + "net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }"
    assert levels("opset-version", text, "stm32n6", toolchain) == expected


@pytest.mark.parametrize(
    ("ir", "toolchain", "count"), [(9, "2.2", 0), (10, "2.2", 1), (10, "3.0", 0)]
)
def test_an_ir_version_is_judged_by_the_limit_of_the_toolchain(ir, toolchain, count):
    text = f'<ir_version: {ir}, opset_import: ["" : 14]> net (float[1, 8] x) => (y) '
    assert (
        levels("ir-version", text + "{ y = Relu (x) }", "stm32n6", toolchain) == ["error"] * count
    )


def test_an_operator_that_does_not_exist_is_named_by_one_rule_only():
    text = NET + "{ g = Affine (x) y = Celu (g) }"
    assert len(found("operator-not-in-opset", text)) == 1
    assert [message.split()[0] for _, message in found("unsupported-operator", text)] == ["Celu"]
    assert found("custom-operator", text) == []


def test_a_foreign_operator_is_custom_and_not_also_unsupported():
    text = NET.replace("14]", '14, "my.domain" : 1]') + "{ y = my.domain.Thing (x) }"
    assert len(found("custom-operator", text)) == 1
    assert found("unsupported-operator", text) == []
    assert found("unused-domain", text) == []


def test_an_operator_that_is_computed_at_compile_time_is_not_unsupported():
    text = (
        NET + "<float[8] c, int64 i = {0}> { s = CumSum (c, i) t = ReduceMax (s) y = Add (x, t) }"
    )
    assert found("unsupported-operator", text) == []
    assert found("cpu-operator", text) == []


def test_the_domain_of_a_local_function_counts_as_used():
    text = (
        '<ir_version: 8, opset_import: ["" : 14, "local" : 1]> net (float[1, 8] x) => (y) '
        '{ y = local.f (x) } <domain: "local", opset_import: ["" : 14]> '
        "f (a) => (b) { b = Relu (a) }"
    )
    assert found("unused-domain", text) == []
    assert found("custom-operator", text) == []


def test_the_mask_of_a_dropout_may_be_left_unread():
    assert found("unconnected-output", NET + "{ y, mask = Dropout (x) }") == []
    assert [
        level for level, _ in found("unconnected-output", NET + "{ y = Relu (x) z = Abs (x) }")
    ] == [Severity.WARNING.label]

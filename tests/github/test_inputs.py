import pytest

from npugate.errors import UsageError
from npugate.github import inputs
from npugate.github.inputs import INPUTS, Inputs
from npugate.reporters import FILES

FORMATS = list(FILES)


def test_without_any_input_the_defaults_of_action_yml_hold():
    assert inputs.read({}) == Inputs(
        models=(),
        target="",
        toolchain="",
        board="",
        config="",
        config_from="auto",
        fail_on="",
        changed_only="auto",
        new_only=True,
        may_leave=True,
        reports=("json", "sarif", "junit", "markdown", "html"),
        sarif=True,
        artifact=True,
        comment="true",
        file_comments=False,
        fix=False,
        name="",
        stedgeai="off",
        stedgeai_profile="",
        stedgeai_accept_license=False,
        image="",
    )


def test_an_empty_input_means_its_default():
    empty = {row.variable: "" for row in INPUTS}
    assert inputs.read(empty) == inputs.read({})


@pytest.mark.parametrize("variable", ["INPUT_FAIL-ON", "INPUT_FAIL_ON"])
def test_an_input_is_read_with_hyphens_and_with_underscores(variable):
    assert inputs.read({variable: " Warning "}).fail_on == "warning"


def test_models_are_one_a_line_so_that_a_name_may_hold_blanks():
    given = inputs.read({"INPUT_MODELS": "a b.onnx\n\n  models/**/*.onnx\r\n"})
    assert given.models == ("a b.onnx", "models/**/*.onnx")


@pytest.mark.parametrize(
    ("given", "formats"),
    [
        ("sarif", ("json", "sarif")),
        ("junit, json\ngitlab junit", ("json", "junit", "gitlab")),
        ("TEXT", ("json", "text")),
    ],
)
def test_the_json_report_is_always_among_the_reports(given, formats):
    assert inputs.read({"INPUT_REPORTS": given}).reports == formats


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("fail-on", "note", "error, warning or never"),
        ("sarif", "yes", "true or false"),
        ("artifact", "1", "true or false"),
        ("changed-only", "sometimes", "true or false"),
        ("comment", "sometimes", "true, failures or false"),
        ("reports", "pdf", f"a list of {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"),
        ("name", "a/b", "at most 64 letters, digits, dots, hyphens and underscores"),
        ("name", "a" * 65, "at most 64 letters, digits, dots, hyphens and underscores"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(name, value, right):
    with pytest.raises(UsageError) as caught:
        inputs.read({f"INPUT_{name.upper()}": value})
    assert str(caught.value) == f"input {name}: {value!r} is not {right}"


def test_off_is_what_yaml_makes_false_of():
    assert inputs.read({"INPUT_COMMENT": "off"}).comment == "false"
    assert inputs.read({"INPUT_COMMENT": "False"}).comment == "false"


def test_every_field_has_its_row_and_every_row_its_field():
    assert list(Inputs.__struct_fields__) == [row.field for row in INPUTS]


def test_each_parser_makes_the_type_that_its_field_declares():
    types = {"bool": bool, "tuple[str, ...]": tuple, "str": str, "ChangedOnly": str, "Comment": str}
    types["ConfigFrom"] = str
    given = inputs.read({})
    for name, written in Inputs.__annotations__.items():
        assert isinstance(getattr(given, name), types[written]), name


@pytest.mark.parametrize(
    ("changed_only", "event", "wanted"),
    [
        ("auto", "pull_request", True),
        ("auto", "merge_group", True),
        ("auto", "push", False),
        ("auto", "schedule", False),
        ("true", "push", True),
        ("false", "pull_request", False),
    ],
)
def test_what_changed_matters_for_pull_requests_unless_told_otherwise(changed_only, event, wanted):
    given = inputs.read({"INPUT_CHANGED-ONLY": changed_only})
    assert inputs.wants_changes(given, event) is wanted

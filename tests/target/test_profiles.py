"""Profiles are read strictly, narrowed to a toolchain, and light to load."""

import subprocess
import sys

import pytest

from npugate.errors import TargetError
from npugate.findings.values import Severity
from npugate.target import profiles

HEAD = """
[target]
name = "toy"
title = "A toy"
npu = true
default = "1"
[[toolchains]]
version = "1"
label = "One"
source = "book"
confidence = "documented"
[[toolchains]]
version = "2"
label = "Two"
source = "book"
confidence = "documented"
[[references]]
id = "book"
title = "The book"
"""
LIMIT = """
[[limits]]
name = "rank_max"
value = 5
severity = "error"
source = "book: p. 3"
confidence = "documented"
"""
CONSTRAINT = """
[[constraints]]
id = "wide"
op_types = ["Conv"]
when = "kernel_above"
args = { height = 3, width = 3 }
effect = "slow"
severity = "note"
text = "kernel {kernel}"
source = "book"
confidence = "documented"
"""
OPERATOR = """
[[operators]]
op_types = ["Conv", "Relu"]
runs_on = "npu"
source = "book"
confidence = "documented"
"""


@pytest.fixture
def load(tmp_path):
    def from_text(text, toolchain=None, name="toy.toml"):
        (tmp_path / name).write_text(text)
        return profiles.load(str(tmp_path / name), toolchain)

    return from_text


def test_the_bundled_targets_load_under_every_toolchain_they_list():
    assert set(profiles.names()) >= {"stm32h7", "stm32n6"}
    for name in profiles.names():
        for row in profiles.load(name).toolchains:
            assert profiles.load(name, row.version).toolchain == row.version
    for name in ("stm32h7", "stm32n6"):
        for version in ("2.1", "2.2", "3.0", "4.0"):
            loaded = profiles.load(name, version)
            assert loaded.toolchain == version
            assert len(loaded.operators) == 147
        assert profiles.load(name).toolchain == "2.2"


def test_a_row_holds_for_its_toolchains_only():
    limits = {
        version: profiles.load("stm32n6", version).limits
        for version in ("2.1", "2.2", "3.0", "4.0")
    }
    assert [limits[v]["opset_max"].value for v in limits] == [20, 20, 21, 21]
    assert [limits[v]["ir_max"].value for v in limits] == [9, 9, 10, 10]
    assert {limits[v]["rank_max"].severity for v in limits} == {Severity.ERROR}
    assert [limits[v]["rank_advised"].severity.label for v in limits] == [*["warning"] * 3, "error"]
    assert profiles.load("stm32n6", "2.2").traps["einsum"].severity is Severity.WARNING
    assert profiles.load("stm32n6", "4.0").traps["einsum"].severity is Severity.ERROR


def test_an_error_of_a_constraint_has_the_compilers_own_words():
    for version in ("2.1", "2.2", "3.0", "4.0"):
        for rows in profiles.load("stm32n6", version).constraints.values():
            for row in rows:
                assert row.severity is not Severity.ERROR or row.error_text, row.id


def test_a_cortex_m_is_a_target_by_data_alone():
    plain = profiles.load("stm32h7")
    assert not plain.npu
    assert {row.runs_on for row in plain.operators.values()} == {"cpu", "folded", "none"}


def test_one_row_may_name_several_operators(load):
    toy = load(HEAD + OPERATOR)
    assert sorted(op_type for _, op_type in toy.operators) == ["Conv", "Relu"]
    assert toy.operator("Conv").runs_on == "npu"
    assert toy.operator("Conv", "com.example") is None


def test_a_severity_of_off_is_none(load):
    text = '[[traps]]\nrule = "x"\nseverity = "off"\nsource = "book"\nconfidence = "inferred"\n'
    assert load(HEAD + text).traps["x"].severity is None


def test_a_users_file_overrides_rows_of_the_target_it_extends(load):
    text = """
        [target]
        name = "mine"
        extends = "stm32n6"
        [[references]]
        id = "lab"
        title = "Our lab"
        [[limits]]
        name = "rank_max"
        value = 6
        severity = "warning"
        source = "lab"
        confidence = "observed"
        toolchains = ["2.2"]
    """
    mine = load(text)
    assert (mine.name, mine.title) == ("mine", "STM32N6 with the Neural-ART NPU")
    assert mine.limit("rank_max").value == 6
    assert mine.limit("rank_advised").value == 4
    assert load(text, "4.0").limit("rank_max").value == 5


def test_a_file_that_extends_itself_is_refused(load):
    with pytest.raises(TargetError, match="extends itself"):
        load('[target]\nname = "a"\nextends = "toy.toml"\n')


BROKEN = [
    (HEAD.replace("[[toolchains]]", "[[toolchain]]", 1), "unknown key 'toolchain'; did you mean"),
    (HEAD.replace("npu = true", "npu = 1"), "[target] npu: must be of type bool"),
    (HEAD.replace("npu = true", ""), "[target]: missing key 'npu'"),
    (HEAD.replace('default = "1"', 'default = "3"'), "default: no toolchain '3'"),
    (HEAD + LIMIT.replace("severity", "severty"),
     "limits row 1 ('rank_max'): unknown key 'severty'; did you mean 'severity'?"),
    (HEAD + LIMIT.replace("value = 5", ""), "limits row 1 ('rank_max'): missing key 'value'"),
    (HEAD + LIMIT.replace("= 5", '= "5"'), "key 'value': must be of type int, is '5'"),
    (HEAD + LIMIT.replace("= 5", "= true"), "key 'value': must be of type int, is True"),
    (HEAD + LIMIT.replace('"error"', '"eror"'), "'eror' is none of note, warning, error; did you"),
    (HEAD + LIMIT.replace('"error"', '"off"'), "'off' is none of note, warning, error"),
    (HEAD + LIMIT.replace('"book: p. 3"', '"bok"'), "no reference 'bok'; did you mean 'book'?"),
    (HEAD + LIMIT + 'toolchains = ["2.2"]', "key 'toolchains': no toolchain '2.2'"),
    (HEAD + LIMIT + 'toolchains = ["1"]\ncarried = ["2"]', "key 'carried': must be among 1"),
    (HEAD + LIMIT + LIMIT, "limits 'rank_max': two rows hold for toolchain '1'"),
    (HEAD + LIMIT + LIMIT + 'toolchains = ["2"]', "two rows hold for toolchain '2'"),
    (HEAD + OPERATOR + OPERATOR, "operators 'Conv': two rows hold for toolchain '1'"),
    (HEAD + OPERATOR.replace("op_types", "op_type"), "names its operators in 'op_types'"),
    (HEAD + OPERATOR.replace('"npu"', '"gpu"'), "'gpu' is none of npu, cpu"),
    (HEAD + OPERATOR.replace('["Conv", "Relu"]', '"Conv"'), "must be a list of strings"),
    (HEAD + CONSTRAINT.replace("kernel_above", "kernel_abov"),
     "constraints 'wide', key 'when': no predicate 'kernel_abov'; did you mean 'kernel_above'?"),
    (HEAD + CONSTRAINT.replace("height = 3, ", ""), "key 'args': missing 'height'"),
    (HEAD + CONSTRAINT.replace("height = 3", 'height = "3"'), "'height' must be int"),
    (HEAD + CONSTRAINT.replace("height", "hight"), "unknown key 'hight'; did you mean 'height'?"),
    (HEAD + CONSTRAINT.replace("{kernel}", "{kernl}"), "no field 'kernl'; did you mean 'kernel'?"),
    (HEAD + CONSTRAINT.replace("{kernel}", "{kernel"), "key 'text': "),
    (HEAD + CONSTRAINT.replace("{kernel}", "{kernel:{x}}"), "'kernel' must be a plain {name}"),
    (HEAD + CONSTRAINT.replace("{kernel}", "{kernel.x}"), "no field 'kernel.x'"),
    (HEAD + "[limits]\nrank_max = 5\n", "limits: must be an array of tables ([[limits]])"),
    ("[target", "no valid TOML"),
    ("", "[target] is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=[case[1][:40] for case in BROKEN])
def test_a_mistake_in_a_profile_is_named_with_its_place(load, text, message):
    with pytest.raises(TargetError) as error:
        load(text)
    assert "toy.toml" in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "toolchain", "message"),
    [
        ("stm32n7", None, "no target 'stm32n7'; did you mean 'stm32n6'?"),
        ("stm32n6", "2.3", "no toolchain '2.3'; did you mean '2.2'?"),
        ("nowhere.toml", None, "nowhere.toml: cannot be read"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(name, toolchain, message):
    with pytest.raises(TargetError, match=message.replace("?", r"\?")):
        profiles.load(name, toolchain)


def test_reading_a_profile_imports_neither_onnx_nor_numpy():
    code = (
        "import sys, npugate.target.profiles as t; t.load('stm32n6');"
        "sys.exit(bool({'onnx', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

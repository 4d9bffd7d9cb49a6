"""The configuration file: what it may say, and how it answers what it may not."""

import datetime as dt

import pytest

from npugate.errors import UsageError
from npugate.findings.values import Severity
from npugate.repository.discover import Search
from npugate.rules import registry
from npugate.settings import config
from npugate.settings.options import CheckSettings, Options, matches

RULES = registry.rules()
FULL = """
target = "stm32h7"
toolchain = "2.2"
select = ["NPU1", "batch-axis"]
ignore = ["NPU101"]
fail-on = "warning"
exclude = ["old/**"]
baseline = "known.json"

[severity]
batch-axis = "error"
NPU107 = "off"

[[models]]
paths = ["edge/**"]
target = "stm32n6"
severity = { batch-axis = "note" }

[[ignores]]
rule = "batch-axis"
paths = ["legacy/*.onnx"]
node = "head*"
reason = "  replaced in spring  "
expires = 2027-01-31
"""


def load(folder, text, name="npugate.toml"):
    path = folder / name
    path.write_text(text)
    return config.load(path, RULES)


@pytest.mark.parametrize("name", ["npugate.toml", "pyproject.toml", "other.toml"])
def test_every_key_is_read_in_either_file(tmp_path, name):
    text = FULL
    if name == "pyproject.toml":
        text = text.replace("[[", "[[tool.npugate.").replace("\n[sev", "\n[tool.npugate.sev")
        text = '[project]\nname = "x"\n[tool.npugate]' + text
    settings = load(tmp_path, text, name)
    check_settings = settings.check_settings
    assert (check_settings.target, check_settings.toolchain) == ("stm32h7", "2.2")
    assert check_settings.select == {key for key in RULES if key.startswith("NPU1")} | {"NPU204"}
    assert check_settings.ignore == {"NPU101"}
    assert check_settings.severity == {"NPU204": Severity.ERROR, "NPU107": None}
    assert check_settings.threshold == "warning"
    assert settings.exclude == ("old/**",)
    assert settings.baseline == tmp_path / "known.json"
    (section,) = settings.sections
    assert section.paths == ("edge/**",)
    assert section.check_settings == CheckSettings("stm32n6", severity={"NPU204": Severity.NOTE})
    (ignore,) = settings.ignores
    assert ignore.rules == {"NPU204"}
    assert ignore.paths == ("legacy/*.onnx",)
    assert (ignore.node, ignore.reason) == ("head*", "replaced in spring")
    assert ignore.expires == dt.date(2027, 1, 31)


def test_an_empty_file_says_nothing(tmp_path):
    settings = load(tmp_path, "")
    assert settings.check_settings == CheckSettings()
    assert (settings.sections, settings.ignores, settings.exclude) == ((), (), ())
    assert settings.baseline is None


IGNORE = '[[ignores]]\nrule = "batch-axis"\nreason = "r"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('taget = "x"', "unknown key 'taget'; did you mean 'target'?"),
        ("fail_on = 'never'", "unknown key 'fail_on'; did you mean 'fail-on'?"),
        ("zzzz = 1", "unknown key 'zzzz'"),
        ("target = 6", "'target' must be a string, not 6"),
        ("select = 'NPU1'", "'select' must be a list of strings, not 'NPU1'"),
        ("select = [1]", "'select' must be a list of strings, not [1]"),
        ("select = ['batch-axes']", "select: there is no rule 'batch-axes'; did you mean"),
        ("ignore = ['NPU999']", "ignore: there is no rule 'NPU999'"),
        ("exclude = 3", "'exclude' must be a list of strings"),
        ("baseline = ['x']", "'baseline' must be a string"),
        ("fail-on = 'note'", "'fail-on' must be one of error, warning, never, not 'note'"),
        ("shapes = { x = 3 }", "shapes: 'x' must be a list of positive numbers, not 3"),
        ("shapes = { x = [1, 0] }", "shapes: 'x' must be a list of positive numbers, not [1, 0]"),
        ("severity = 'error'", "'severity' must be a table, not 'error'"),
        ("[severity]\nbatch-axis = 1", "severity of 'batch-axis' must be a string"),
        ("[severity]\nbatch-axis = 'warn'", "'warn' is no level"),
        ("[severity]\nbatch-axs = 'note'", "severity: there is no rule 'batch-axs'"),
        ("[models]\npaths = ['x']", "'models' must be written as [[models]] sections"),
        ("models = [1]", "'models' must be written as [[models]] sections"),
        ("[[models]]\ntarget = 'stm32n6'", "[[models]] 1: 'paths' is missing"),
        ("[[models]]\npaths = 'x'", "[[models]] 1: 'paths' must be a list of strings"),
        ("[[models]]\npaths = []\nfail-on = 'never'", "[[models]] 1: unknown key 'fail-on'"),
        ("[[ignores]]\nreason = 'r'", "[[ignores]] 1: 'rule' is missing"),
        ("[[ignores]]\nrule = 'batch-axis'", "[[ignores]] 1: 'reason' is missing"),
        ("[[ignores]]\nrule = 'batch-axis'\nreason = ' '", "'reason' is empty"),
        (IGNORE + "expire = 2027-01-31", "unknown key 'expire'; did you mean 'expires'?"),
        (IGNORE + "expires = '2027-01-31'", "'expires' must be a date such as 2027-01-31"),
        (IGNORE + "expires = 2027-01-31T00:00:00", "'expires' must be a date"),
        (IGNORE + "node = 1", "'node' must be a string"),
        (IGNORE + IGNORE.replace("batch-axis", "no-such"), "[[ignores]] 2: rule: there is no rule"),
        ("target =", "is no TOML"),
        ("target = 'a'\ntarget = 'b'", "is no TOML"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path, text, words):
    with pytest.raises(UsageError) as error:
        load(tmp_path, text)
    assert words in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "npugate.toml"))


def test_a_file_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "npugate.toml"
    path.write_bytes(b'target = "\xff"')
    with pytest.raises(UsageError, match="is no TOML"):
        config.load(path, RULES)


def test_a_pyproject_whose_section_is_no_table_is_refused(tmp_path):
    with pytest.raises(UsageError, match="must be a table"):
        load(tmp_path, "[tool]\nnpugate = 1", "pyproject.toml")


@pytest.mark.parametrize(
    ("files", "start", "found"),
    [
        ({"npugate.toml": ""}, "a/b", "npugate.toml"),
        ({"npugate.toml": "", "a/npugate.toml": ""}, "a/b", "a/npugate.toml"),
        ({"npugate.toml": "", "pyproject.toml": "[tool.npugate]"}, "", "npugate.toml"),
        ({"pyproject.toml": "[tool.npugate]"}, "a", "pyproject.toml"),
        ({"npugate.toml": "", "a/pyproject.toml": "[project]"}, "a", "npugate.toml"),
        ({"pyproject.toml": "[tool.other]"}, "a/b", None),
        ({"../npugate.toml": ""}, "a", None),
    ],
)
def test_the_nearest_file_up_to_the_root_counts(tmp_path, files, start, found):
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    for name, text in files.items():
        (root / name).write_text(text)
    assert config.find(root / start, root) == (root / found if found else None)


def findings_of(tmp_path, text, path, command=None):
    settings = load(tmp_path, text)
    return Options(Search(tmp_path), settings, command or CheckSettings()).check_settings(path)


def test_without_a_word_the_defaults_hold(tmp_path):
    found = findings_of(tmp_path, "", "a.onnx")
    assert (found.target, found.toolchain, found.threshold) == ("stm32n6", None, "error")
    assert (found.select, found.ignore, found.severity) == (None, frozenset(), {})


def test_a_section_holds_for_its_paths_and_a_later_one_wins(tmp_path):
    text = FULL + '[[models]]\npaths = ["edge/new/*.onnx"]\nseverity = { batch-axis = "off" }\n'
    assert findings_of(tmp_path, text, "a.onnx").severity["NPU204"] is Severity.ERROR
    assert findings_of(tmp_path, text, "edge/a.onnx").severity["NPU204"] is Severity.NOTE
    assert findings_of(tmp_path, text, "edge/new/a.onnx").severity["NPU204"] is None
    assert findings_of(tmp_path, text, "edge/new/a.onnx").target == "stm32n6"
    assert findings_of(tmp_path, text, "edge/a.onnx").ignore == {"NPU101"}


def test_another_target_does_not_inherit_the_toolchain_of_the_first(tmp_path):
    assert findings_of(tmp_path, FULL, "a.onnx").toolchain == "2.2"
    assert findings_of(tmp_path, FULL, "edge/a.onnx").toolchain is None


def test_the_command_line_wins_over_the_file(tmp_path):
    command = CheckSettings("stm32h7", "1.0", frozenset({"NPU1"}), frozenset({"NPU2"}), {}, "never")
    found = findings_of(tmp_path, FULL, "edge/a.onnx", command)
    assert (found.target, found.toolchain, found.threshold) == ("stm32h7", "1.0", "never")
    assert found.select == {"NPU1"}
    assert found.ignore == {"NPU101", "NPU2"}


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a.onnx", "a.onnx", True),
        ("deep/a.onnx", "a.onnx", True),
        ("deep/a.onnx", "*.onnx", True),
        ("deep/a.onnx", "deep/*.onnx", True),
        ("deep/er/a.onnx", "deep/*.onnx", False),
        ("deep/er/a.onnx", "deep/**/*.onnx", True),
        ("deep/a.onnx", "deep/**/*.onnx", True),
        ("deep/er/a.onnx", "deep/**", True),
        ("deeper/a.onnx", "deep/**", False),
        ("a.onnx", "**/a.onnx", True),
        ("x/deep/a.onnx", "deep/a.onnx", False),
    ],
)
def test_a_glob_covers_paths_as_in_gitignore(path, pattern, expected):
    assert matches(path, pattern) is expected

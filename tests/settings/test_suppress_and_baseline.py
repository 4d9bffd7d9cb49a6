"""What does not count: ignores, the baseline, and the fingerprint that both rest on."""

import datetime as dt
import json
import subprocess

import pytest

from npugate import cli
from npugate.errors import UsageError
from npugate.findings.fingerprint import early, fingerprints, wording
from npugate.findings.values import Finding, Location, Severity
from npugate.report.values import ModelReport
from npugate.rules import registry, testing
from npugate.settings import baseline, suppress
from npugate.settings.baseline import Entry
from npugate.settings.options import Ignore

TODAY = dt.date(2026, 6, 15)
HEAD = '<ir_version: 8, opset_import: ["" : 14]> net '


def finding(node="head/conv", rule="NPU204", mark="0" * 16):
    place = Location(node=node, op_type="Conv")
    return Finding(rule, "batch-axis", Severity.ERROR, "text", place, mark)


def ignore(**changes):
    fields = {"rules": frozenset({"NPU204"}), "reason": "why"} | changes
    return Ignore(**fields)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"rules": frozenset({"NPU101", "NPU204"})}, True),
        ({"rules": frozenset({"NPU101"})}, False),
        ({"paths": ("a.onnx",)}, True),
        ({"paths": ("b.onnx",)}, False),
        ({"paths": ("b.onnx", "deep/*.onnx")}, True),
        ({"node": "head/conv"}, True),
        ({"node": "head*"}, True),
        ({"node": "HEAD*"}, False),
        ({"node": "tail*"}, False),
        ({"expires": TODAY}, True),
        ({"expires": TODAY + dt.timedelta(1)}, True),
        ({"expires": TODAY - dt.timedelta(1)}, False),
    ],
)
def test_an_ignore_covers_its_rules_paths_and_nodes_until_its_last_day(changes, expected):
    row = ignore(**changes)
    (found,) = suppress.apply("deep/a.onnx", [finding()], [row], {}, TODAY)
    assert (found.suppression is not None) == expected
    if expected:
        assert (found.suppression.by, found.suppression.reason) == ("config", "why")


def test_a_known_finding_is_marked_and_the_ignore_goes_first():
    known = {"a" * 16: "NPU204"}
    pair = [finding(mark="a" * 16), finding(mark="b" * 16)]
    first, second = suppress.apply("a.onnx", pair, [], known, TODAY)
    assert first.suppression.by == "baseline"
    assert second.suppression is None
    first, _ = suppress.apply("a.onnx", pair, [ignore()], known, TODAY)
    assert first.suppression.by == "config"


def marks(*places):
    return list(fingerprints((*place, "text")[:3] for place in places))


def test_a_fingerprint_is_of_the_rule_the_place_the_operator_and_the_subject():
    one, two = Location(node="n", value="v"), Location(node="m", value="v")
    different = [
        ("NPU1", one),
        ("NPU2", one),
        ("NPU1", two),
        ("NPU1", Location("g", "n", "", "v")),
        ("NPU1", Location(node="n", op_type="X", value="v")),
        ("NPU1", one, "another text"),
    ]
    assert len({marks(place)[0] for place in different}) == 6
    assert all(len(mark) == 16 and int(mark, 16) >= 0 for mark in marks(*different))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("kernel 5x5 is above the 3x6 of 'c'", 'kernel 7x7 is above the 3x6 of "it\'s"'),
        ("tensor 'h' has rank 6: [1, 2, 2]", "tensor 'k' has rank 7: [1, 2, ?, 4, 'n']"),
        ("1 layer is float", "12 layers are float"),
        (
            "needs 44.0 KiB of RAM, alive: 'a' 3 B",
            "needs 1.20 MiB of RAM, alive: 'b' 3 B, 'c' 9 KiB",
        ),
    ],
)
def test_names_and_figures_are_no_part_of_the_wording(one, two):
    assert wording(one) == wording(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("needs 1 KiB of RAM", "needs 1 KiB of flash"),
        ("opset 21 is above 20", "opset 6 is below 7"),
        ("Unrecognized attribute: axes", "Unrecognized attribute: perm"),
    ],
)
def test_what_is_said_is_part_of_the_wording(one, two):
    assert wording(one) != wording(two)


def test_equal_findings_are_numbered_and_the_first_keeps_its_name():
    place = ("NPU1", Location(node="n"))
    other = ("NPU1", Location(node="m"))
    three = marks(place, other, place, place)
    assert len(set(three)) == 4
    assert marks(place, place) == [three[0], three[2]]


def test_parts_of_a_place_cannot_be_shifted_into_each_other():
    assert marks(("NPU1", Location(graph="a", node="b"))) != marks(("NPU1", Location(node="ab")))


def test_a_name_that_is_no_unicode_has_a_fingerprint():
    assert len(marks(("NPU1", Location(node="\udcff")))[0]) == 16


def report(path, *findings, unreadable=False):
    return ModelReport(path, "", 0, tuple(findings), unreadable)


def test_a_baseline_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "new" / "known.json"
    known, ignored = finding(mark="a" * 16), finding(mark="c" * 16)
    (known,) = suppress.apply("", [known], [], {"a" * 16: "NPU204"}, TODAY)
    (ignored,) = suppress.apply("", [ignored], [ignore()], {}, TODAY)
    baseline.write(file, [report("m/a.onnx", known, finding(mark="b" * 16), ignored)])
    entry = Entry("NPU204", Severity.ERROR)
    assert baseline.read(file) == {"m/a.onnx": {"a" * 16: entry, "b" * 16: entry}}
    assert json.loads(file.read_text())["schema"] == "npugate-baseline/2"


LEVELLESS = (
    '{"schema": "npugate-baseline/2", "models": {"a": [{"fingerprint": "0", "rule": "R",'
    ' "severity": "never"}]}}'
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "--write-baseline FILE makes one"),
        ("{", "is no JSON"),
        ("\udcff", "is no JSON"),
        ("[]", "malformed"),
        ("{}", "malformed"),
        ('{"schema": "npugate-baseline/9", "models": {}}', "has schema 'npugate-baseline/9'"),
        ('{"schema": "npugate-baseline/2", "models": {"a": [{"fingerprint": "0"}]}}', "malformed"),
        (LEVELLESS, "malformed"),
        ('{"schema": "npugate-baseline/1", "models": []}', "malformed"),
        ('{"schema": "npugate-baseline/1", "models": {"a": [{}]}}', "malformed"),
        ('{"schema": "npugate-baseline/1", "models": {"a": [1]}}', "malformed"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path, text, words):
    file = tmp_path / "known.json"
    if text is not None:
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match="baseline") as error:
        baseline.read(file)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("known", "renames", "expected"),
    [
        ({"old": {"x": "r"}}, {"new": "old"}, {"old": {"x": "r"}, "new": {"x": "r"}}),
        ({"old": {"x": "r"}}, {"new": "other"}, {"old": {"x": "r"}}),
        ({"o": {"x": "r"}, "n": {"y": "r"}}, {"n": "o"}, {"o": {"x": "r"}, "n": {"y": "r"}}),
    ],
)
def test_a_renamed_model_keeps_what_is_known_of_it(known, renames, expected):
    assert baseline.follow(known, renames) == expected


@pytest.mark.parametrize(
    ("model", "ran", "count"),
    [
        (report("a", finding(mark="1")), {"NPU204"}, 1),
        (report("a", finding(mark="1"), finding(mark="2")), {"NPU204"}, 0),
        (report("a"), {"NPU204"}, 2),
        (report("a"), {"NPU101"}, 0),
        (report("a", unreadable=True), {"NPU204"}, 0),
        (report("b"), {"NPU204"}, 0),
    ],
)
def test_an_entry_counts_as_fixed_only_where_its_rule_ran(model, ran, count):
    known = {"a": dict.fromkeys("12", Entry("NPU204", Severity.ERROR))}
    assert baseline.unused(known, [model], {model.path: ran}) == count


# --- through the command line --------------------------------------------------------------------


def concat(count, *, size=8, name=""):
    """Return a net that joins samples ``count`` times along the batch, each a finding."""
    label = f'["{name}"] ' if name else ""
    nodes = " ".join(f"{label}y{i} = Concat <axis = 0> (a, b)" for i in range(count))
    outputs = ", ".join(f"float[2, {size}] y{i}" for i in range(count))
    return HEAD + f"(float[1, {size}] a, float[1, {size}] b) => ({outputs}) {{ {nodes} }}"


def save(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(testing.model_from_text(text).SerializeToString())


def check(capsys, *arguments):
    fixed = ("--select", "batch-axis", "--fail-on", "warning", "--format", "json")
    status = cli.main(["check", *fixed, *arguments])
    return status, json.loads(capsys.readouterr().out)


def findings(parsed, model=0):
    return parsed["models"][model]["findings"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_fingerprint_survives_another_path_and_other_figures(here, capsys):
    save(here / "a.onnx", concat(2))
    save(here / "deep" / "b.onnx", concat(2, size=16))
    _, parsed = check(capsys, "a.onnx", "deep/b.onnx")
    first, second = ([f["fingerprint"] for f in findings(parsed, model)] for model in (0, 1))
    assert len(set(first)) == 2
    assert first == second


def test_an_unnamed_node_goes_by_its_first_output(here, capsys):
    save(here / "a.onnx", concat(1))
    _, parsed = check(capsys, "a.onnx")
    assert findings(parsed)[0]["location"]["node"] == "y0"


def test_a_baseline_lets_the_known_pass_and_the_new_fail(here, capsys):
    save(here / "a.onnx", concat(2))
    status, _ = check(capsys, "a.onnx", "--write-baseline", "known.json")
    assert status == 1
    status, parsed = check(capsys, "a.onnx", "--baseline", "known.json")
    assert status == 0
    assert [f["suppression"]["by"] for f in findings(parsed)] == ["baseline"] * 2
    save(here / "a.onnx", concat(3))
    status, parsed = check(capsys, "a.onnx", "--baseline", "known.json")
    assert status == 1
    assert [f["suppressed"] for f in findings(parsed)] == [True, True, False]
    save(here / "a.onnx", concat(1))
    status, parsed = check(capsys, "a.onnx", "--baseline", "known.json")
    assert status == 0
    assert parsed["notices"] == [
        "entries of the baseline that are fixed: 1; write it again to drop them"
    ]


def first_form(parsed, path="a.onnx"):
    """Return the baseline that an earlier version wrote of the same run."""
    rows = parsed["models"][0]["findings"]
    places = [(f["rule"], Location(**f["location"])) for f in rows]
    entries = [
        {"fingerprint": mark, "rule": f["rule"], "message": f["message"]}
        for mark, f in zip(early(places), rows, strict=True)
    ]
    return json.dumps({"schema": "npugate-baseline/1", "models": {path: entries}})


def test_a_baseline_of_the_first_form_holds_and_is_to_be_written_again(here, capsys):
    save(here / "a.onnx", concat(2))
    _, parsed = check(capsys, "a.onnx")
    (here / "known.json").write_text(first_form(parsed))
    status, parsed = check(capsys, "a.onnx", "--baseline", "known.json")
    assert (status, parsed["summary"]["suppressed"]) == (0, 2)
    assert parsed["notices"] == [
        (
            "known.json has 2 entries in an earlier format, without operator and level; "
            "write it again with --write-baseline"
        )
    ]
    (here / "a.onnx").write_bytes(b"garbage")
    _, parsed = check(capsys, "a.onnx")
    (here / "known.json").write_text(first_form(parsed))
    assert check(capsys, "a.onnx", "--baseline", "known.json")[0] == 1


def test_a_baseline_follows_a_rename_that_git_saw(here, capsys):
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]
    save(here / "a.onnx", concat(2))
    subprocess.run(["git", "init", "-q"], check=True)
    check(capsys, "a.onnx", "--write-baseline", "known.json")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    subprocess.run([*git, "mv", "a.onnx", "b.onnx"], check=True)
    subprocess.run([*git, "commit", "-qm", "two"], check=True)
    status, parsed = check(capsys, "b.onnx", "--baseline", "known.json")
    assert status == 0
    assert parsed["summary"]["suppressed"] == 2


def test_an_expired_ignore_counts_again_and_says_so(here, capsys):
    save(here / "a.onnx", concat(1))
    row = '[[ignores]]\nrule = "batch-axis"\nreason = "later"\nexpires = {}\n'
    (here / "npugate.toml").write_text(row.format("9000-01-01"))
    assert check(capsys, "a.onnx")[0] == 0
    (here / "npugate.toml").write_text(row.format("2020-01-01"))
    status, parsed = check(capsys, "a.onnx")
    assert status == 1
    assert parsed["notices"] == ["the ignore of NPU204 expired on 2020-01-01"]


def test_the_rule_of_these_tests_is_the_one_they_name():
    assert registry.rules()["NPU204"].name == "batch-axis"

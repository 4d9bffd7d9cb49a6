"""What CONTRIBUTING.md asks of every file, held by a test where no linter does."""

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from npugate.rules import registry

ROOT = Path(__file__).resolve().parents[2]
RULES = registry.rules()
CODE = ("npugate", "checks", "fixers", "tools", "examples", "tests")
FILE_LINES = 400
FUNCTION_LINES = 45
LONG_DATA = {"tests/hostile/cases.py"}  # a table of cases, one function each
NO_EXAMPLE = {  # rules of the run itself: no model text shows them
    "rule-crashed",
    # What the vendor's compiler says: tests/compilers/stedgeai/test_run.py shows them.
    "compiler-refused",
    "compiler-memory",
    "quantization-dropped",
    "compiler-profile",
    "compiler-fallback",
}
FAMILIES = "012346"  # the file, shapes, operators, quantisation, cost, the compiler
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "core", "base_utils"}
# Folders of one machine; a path in a URL, a variable or below another folder is none.
FOREIGN = re.compile(r"(?<![\w.:/$}])/(?:work|home|Users|root)/\w|C:\\Users", re.IGNORECASE)
PLACES_ALLOWED = {
    # Paths that are data: an exporter's machine in a stack trace, a container's mount.
    "/home/runner",
    "/home/user",
    "/home/someone",
}


def tracked():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = (name for name in done.stdout.decode().split("\0") if name)
    return [name for name in names if (ROOT / name).is_file()]


TRACKED = tracked()
PYTHON = [n for n in TRACKED if n.endswith(".py") and n.partition("/")[0] in (*CODE, n)]
RULE_FILES = sorted((ROOT / "checks").glob("*.py"))


def test_values_are_structs_since_dataclasses_are_compiled_at_every_start():
    found = [
        name
        for name in PYTHON
        if name.partition("/")[0] in {"npugate", "checks", "fixers"}
        and re.search(r"^\s*@dataclass", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert found == ["npugate/compilers/stedgeai/web.py"]


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_rule_is_documented_as_the_reports_print_it(rule):
    assert re.fullmatch(r"NPU\d{3}", rule.id)
    assert rule.id[3] in FAMILIES
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    assert rule.summary.endswith(".")
    assert "\n\n" in rule.doc.strip(), "a summary alone explains nothing"
    assert re.findall(r"^\*\*(Why|Fix)\.\*\* \S", rule.doc, re.MULTILINE) == ["Why", "Fix"]
    assert rule.sources
    assert all(source.strip() for source in rule.sources)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_rule_shows_a_bad_and_a_good_model(rule):
    assert bool(rule.examples) != (rule.name in NO_EXAMPLE)
    for example in rule.examples:
        assert example.title
        assert example.bad.strip()
        assert example.good.strip()
        assert example.bad != example.good or example.edit is not None
        assert example.messages
    titles = Counter(example.title for example in rule.examples)
    assert titles.most_common(1) in ([], [(next(iter(titles), ""), 1)])


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_a_rule_file_holds_one_rule_and_one_check(path):
    body = ast.parse(path.read_text("utf-8")).body
    assigned = [
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    functions = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    calls = [n for n in ast.walk(ast.Module(body, [])) if isinstance(n, ast.Call)]
    made = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "Rule"]
    assert assigned.count("RULE") == 1
    assert len(made) == 1
    assert functions.count("check") == 1
    assert [name for name in functions if name != "check" and not name.startswith("_")] == []


def test_every_rule_file_is_a_rule_and_every_id_is_used_once():
    assert len(RULES) == len(RULE_FILES)
    assert Counter(rule.id for rule in RULES.values()).most_common(1)[0][1] == 1
    assert [rule.name.replace("-", "_") for rule in sorted(RULES.values(), key=_name)] == [
        path.stem for path in RULE_FILES
    ]


def _name(rule):
    return rule.name.replace("-", "_")


@pytest.mark.parametrize("name", PYTHON)
def test_a_file_is_short_and_so_is_each_function(name):
    text = (ROOT / name).read_text("utf-8")
    assert len(text.splitlines()) <= FILE_LINES or name in LONG_DATA
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    }
    assert long == {}


def test_the_list_of_long_files_is_no_longer_than_it_must_be():
    assert {n for n in LONG_DATA if len((ROOT / n).read_text().splitlines()) > 400} == LONG_DATA


def test_no_module_is_named_after_nothing():
    parts = {name: set(Path(name).with_suffix("").parts) for name in PYTHON}
    assert {name for name, found in parts.items() if found & VAGUE} == set()


@pytest.mark.parametrize("name", PYTHON)
def test_every_exception_to_a_linter_has_a_code_and_a_reason(name):
    if name == "tests/project/test_conventions.py":
        return  # the patterns below
    for line in (ROOT / name).read_text("utf-8").splitlines():
        found = re.search(r"#\s*(noqa|type:\s*ignore)(.*)", line)
        if found:
            assert re.match(r"(: [A-Z]+\d+|\[[a-z-]+\])(, ?[A-Z]+\d+)*\s+\S+ *\S+", found[2]), line


def foreign(text):
    found = (match for match in FOREIGN.finditer(text))
    return [
        text[match.start() : match.start() + 60].split()[0]
        for match in found
        if not any(text.startswith(place, match.start()) for place in PLACES_ALLOWED)
    ]


@pytest.mark.parametrize("name", TRACKED)
def test_no_tracked_file_names_a_place_of_one_machine(name):
    if name == "tests/project/test_conventions.py":
        return  # the words themselves
    data = (ROOT / name).read_bytes()
    if b"\0" in data[:4096]:
        return  # a model: provenance is checked by the fixtures' own tests
    assert foreign(data.decode("utf-8", "replace")) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [("see /home/me/x", 1), ("/home/runner/work", 0), ("C:\\Users\\me", 1), ("a/home/b", 0)],
)
def test_a_place_of_one_machine_would_be_seen(text, count):
    assert len(foreign(text)) == count


ARRAYS = re.compile(r"\b(Array|Floats|_Floats|Results)\b")
SHAPE = re.compile(r"\b(any|str|T|(float|u?int|bool)\d*)\[[^\]\n]*\]")


def takes_arrays(function):
    given = function.args
    names = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    written = [ast.unparse(item.annotation) for item in names if item.annotation]
    written += [ast.unparse(function.returns)] if function.returns else []
    return any(ARRAYS.search(text) for text in written)


@pytest.mark.parametrize("name", [n for n in PYTHON if n.startswith(("npugate/", "fixers/"))])
def test_a_docstring_of_arrays_gives_their_shapes_in_the_one_form(name):
    functions = [
        node
        for node in ast.walk(ast.parse((ROOT / name).read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and takes_arrays(node)
    ]
    documented = [(item.name, ast.get_docstring(item)) for item in functions]
    assert [key for key, text in documented if text and not SHAPE.search(text)] == []

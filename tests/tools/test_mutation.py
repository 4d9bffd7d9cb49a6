"""The tester of tests: which changes it makes, which it finds noticed, and what it runs again."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
spec = importlib.util.spec_from_file_location("code_mutants", TOOLS / "code_mutants.py")
code_mutants = importlib.util.module_from_spec(spec)
sys.modules["code_mutants"] = code_mutants
spec.loader.exec_module(code_mutants)

CODE = '''"""A module."""
LIMIT = 3


def unused(x):
    return x + 1


def is_large(x):
    """Tell."""
    return x > LIMIT


def turn(x):
    while x < 5:
        x += 1
    return x
'''
TEST = """
from pkg import code
def test_large():
    assert code.is_large(5) and not code.is_large(2)
def test_turn():
    assert code.turn(0) == 5
"""
PROGRAM = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(TOOLS)!r})
import mutation
root = Path.cwd()
mutants = mutation.sample(root, "pkg", 1000, 0)
for mutant, result in mutation.results("pkg", mutants, root / "work", root, ("tests",), 1):
    print(f"{{mutant.line}}: {{mutant.before}} -> {{mutant.after}}: {{result}}".replace("\\n", " "))
"""


def changes(source):
    return [f"{item.before} -> {item.after}" for item in code_mutants.mutants(source, "a.py")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", ["a < b -> a <= b", "a < b -> a >= b"]),
        ("a == b != c", ["a == b != c -> a != b != c", "a == b != c -> a == b == c"]),
        ("a and b", ["a and b -> a or b", "a and b -> b", "a and b -> a"]),
        ("not a", ["not a -> a"]),
        ("a // b", ["a // b -> a * b"]),
        ("7", ["7 -> 8", "7 -> 6"]),
        ("True", ["True -> False"]),
        ("'a'", ["'a' -> 'a_'"]),
        ("any(a)", ["any(a) -> all(a)"]),
        ("b if a else c", ["b if a else c -> b if not a else c"]),
        ("b if not a else c", ["not a -> a"]),
        ("f'words {a}'", []),
    ],
)
def test_a_node_becomes_its_neighbours(source, expected):
    assert changes(f"x = {source}") == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a += b", ["a += b -> a -= b"]),
        ("def f():\n    return a", ["return a -> return None"]),
        ("def f():\n    return None", []),
        ("def f(a: 'A' = 1) -> 2:\n    '''Words.'''", ["1 -> 2", "1 -> 0"]),
        ("if TYPE_CHECKING:\n    x = 1", []),
        ("__all__ = ['a']", []),
        ("X = Literal['a']", []),
        ("f(a)", ["f(a) -> pass"]),
        ("raise ValueError('words')", []),
        ("for x in y:\n    break", ["break -> continue"]),
        ("x = [a for a in b if c]", [" for a in b if c ->  for a in b"]),
    ],
)
def test_a_statement_becomes_another(source, expected):
    assert changes(source) == expected


def test_a_changed_module_is_another_in_that_place_alone():
    source = "def f(a):\n    return a + 1\n\n\ndef g(a):\n    return a + 1\n"
    (change,) = [
        item
        for item in code_mutants.mutants(source, "a.py")
        if item.function == "g" and item.after == "a - 1"
    ]
    assert (change.line, change.statement) == (6, (6, 6))
    expected = source[:-2].replace("\n    return a + 1\n\n\ndef g", "\n    return a + 1\ndef g")
    expected = ast.unparse(ast.parse(expected + "1")).rpartition("+")
    assert ast.unparse(code_mutants.mutate(source, change)) == f"{expected[0]}-{expected[2]}"


def test_a_sample_stays_when_other_code_changes(tmp_path):
    (tmp_path / "pkg").mkdir()
    file = tmp_path / "pkg/code.py"
    file.write_text(CODE)
    ranks = {item.rank for item in code_mutants.sample(tmp_path, "pkg", 6, 1)}
    assert ranks != {item.rank for item in code_mutants.sample(tmp_path, "pkg", 6, 2)}
    file.write_text(f"import os\n{CODE}")
    assert ranks == {item.rank for item in code_mutants.sample(tmp_path, "pkg", 6, 1)}


@pytest.fixture
def project(tmp_path):
    for folder in ("pkg", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pkg/__init__.py").touch()
    (tmp_path / "pkg/code.py").write_text(CODE)
    (tmp_path / "tests/test_code.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    return tmp_path


def run(project):
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(line.rsplit(": ", 1) for line in done.stdout.splitlines())


def test_what_no_test_notices_survives_and_is_tried_again_after_a_new_test(project):
    first = run(project)
    assert {change for change, result in first.items() if result == "survived"} == {
        "2: 3 -> 4",  # the tests try 5 and 2
        "2: 3 -> 2",
        "6: x + 1 -> x - 1",  # no test runs it
        "6: 1 -> 2",
        "6: 1 -> 0",
        "6: return x + 1 -> return None",
        "11: x > LIMIT -> x >= LIMIT",
    }
    assert first["16: x += 1 -> x -= 1"] == "late"  # it never ends
    assert first["11: x > LIMIT -> x <= LIMIT"] == "killed"

    store = project / "work/results.jsonl"
    kept = store.read_text().splitlines()
    assert run(project) == first
    assert store.read_text().splitlines() == kept  # nothing was tried again

    with (project / "tests/test_code.py").open("a") as out:
        out.write("def test_border():\n    assert not code.is_large(3)\n")
    changed = {what: result for what, result in run(project).items() if first[what] != result}
    assert changed == {"11: x > LIMIT -> x >= LIMIT": "killed", "2: 3 -> 2": "killed"}
    again = store.read_text().splitlines()[len(kept) :]
    assert len(again) == list(first.values()).count("survived")


def test_tests_that_fail_as_they_are_end_the_run(project):
    with (project / "tests/test_code.py").open("a") as out:
        out.write("def test_wrong():\n    assert code.is_large(0)\n")
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "fail without a change" in done.stderr
    assert "test_wrong" in done.stderr

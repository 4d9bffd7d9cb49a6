"""Loading rule files from a folder: what is refused, and that a half-made module is not kept."""

import ast
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from npugate.errors import RegistryError
from npugate.findings import rule_names
from npugate.report.estimate import Fit
from npugate.rules import registry

ROOT = Path(__file__).resolve().parents[2]
RULE = '''"""A summary."""
from npugate.api import Rule, Severity

RULE = Rule("{id}", "{name}", Severity.NOTE, __doc__, ("s",), lambda facts, target: iter(()), ())
'''
_packages = itertools.count()


def load(folder):
    return registry.rules(folder, f"tests_registry_{next(_packages)}")


def save(folder, stem, **fields):
    (folder / f"{stem}.py").write_text(RULE.format(**fields))


def test_rules_are_ordered_by_id_and_private_files_are_left_alone(tmp_path):
    save(tmp_path, "alpha_one", id="NPU902", name="alpha-one")
    save(tmp_path, "beta", id="NPU901", name="beta")
    (tmp_path / "_shared.py").write_text("raise SystemExit")
    assert [(key, rule.name) for key, rule in load(tmp_path).items()] == [
        ("NPU901", "beta"),
        ("NPU902", "alpha-one"),
    ]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": RULE.format(id="NPU901", name="b")}, "differs from the file's name"),
        ({"a": "X = 1"}, "declares no RULE"),
        ({"a": "RULE = 1"}, "declares no RULE"),
        ({"a": "import no_such_module"}, "ModuleNotFoundError"),
        ({"a": "def"}, "SyntaxError"),
        (
            {"a": RULE.format(id="NPU901", name="a"), "b": RULE.format(id="NPU901", name="b")},
            "is declared twice",
        ),
    ],
)
def test_a_file_that_is_no_rule_is_refused_by_name(tmp_path, files, words):
    for stem, text in files.items():
        (tmp_path / f"{stem}.py").write_text(text)
    with pytest.raises(RegistryError, match="py: ") as error:
        load(tmp_path)
    assert words in str(error.value)


def test_a_file_that_failed_is_tried_again_and_not_handed_out_half_made(tmp_path):
    (tmp_path / "a.py").write_text("raise ValueError")
    for _ in range(2):
        with pytest.raises(RegistryError, match="ValueError"):
            registry.rules(tmp_path, "tests_registry_again")
    save(tmp_path, "a", id="NPU901", name="a")
    assert list(registry.rules(tmp_path, "tests_registry_again")) == ["NPU901"]


def program(*arguments, **options):
    command = [sys.executable, str(ROOT / "entrypoint.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_a_reader_that_has_gone_is_no_fault_of_ours(tmp_path):
    with program("explain", "NPU", cwd=tmp_path) as running:
        running.stdout.close()
        said = running.stderr.read()
        status = running.wait()
    assert (status, said) == (130, b"")


def test_the_entry_point_gives_the_status_of_the_command_line(tmp_path):
    with program("check", "absent.onnx", cwd=tmp_path) as running:
        _, said = running.communicate()
    assert running.returncode == 2
    assert said == b"npugate: error: absent.onnx does not exist\n"


def test_a_rule_that_the_core_reports_under_cannot_be_missing(monkeypatch):
    monkeypatch.setattr(rule_names, "ALL", frozenset({"tensor-rank", "tensor-rang"}))
    with pytest.raises(RegistryError, match=r"do not exist: tensor-rang$"):
        registry.rules()


def test_the_core_writes_no_rule_name_out():
    """A misspelt one was a fault that nobody reported: the core takes them from rule_names."""
    known = {rule.name for rule in registry.rules().values()}
    fits = {fit.value for fit in Fit}  # words of the JSON report, older than the rules so named
    found = {
        (path.name, node.value)
        for path in (ROOT / "npugate").rglob("*.py")
        if path.name != "rule_names.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in known - fits
    }
    assert found == set()

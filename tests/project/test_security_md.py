"""SECURITY.md promises nothing without a test, and names no test that is not there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text("utf-8")
PARTS = re.findall(r"^### (\d+)\. ", TEXT, re.MULTILINE)
ROWS = re.findall(r"^\| (\d+)\.(\d+) \| (.*) \|$", TEXT, re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]*test_\w+\.py)::(test_\w+)`")


def functions(file):
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_parts_and_points_are_numbered_in_their_order():
    assert [str(number) for number in range(1, len(PARTS) + 1)] == PARTS
    assert [(int(part), int(point)) for part, point, _ in ROWS] == [
        (part, point)
        for part in range(1, len(PARTS) + 1)
        for point in range(1, sum(row[0] == str(part) for row in ROWS) + 1)
    ]
    assert {row[0] for row in ROWS} == set(PARTS)


@pytest.mark.parametrize("row", ROWS, ids=[f"{part}.{point}" for part, point, _ in ROWS])
def test_a_point_has_a_promise_and_tests_that_are_there(row):
    promised, left_out, held = (cell.strip() for cell in row[2].split("|"))
    assert promised.endswith(".")
    assert left_out.endswith(".")
    named = TEST.findall(held)
    assert named
    assert TEST.sub("", held).replace(",", "").strip() == ""
    for file, test in named:
        assert test in functions(file), f"{file}::{test}"

"""The table of kinds: consistent in itself, known to ONNX, and written down nowhere else."""

import ast
from pathlib import Path

import onnx.defs
import pytest

from npugate import operators

ROOT = Path(__file__).resolve().parents[1]
SETS = {
    name: value
    for name, value in vars(operators).items()
    if name.isupper() and isinstance(value, frozenset)
}
OTHER_DOMAINS = {"Upsample", "QLinearAveragePool"}  # of older operator sets; of onnxruntime


def literals(source):
    """Yield the sets, lists and tuples of two and more strings that a source writes out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Set | ast.List | ast.Tuple) and len(node.elts) > 1:
            values = [item.value for item in node.elts if isinstance(item, ast.Constant)]
            if len(values) == len(node.elts) and all(isinstance(v, str) for v in values):
                yield node.lineno, frozenset(values)


@pytest.mark.parametrize("folder", ["npugate", "checks", "fixers"])
def test_no_other_file_writes_a_set_of_the_table_again(folder):
    again = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != Path(operators.__file__)
        for line, found in literals(path.read_text(encoding="utf-8"))
        for name, value in SETS.items()
        if found == value
    ]
    assert again == []


def test_every_name_is_an_operator_of_onnx_or_of_onnxruntime():
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    named = {name for value in SETS.values() for name in value if "." not in name}
    assert named - known - OTHER_DOMAINS == set()


def test_kinds_lie_within_one_another():
    assert operators.LAYERS < operators.BATCHED
    assert operators.GATES < operators.FUSED
    assert operators.CONVOLUTIONS < operators.WEIGHTED < operators.MULTIPLYING
    assert operators.RESHAPES < operators.VIEWS
    assert not operators.FUSED & operators.MOVED

"""Small changes to Python code, one at a time, that its tests should notice.

A change replaces one node of the syntax tree: a comparison by its neighbour or its contrary,
``and`` by ``or`` or without one operand, an operator by its inverse, a number by the next or the
one before, a text by another, a flag by its contrary, ``any`` by ``all``, ``min`` by ``max``, a
condition by its negation, a returned value by None, ``break`` by ``continue``; or it leaves out a
filter of a comprehension or a call whose result nobody takes. What says nothing at run time is left
alone: docstrings, annotations and imports for them; so are the words of errors and of f-strings,
which may be reworded.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_CALLS: Final = {"any": "all", "all": "any", "min": "max", "max": "min"}
_WITHOUT_MEANING: Final = (ast.Raise, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal)


class CodeMutant(Struct, frozen=True):
    """One change.

    Attributes:
        file: path of the module, below the root of the project.
        function: name of the function around it, with its classes; empty outside of functions.
        line: line of the node.
        statement: first and last line of the statement that it is in, a block's body aside.
        before: the node as it is written.
        after: the node as it becomes.
        node: place of the node in the order that ``_places`` has.
        choice: which of the alternatives for this node.
        rank: digest of the seed and of what this is; a sample takes the smallest. It stays what it
            is when code elsewhere changes, and so the samples of two revisions are nearly the same.
    """

    file: str
    function: str
    line: int
    statement: tuple[int, int]
    before: str
    after: str
    node: int
    choice: int
    rank: str


class _Place(Struct, frozen=True):
    node: ast.AST
    statement: ast.stmt
    function: str


def sample(root: Path, folder: str, count: int, seed: int) -> list[CodeMutant]:
    """Return this many of the changes to the modules of a folder, in order of file and line."""
    every: list[CodeMutant] = []
    for path in sorted((root / folder).glob("*.py")):
        every += mutants(path.read_text(), path.relative_to(root).as_posix(), seed)
    every.sort(key=lambda mutant: mutant.rank)
    return sorted(every[:count], key=lambda mutant: (mutant.file, mutant.node, mutant.choice))


def mutants(source: str, file: str, seed: int = 0) -> Iterator[CodeMutant]:
    """Yield every change to one module."""
    times: Counter[str] = Counter()
    for index, place in enumerate(_places(ast.parse(source))):
        before = ast.unparse(place.node)
        for choice, changed in enumerate(_alternatives(place.node)):
            after = ast.unparse(changed)
            what = f"{seed}\n{file}\n{place.function}\n{before}\n{after}"
            times[what] += 1
            rank = hashlib.sha256(f"{what}\n{times[what]}".encode()).hexdigest()
            line, lines = _line(place), _lines(place.statement)
            yield CodeMutant(file, place.function, line, lines, before, after, index, choice, rank)


def mutate(source: str, mutant: CodeMutant) -> ast.Module:
    """Return the module with this change, each line where it was."""
    tree = ast.parse(source)
    for index, place in enumerate(_places(tree)):
        if index == mutant.node:
            changed = list(_alternatives(place.node))[mutant.choice]
            ast.copy_location(changed, place.node)
            changed_tree = _Replace(place.node, changed).visit(tree)
            return ast.fix_missing_locations(changed_tree)
    raise LookupError(f"{mutant.file} has no node {mutant.node}: it is not what the mutant is of")


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _line(place: _Place) -> int:
    """Return the line of a node; a comprehension has none and takes its statement's."""
    return int(getattr(place.node, "lineno", place.statement.lineno))


def _lines(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None)
    last = statement.end_lineno or statement.lineno
    return statement.lineno, max(statement.lineno, body[0].lineno - 1) if body else last


def _places(tree: ast.Module) -> Iterator[_Place]:
    """Yield the nodes that mean something when they run, a statement before what is in it."""
    for statement in tree.body:
        yield from _below(statement, statement, "", "")


def _below(node: ast.AST, statement: ast.stmt, function: str, scope: str) -> Iterator[_Place]:
    if isinstance(node, _WITHOUT_MEANING) or _is_text_alone(node) or _is_for_annotations(node):
        return
    yield _Place(node, statement, function)
    named = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    inner = ".".join(filter(None, (scope, node.name))) if named else scope
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "target", "targets"}:
            continue
        runs = name == "body" and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant):
                continue
            if isinstance(child, ast.AST):
                around = child if isinstance(child, ast.stmt) else statement
                yield from _below(child, around, inner if runs else function, inner)


def _is_text_alone(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_for_annotations(node: ast.AST) -> bool:
    """Tell whether a node is for readers of the code: names exported, or types."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Subscript(value=ast.Name(id="Literal")):
            return True
    return False


def _alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node may become."""
    yield from _other_statements(node) if isinstance(node, ast.stmt) else _other_values(node)


def _other_values(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare():
            yield from _compared(node)
        case ast.BoolOp():
            yield from _joined(node)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _OPERATORS:
            yield ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right)
        case ast.Constant():
            yield from map(ast.Constant, _values(node.value))
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            yield ast.Call(ast.Name(_CALLS[name], ast.Load()), node.args, node.keywords)
        case ast.IfExp() if not _has_own(node.test):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        case ast.comprehension() if node.ifs:
            yield ast.comprehension(node.target, node.iter, node.ifs[1:], node.is_async)


def _other_statements(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.AugAssign() if type(node.op) in _OPERATORS:
            yield ast.AugAssign(node.target, _OPERATORS[type(node.op)](), node.value)
        case ast.If() | ast.While() if not _has_own(node.test):
            yield type(node)(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        case ast.Return(value=ast.expr() as value) if not _is_no(value):
            yield ast.Return(ast.Constant(None))
        case ast.Expr():
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _compared(node: ast.Compare) -> Iterator[ast.Compare]:
    for index, op in enumerate(node.ops):
        for other in _COMPARISONS[type(op)]:
            ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
            yield ast.Compare(node.left, ops, node.comparators)


def _joined(node: ast.BoolOp) -> Iterator[ast.expr]:
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for index in range(len(node.values)):
        rest = [*node.values[:index], *node.values[index + 1 :]]
        yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _values(value: object) -> Iterator[object]:
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
            yield value - 1
        case float():
            yield value * 2 + 1
        case str():
            yield f"{value}_"


def _has_own(test: ast.expr) -> bool:
    """Tell whether a condition's own alternatives have its negation among them already."""
    negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    return negated or isinstance(test, (ast.Compare, ast.BoolOp))


def _is_no(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in {None, False}

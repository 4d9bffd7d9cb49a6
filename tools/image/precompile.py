"""Compile what a run imports, inside the image while it is built.

Every run starts in a fresh container, whose file system is thrown away or read-only: a module
without bytecode is compiled again each time. Compiling everything there is would add 20 MB that
no run reads, so the modules are found by importing whatever the code of npugate imports anywhere,
late imports included. That everything imports is proved on the way.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import py_compile
import sys
from collections.abc import Iterator
from pathlib import Path

# What other packages import late, in the paths that npugate takes.
LATE = (
    "encodings.idna",
    "numpy.lib.format",
    "numpy.random",
    "onnx.external_data_helper",
    "pickle",
    "traceback",
)
# Installed for people who write tests, and extras that the image leaves out; no run imports them.
ABSENT = frozenset(
    {"torch", "onnxscript", "PIL", "matplotlib", "pytest", "hypothesis", "drawsvg", "grandalf"}
)


def main() -> None:
    """Import all that npugate names, and compile what came with it."""
    spec = importlib.util.find_spec("npugate")
    if spec is None or spec.origin is None:
        raise SystemExit("npugate is not installed")
    top = Path(spec.origin).parent
    own = sorted(top.rglob("*.py"))
    left_out = {_module(path, top) for path in own if _needs_what_is_absent(path)}
    named = {name for path in own for name in _names(path)}
    for name in sorted(named.union(LATE)):
        if name.partition(".")[0] not in ABSENT and name not in left_out:
            importlib.import_module(name)
    wanted = {*own, *_imported()}
    for path in sorted(wanted):
        py_compile.compile(
            str(path),
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    sys.stdout.write(f"{len(wanted)} modules compiled\n")


def _module(path: Path, top: Path) -> str:
    return ".".join((top.name, *path.relative_to(top).with_suffix("").parts))


def _needs_what_is_absent(path: Path) -> bool:
    """Tell whether a module cannot be imported in the image, for it begins with an extra."""
    body = ast.parse(path.read_bytes()).body
    return any(name.partition(".")[0] in ABSENT for node in body for name in _imports(node))


def _names(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports; rules are files, and so no modules to import."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        yield from _imports(node)


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module


def _imported() -> list[Path]:
    origins = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return [Path(name) for name in origins if name and name.endswith(".py")]


if __name__ == "__main__":
    main()

"""Read the rule and repair files of a folder; the only place that knows where they are.

A file is imported by its location under a package name of its own, so that a folder ``checks/`` in
somebody's working directory is never imported by accident (see docs/architecture.md).
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

from npugate.errors import RegistryError
from npugate.findings import rule_names
from npugate.rules.values import Repair, Rule

_PACKAGE = Path(__file__).resolve().parents[1]
FAMILIES: Final[Mapping[int, str]] = {
    0: "the file and the run",
    1: "shapes",
    2: "operators",
    3: "types and quantisation",
    4: "memory and time",
    6: "the verdict of the vendor's compiler",
}
"""Hundreds of a rule's id -> what its rules are about. The 9 is free for rules of users."""
T = TypeVar("T")


def bundled(kind: str) -> Path:
    """Return the folder that holds the bundled files: in a wheel, else in a checkout."""
    installed = _PACKAGE / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def rules(folder: Path | None = None, package: str = "npugate.checks") -> Mapping[str, Rule]:
    """Load every rule file of a folder, ordered by id.

    Args:
        folder: None for the bundled rules.
        package: module prefix; must differ between folders.

    Raises:
        RegistryError: a file does not import, declares no RULE, or repeats an id or name; or a
            bundled rule is missing that the core reports under.
    """
    found: dict[str, Rule] = {}
    names: set[str] = set()
    for path, rule in _declared(folder or bundled("checks"), package, "RULE", Rule):
        if rule.name != path.stem.replace("_", "-"):
            raise RegistryError(f"{path}: rule name {rule.name!r} differs from the file's name")
        if rule.id in found or rule.name in names:
            raise RegistryError(f"{path}: rule {rule.id} {rule.name!r} is declared twice")
        found[rule.id] = rule
        names.add(rule.name)
    if folder is None and (missing := rule_names.ALL - names):
        raise RegistryError(f"the core names rules that do not exist: {', '.join(sorted(missing))}")
    return dict(sorted(found.items()))


def repairs(folder: Path | None = None, package: str = "npugate.fixers") -> Mapping[str, Repair]:
    """Load every repair file of a folder, by name.

    Args:
        folder: None for the bundled repairs.
        package: module prefix; must differ between folders.

    Raises:
        RegistryError: a file does not import, declares no REPAIR or nothing to do, or names a
            repair that does not exist.
    """
    found: dict[str, Repair] = {}
    for path, repair in _declared(folder or bundled("fixers"), package, "REPAIR", Repair):
        if repair.name != path.stem.replace("_", "-"):
            raise RegistryError(f"{path}: repair name {repair.name!r} differs from the file's name")
        if (repair.edit is None) == (repair.edit_message is None):
            raise RegistryError(f"{path}: give one of 'edit' and 'edit_message'")
        if repair.legalises and repair.edit_message is None:
            raise RegistryError(f"{path}: what makes a file legal needs 'edit_message'")
        found[repair.name] = repair
    for repair in found.values():
        for other in (*repair.after, *repair.needs):
            if other not in found:
                raise RegistryError(f"repair {repair.name!r} names {other!r}, which does not exist")
    return found


def _declared(folder: Path, package: str, name: str, kind: type[T]) -> Iterator[tuple[Path, T]]:
    for path, module in _modules(folder, package):
        value = getattr(module, name, None)
        if not isinstance(value, kind):
            raise RegistryError(f"{path}: declares no {name}")
        yield path, value


def _modules(folder: Path, package: str) -> Iterator[tuple[Path, ModuleType]]:
    for path in sorted(folder.glob("[a-z]*.py")):
        name = f"{package}.{path.stem}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is None or spec.loader is None:
                raise RegistryError(f"{path}: not importable")
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except Exception as error:
                # A half-made module must not be returned by the next attempt.
                del sys.modules[name]
                raise RegistryError(f"{path}: {error!r}") from error
        yield path, sys.modules[name]

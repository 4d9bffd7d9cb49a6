"""Read a target profile: what a chip and its compiler accept, as data with sources.

A profile is one TOML file in ``data/``; ``rows`` says what a row holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from npugate.errors import TargetError
from npugate.target.file import FOLDER, ProfileFile, bundled, hint, holds, key_of, listed, read
from npugate.target.rows import (
    Confidence,
    Constraint,
    Limit,
    Operator,
    Reference,
    Region,
    Row,
    RunsOn,
    Toolchain,
    Trap,
)
from npugate.target.values import Target

__all__ = [
    "FOLDER",
    "Confidence",
    "Constraint",
    "Limit",
    "Operator",
    "Reference",
    "Region",
    "RunsOn",
    "Target",
    "Toolchain",
    "Trap",
    "load",
    "names",
]
T = TypeVar("T", bound=Row)


def names() -> tuple[str, ...]:
    """Return the names of the bundled profiles, sorted."""
    return bundled()


def load(name: str, toolchain: str | None = None) -> Target:
    """Read a profile and narrow it to one toolchain.

    Args:
        name: a bundled profile, or the path of a profile file (it ends in ``.toml``).
        toolchain: a version that the profile lists; None for its default.

    Raises:
        TargetError: the profile is missing or malformed, or does not list the toolchain.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not name.endswith(".toml") and name not in names():
        raise TargetError(f"no target {name!r}{hint(name, names())}; there are: {listed(names())}")
    file = read(path)
    version = toolchain or file.default
    versions = [item.version for item in file.versions]
    if version not in versions:
        raise TargetError(
            f"target {file.name!r} has no toolchain {version!r}{hint(version, versions)};"
            f" it lists: {listed(versions)}"
        )
    return _narrow(file, version)


def _narrow(file: ProfileFile, version: str) -> Target:
    def rows(section: str, kind: type[T]) -> dict[str, T]:
        """Take the rows that hold for the version; a later row of one key replaces the first."""
        return {
            key_of(row): row
            for row in file.every(section)
            if isinstance(row, kind) and holds(row, version)
        }

    constraints: dict[str, tuple[Constraint, ...]] = {}
    for row in rows("constraints", Constraint).values():
        for op_type in row.op_types:
            constraints[op_type] = (*constraints.get(op_type, ()), row)
    operators = rows("operators", Operator).values()
    return Target(
        name=file.name,
        title=file.title,
        toolchain=version,
        toolchains=file.versions,
        npu=file.npu,
        limits=rows("limits", Limit),
        operators={(row.domain, row.op_type): row for row in operators},
        constraints=constraints,
        traps=rows("traps", Trap),
        regions=tuple(rows("regions", Region).values()),
        references=rows("references", Reference),
    )

"""Read a target profile: what a chip and its compiler accept, as data with sources.

A profile is one TOML file in ``targets/``, see ``targetrows`` for what a row holds. Rules take
numbers from here and hold none of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, field

from npugate.errors import TargetError
from npugate.estimate.boards import Board
from npugate.estimate.sizes import Budget
from npugate.targetfile import FOLDER, ProfileFile, bundled, hint, holds, key_of, listed, read
from npugate.targetrows import (
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


class Target(Struct, frozen=True):
    """One profile, narrowed to one toolchain.

    Attributes:
        board: whose memories are filled; None for the default one.
        budget: what the estimate must keep to.
    """

    name: str
    title: str
    toolchain: str
    toolchains: tuple[Toolchain, ...]
    npu: bool
    limits: Mapping[str, Limit]
    operators: Mapping[tuple[str, str], Operator]
    constraints: Mapping[str, tuple[Constraint, ...]]
    traps: Mapping[str, Trap]
    regions: tuple[Region, ...]
    references: Mapping[str, Reference]
    board: Board | None = None
    budget: Budget = field(default_factory=Budget)

    def limit(self, name: str) -> Limit | None:
        """Return the limit of this name; None when the target has none."""
        return self.limits.get(name)

    def operator(self, op_type: str, domain: str = "") -> Operator | None:
        """Return the row of an operator; None when the table does not list it."""
        return self.operators.get((domain, op_type))


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

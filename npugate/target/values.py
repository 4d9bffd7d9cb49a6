"""What a chip and its compiler accept, as the rules see it.

Rules take numbers from here and hold none of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from npugate.target.memories import Board
from npugate.target.rows import Constraint, Limit, Operator, Reference, Region, Toolchain, Trap
from npugate.units import Budget


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

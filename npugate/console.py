"""What the program may touch of its surroundings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from msgspec import Struct


class Console(Struct, frozen=True):
    """What the program may touch of its surroundings.

    Attributes:
        environment: variables; passed on to git.
        stdout: the report, alone.
        stderr: log, progress, errors.
    """

    environment: Mapping[str, str]
    stdout: TextIO
    stderr: TextIO

    @property
    def colour(self) -> bool:
        """True when the report may be coloured (NO_COLOR and FORCE_COLOR are respected)."""
        if self.environment.get("NO_COLOR"):
            return False
        return bool(self.environment.get("FORCE_COLOR")) or self.stdout.isatty()

    @property
    def progress(self) -> bool:
        """True when somebody is watching."""
        return self.stderr.isatty() and not self.environment.get("CI")

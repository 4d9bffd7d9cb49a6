"""Everything npugate raises on purpose; each class knows the exit code it ends the run with."""

from __future__ import annotations

from typing import ClassVar


class NpugateError(Exception):
    """A failure whose text is meant for the user: what happened, where, and what to do."""

    exit_code: ClassVar[int] = 3


class UsageError(NpugateError):
    """The command line, the configuration or the file list must be changed by the user."""

    exit_code = 2


class TargetError(UsageError):
    """A target profile is missing, malformed, or does not know the toolchain asked for."""


class RegistryError(NpugateError):
    """A rule or repair file cannot be loaded or breaks the convention."""


class ModelError(NpugateError):
    """A model file cannot be read at all; past the loader it becomes a finding of ``rule``.

    Attributes:
        rule: kebab-case name of the rule under which the finding is reported.
    """

    exit_code = 1

    def __init__(self, rule: str, message: str) -> None:
        """Keep the rule's name beside the message."""
        super().__init__(message)
        self.rule = rule

"""Every setting of a run, read and checked once; nothing later asks the environment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from npugate.findings.values import Severity
from npugate.limits import Limits
from npugate.model.tracked import Tracked
from npugate.report.compiled import Ask
from npugate.repository.discover import Search
from npugate.rules.values import Repair
from npugate.surgery.results import RepairOptions
from npugate.target.boards import DEFAULT_BOARD
from npugate.units import Budget

if TYPE_CHECKING:  # annotations only: it imports numpy
    from npugate.facts import Array

DEFAULT_TARGET: Final = "stm32n6"
THRESHOLDS: Final[Mapping[str, Severity | None]] = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "never": None,
}


class Ignore(Struct, frozen=True):
    """A finding that the team has decided to live with.

    Attributes:
        rules: rule ids.
        paths: globs on the reported path; empty means every model.
        node: glob on the node's name; empty means every node.
        reason: why; shown in the reports.
        expires: last day on which it holds; None for ever.
    """

    rules: frozenset[str]
    reason: str
    paths: tuple[str, ...] = ()
    node: str = ""
    expires: dt.date | None = None


class CheckSettings(Struct, frozen=True):
    """What a model is checked by; None and empty mean: as the settings around it say.

    Attributes:
        select: rule ids that run; None for all.
        ignore: rule ids that do not.
        severity: level by rule id; None there switches the rule off.
        threshold: key of ``THRESHOLDS``.
        shapes: name of an input -> the shape that a repair gives it.
        board: a name or the path of a pool file; of the NPU targets.
        budget: what the estimate must keep to.
    """

    target: str | None = None
    toolchain: str | None = None
    select: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    severity: Mapping[str, Severity | None] = field(default_factory=dict)
    threshold: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    board: str | None = None
    budget: Budget = field(default_factory=Budget)

    def over(self, base: CheckSettings) -> CheckSettings:
        """Return these settings on top of others."""
        target = self.target or base.target
        same = self.target is None or self.target == base.target
        return CheckSettings(
            target,
            self.toolchain or (base.toolchain if same else None),
            base.select if self.select is None else self.select,
            base.ignore | self.ignore,
            {**base.severity, **self.severity},
            self.threshold or base.threshold,
            {**base.shapes, **self.shapes},
            self.board or base.board,
            self.budget.over(base.budget),
        )


class PathSection(Struct, frozen=True):
    """Settings for some paths."""

    paths: tuple[str, ...]
    check_settings: CheckSettings


class Settings(Struct, frozen=True):
    """What a configuration file says.

    Attributes:
        check_settings: for every model.
        sections: for some models; a later one wins.
        ignores: what does not count.
        exclude: globs of models that are left out.
        untracked_weights: globs of models that git tracks, whose weights it need not track.
        baseline: path of the baseline, from the file's folder.
        may_leave: False makes a run fail when a model leaves the gate.
    """

    check_settings: CheckSettings = field(default_factory=CheckSettings)
    sections: tuple[PathSection, ...] = ()
    ignores: tuple[Ignore, ...] = ()
    exclude: tuple[str, ...] = ()
    untracked_weights: tuple[str, ...] = ()
    baseline: Path | None = None
    may_leave: bool = True

    def files(self) -> Iterator[Path]:
        """Yield the files that the configuration names."""
        if self.baseline is not None:
            yield self.baseline
        for check_settings in (
            self.check_settings,
            *(section.check_settings for section in self.sections),
        ):
            for name in (check_settings.target or "", check_settings.board or ""):
                if name.endswith((".toml", ".mpool")):
                    yield Path(name)


class Policy(Struct, frozen=True):
    """Settings that a run is checked by: those of a configuration file, and what wins over them.

    Attributes:
        settings: of the file.
        command: of the command line.
        baseline: known findings; None for none.
    """

    settings: Settings = field(default_factory=Settings)
    command: CheckSettings = field(default_factory=CheckSettings)
    baseline: Path | None = None

    def check_settings(self, path: str) -> CheckSettings:
        """Return what one model is checked by."""
        found = self.settings.check_settings
        for section in self.settings.sections:
            if any(matches(path, pattern) for pattern in section.paths):
                found = section.check_settings.over(found)
        base = CheckSettings(target=DEFAULT_TARGET, threshold="error", board=DEFAULT_BOARD)
        return self.command.over(found.over(base))

    def excludes(self, path: str) -> bool:
        """Tell whether a model is left out."""
        return any(matches(path, pattern) for pattern in self.settings.exclude)


class RepairRequest(Struct, frozen=True):
    """What ``fix`` does beside checking.

    Attributes:
        repairs: every repair, by name.
        options: of the repairs.
        selected: names of repairs to try; None for those that findings call for.
        data: a user's inputs for the proof, by name.
    """

    repairs: Mapping[str, Repair]
    options: RepairOptions = field(default_factory=RepairOptions)
    selected: frozenset[str] | None = None
    data: Mapping[str, Array] | None = None


class Options(Struct, frozen=True):
    """A run of ``check`` or ``fix``.

    Attributes:
        search: where the models are.
        settings: of the configuration file.
        command: of the command line; wins over the file.
        baseline: known findings; None for none.
        write_baseline: where to record the findings of this run; None not to.
        today: for ignores that expire.
        jobs: models at a time; None for one on each core.
        progress: called with (done, all) after each model.
        repair_request: None to check only.
        base: a git revision whose versions of the models are compared with; empty for none.
        base_folder: the same versions, below a folder by their paths; None for none.
        new_only: findings that the base has do not count.
        pictured: a report draws the graphs, so they are kept.
        ask: asks the vendor's compiler about each model that can be read; None runs no compiler.
        remarks: sentences for the report that the settings led to.
        tracked: what git tracks, as it said elsewhere; None to ask it.
        may_leave: as in the settings; False wins.
        also: policies beside these settings; each model is checked under all, the strictest wins.
    """

    search: Search
    settings: Settings = field(default_factory=Settings)
    command: CheckSettings = field(default_factory=CheckSettings)
    baseline: Path | None = None
    write_baseline: Path | None = None
    today: dt.date = dt.date.max
    jobs: int | None = None
    limits: Limits = field(default_factory=Limits)
    progress: Callable[[int, int], None] = lambda _done, _all: None
    repair_request: RepairRequest | None = None
    base: str = ""
    base_folder: Path | None = None
    new_only: bool = True
    pictured: bool = False
    ask: Ask | None = None
    remarks: tuple[str, ...] = ()
    tracked: Tracked | None = None
    may_leave: bool = True
    also: tuple[Policy, ...] = ()

    @property
    def policies(self) -> tuple[Policy, ...]:
        """Every policy, that of these settings first."""
        return (Policy(self.settings, self.command, self.baseline), *self.also)

    def check_settings(self, path: str) -> CheckSettings:
        """Return what one model is checked by, as far as these settings go."""
        return self.policies[0].check_settings(path)


def matches(path: str, pattern: str) -> bool:
    """Match a reported path with a glob: ``**`` spans folders; a bare name matches anywhere."""
    parts = PurePosixPath(pattern).parts
    if len(parts) == 1:
        return PurePosixPath(path).match(pattern)
    return _match_parts(PurePosixPath(path).parts, parts)


def _match_parts(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_match_parts(path[skip:], pattern[1:]) for skip in range(len(path) + 1))
    return (
        bool(path)
        and PurePosixPath(path[0]).match(pattern[0])
        and _match_parts(path[1:], pattern[1:])
    )

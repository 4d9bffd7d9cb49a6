"""Read ``npugate.toml``, or ``[tool.npugate]`` of ``pyproject.toml``, without forgiving a typo."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from npugate import beneath, nesting
from npugate.beneath import RefusedError
from npugate.errors import UsageError
from npugate.findings.values import Severity
from npugate.rules.selection import all_ids, ids, level, suggestion
from npugate.rules.values import Rule
from npugate.settings.options import THRESHOLDS, CheckSettings, Ignore, PathSection, Settings
from npugate.units import Budget, parse_budget

FILE: Final = "npugate.toml"
_JUDGEMENT: Final = (
    *("target", "toolchain", "board", "budget", "select", "ignore", "severity", "shapes"),
    "fail-on",
)
_UNTRACKED: Final = "allow-untracked-weights"
_TOP: Final = (
    *_JUDGEMENT, "exclude", "baseline", "may-leave", "models", "ignores", "deploy", _UNTRACKED,
)  # fmt: skip
_MODELS: Final = (*_JUDGEMENT[:-1], "paths")  # one threshold holds for the whole run
_IGNORES: Final = ("rule", "paths", "node", "reason", "expires")
T = TypeVar("T")
_NAMES: Final[Mapping[type, str]] = {
    str: "a string",
    bool: "true or false",
    list: "a list of strings",
    dict: "a table",
    dt.date: "a date such as 2027-01-31",
}


def find(start: Path, root: Path) -> Path | None:
    """Return the nearest configuration file at or above a folder, not above the root."""
    folder = start
    while True:
        if (folder / FILE).is_file():
            return folder / FILE
        project = folder / "pyproject.toml"
        if project.is_file() and _section(_parse(project)) is not None:
            return project
        if folder in (root, folder.parent):
            return None
        folder = folder.parent


def load(path: Path, rules: Mapping[str, Rule]) -> Settings:
    """Read a configuration file.

    Raises:
        UsageError: it cannot be read, or has an unknown key, rule, level or a wrong type; the text
            names the file, the key and what is expected.
    """
    parsed = _parse(path)
    is_project = path.name == "pyproject.toml"
    data = _section(parsed) if is_project else parsed
    where = f"{path} [tool.npugate]" if is_project else str(path)
    if not isinstance(data, dict):
        raise UsageError(f"{where}: must be a table")
    table = _Table(where, data, rules, path.parent)
    table.only(_TOP)
    baseline = table.get("baseline", str)
    return Settings(
        table.check_settings(),
        tuple(
            PathSection(part.strings("paths", required=True), part.check_settings())
            for part in table.tables("models", _MODELS)
        ),
        tuple(part.ignored() for part in table.tables("ignores", _IGNORES)),
        table.strings("exclude"),
        table.strings(_UNTRACKED),
        path.parent / baseline if baseline else None,
        table.get("may-leave", bool) is not False,
    )


def untracked_weights(path: Path, data: bytes | None = None) -> tuple[str, ...]:
    """Return the models, as globs, whose weights git need not track; nothing else is looked at.

    Args:
        path: of the configuration file; there need not be one.
        data: what it holds, where it is not on disk.

    Raises:
        UsageError: it is no TOML, or no list of strings.
    """
    return _Table(str(path), table(path, data), {}, path.parent).strings(_UNTRACKED)


def table(path: Path, data: bytes | None = None) -> Mapping[str, object]:
    """Return what a configuration file says, unchecked; nothing where there is no such file.

    Args:
        path: of the file.
        data: what it holds, where it is not on disk.

    Raises:
        UsageError: it is no TOML.
    """
    if data is None and not path.is_file():
        return {}
    parsed: object = _parse(path, data)
    if path.name == "pyproject.toml" and isinstance(parsed, dict):
        parsed = _section(parsed)
    return parsed if isinstance(parsed, dict) else {}


def _section(project: Mapping[str, object]) -> object:
    """Return what a pyproject.toml holds for us; None when it has no such table."""
    tool = project.get("tool")
    return tool.get("npugate") if isinstance(tool, dict) else None


def _parse(path: Path, data: bytes | None = None) -> dict[str, object]:
    try:
        if data is None:
            beneath.refuse_gits(path)
            data = path.read_bytes()
        return nesting.toml_table(data)
    except RefusedError as error:
        raise UsageError(f"cannot read {path}: it {error}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no TOML: {error}") from error


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


class _Table(Struct, frozen=True):
    """One table of the file, how to name it, and the folder that its paths are relative to."""

    where: str
    data: Mapping[str, object]
    rules: Mapping[str, Rule]
    folder: Path

    def only(self, known: tuple[str, ...]) -> None:
        for key in self.data:
            if key not in known:
                raise UsageError(f"{self.where}: unknown key {key!r}{suggestion(key, known)}")

    def get(self, key: str, kind: type[T], *, required: bool = False) -> T | None:
        value = self.data.get(key)
        if value is None:
            if required:
                raise UsageError(f"{self.where}: {key!r} is missing")
            return None
        if not isinstance(value, kind) or isinstance(value, dt.datetime):  # which is a date, too
            wanted = _NAMES[kind]
            raise UsageError(f"{self.where}: {key!r} must be {wanted}, not {value!r}")
        return value

    def strings(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        value = self.get(key, list, required=required) or []
        if not all(isinstance(item, str) for item in value):
            raise UsageError(f"{self.where}: {key!r} must be a list of strings, not {value!r}")
        return tuple(value)

    def tables(self, key: str, known: tuple[str, ...]) -> list[_Table]:
        value = self.data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise UsageError(f"{self.where}: {key!r} must be written as [[{key}]] sections")
        found: list[_Table] = []
        for number, item in enumerate(value, 1):
            place = f"{self.where}: [[{key}]] {number}"
            found.append(_Table(place, item, self.rules, self.folder))
            found[-1].only(known)
        return found

    def check_settings(self) -> CheckSettings:
        threshold = self.get("fail-on", str)
        if threshold is not None and threshold not in THRESHOLDS:
            known = ", ".join(THRESHOLDS)
            raise UsageError(f"{self.where}: 'fail-on' must be one of {known}, not {threshold!r}")
        severity: dict[str, Severity | None] = {}
        for name, word in (self.get("severity", dict) or {}).items():
            if not isinstance(word, str):
                raise UsageError(f"{self.where}: severity of {name!r} must be a string")
            place = f"{self.where}: severity"
            severity |= dict.fromkeys(ids(name, self.rules, place), level(word, place))
        select = self.strings("select")
        return CheckSettings(
            self.target(),
            self.get("toolchain", str),
            all_ids(select, self.rules, f"{self.where}: select") if select else None,
            all_ids(self.strings("ignore"), self.rules, f"{self.where}: ignore"),
            severity,
            threshold,
            self.shapes(),
            self.board(),
            self.budget(),
        )

    def target(self) -> str | None:
        """Return the target; a profile file is named from the configuration's folder."""
        name = self.get("target", str)
        return str(self.folder / name) if name and name.endswith(".toml") else name

    def board(self) -> str | None:
        """Return the board; a pool file's path is from the folder of the configuration."""
        name = self.get("board", str)
        return str(self.folder / name) if name and name.endswith(".mpool") else name

    def budget(self) -> Budget:
        try:
            return parse_budget(self.get("budget", dict) or {})
        except ValueError as error:
            raise UsageError(f"{self.where}: budget: {error}") from error

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for name, dims in (self.get("shapes", dict) or {}).items():
            if not isinstance(dims, list) or not dims or not all(_is_size(dim) for dim in dims):
                wanted = f"{name!r} must be a list of positive numbers, not {dims!r}"
                raise UsageError(f"{self.where}: shapes: {wanted}")
            found[name] = tuple(dims)
        return found

    def ignored(self) -> Ignore:
        rule = self.get("rule", str, required=True) or ""
        reason = (self.get("reason", str, required=True) or "").strip()
        if not reason:
            raise UsageError(f"{self.where}: 'reason' is empty: say why {rule} may be ignored")
        return Ignore(
            ids(rule, self.rules, f"{self.where}: rule"),
            reason,
            self.strings("paths"),
            self.get("node", str) or "",
            self.get("expires", dt.date),
        )

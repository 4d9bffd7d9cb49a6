"""Read the file of a target profile strictly: what is not understood is an error, with a hint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any, Final, get_args

from msgspec import Struct

from npugate import beneath, nesting
from npugate.beneath import RefusedError
from npugate.errors import TargetError
from npugate.findings.values import Severity
from npugate.target.constraints import PREDICATES
from npugate.target.rows import (
    Confidence,
    Constraint,
    Effect,
    Limit,
    MemoryKind,
    Operator,
    Reference,
    Region,
    Row,
    RunsOn,
    Toolchain,
    Trap,
)

FOLDER: Final = Path(__file__).resolve().parent / "data"
_NO_TARGET: Final = "-errors"  # what a vendor's tool says, beside the targets that it is for
_KINDS: Final[Mapping[str, type[Row]]] = {
    "toolchains": Toolchain,
    "references": Reference,
    "limits": Limit,
    "operators": Operator,
    "constraints": Constraint,
    "traps": Trap,
    "regions": Region,
}
_CHOICES: Final = {
    "Confidence": get_args(Confidence),
    "RunsOn": get_args(RunsOn),
    "Effect": get_args(Effect),
    "MemoryKind": get_args(MemoryKind),
}
_SEVERITIES: Final = {level.label: level for level in Severity}
_HEADER: Final = {"name": str, "title": str, "npu": bool, "default": str, "extends": str}


class ProfileFile(Struct, frozen=True):
    """One profile file, checked but not yet narrowed to a toolchain.

    Attributes:
        rows: by section, in file order.
        base: the profile that this one extends.
    """

    name: str
    title: str
    npu: bool
    default: str
    rows: Mapping[str, tuple[Row, ...]]
    base: ProfileFile | None = None

    def every(self, section: str) -> Iterator[Row]:
        """Yield the rows of a section, those of the extended profile first."""
        if self.base is not None:
            yield from self.base.every(section)
        yield from self.rows[section]

    @property
    def versions(self) -> tuple[Toolchain, ...]:
        """The toolchains: the own ones, else those of the extended profile."""
        own = tuple(row for row in self.rows["toolchains"] if isinstance(row, Toolchain))
        return own or (self.base.versions if self.base is not None else ())


def bundled() -> tuple[str, ...]:
    """Return the names of the bundled profiles, sorted."""
    files = (path for path in FOLDER.glob("*.toml") if not path.stem.endswith(_NO_TARGET))
    return tuple(sorted(path.stem for path in files))


def read(path: Path, seen: tuple[Path, ...] = ()) -> ProfileFile:
    """Read one profile file and those it extends.

    Args:
        path: the file.
        seen: the files that led here by ``extends``.

    Raises:
        TargetError: names the file, the row and the key that is wrong.
    """
    try:
        if path.resolve() in seen:
            raise TargetError(f"{path}: extends itself")
        beneath.refuse_gits(path)
        data = nesting.toml_table(path.read_bytes())
    except RefusedError as error:
        raise TargetError(f"{path}: it {error}") from error
    except OSError as error:
        raise TargetError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TargetError(f"{path}: no valid TOML: {error}") from error
    _known(path.name, data, ("target", *_KINDS))
    header = _header(path.name, data.get("target"))
    base = _base(path, header.get("extends"), (*seen, path.resolve()))
    rows = {section: tuple(_rows(path.name, section, data)) for section in _KINDS}
    file = ProfileFile(
        name=str(header["name"]),
        title=str(header.get("title", base.title if base else header["name"])),
        npu=bool(header.get("npu", base.npu if base else True)),
        default=str(header.get("default", base.default if base else "")),
        rows=rows,
        base=base,
    )
    _cross_check(path.name, file)
    return file


def _base(path: Path, name: object, seen: tuple[Path, ...]) -> ProfileFile | None:
    if name is None:
        return None
    text = str(name)
    if text.endswith(".toml"):
        return read(path.parent / text, seen)
    if text not in bundled():
        raise TargetError(
            f"{path.name}: [target] extends: no target {text!r}{hint(text, bundled())}"
        )
    return read(FOLDER / f"{text}.toml", seen)


def _header(file: str, data: object) -> Mapping[str, object]:
    if not isinstance(data, dict):
        raise TargetError(f"{file}: [target] is missing")
    _known(f"{file}: [target]", data, _HEADER)
    required = ("name",) if "extends" in data else ("name", "title", "npu", "default")
    for key in required:
        if key not in data:
            raise TargetError(f"{file}: [target]: missing key {key!r}")
    for key, value in data.items():
        if not isinstance(value, _HEADER[key]):
            raise TargetError(f"{file}: [target] {key}: must be of type {_HEADER[key].__name__}")
    return data


def _rows(file: str, section: str, data: Mapping[str, object]) -> Iterator[Row]:
    """Build the rows of a section; one row of ``operators`` may name several in ``op_types``."""
    kind = _KINDS[section]
    rows = data.get(section, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TargetError(f"{file}: {section}: must be an array of tables ([[{section}]])")
    for number, row in enumerate(rows, 1):
        place = f"{file}: {section} row {number}{_label(row)}"
        if kind is not Operator:
            yield _row(place, kind, row)
            continue
        shared = {key: value for key, value in row.items() if key != "op_types"}
        if "op_types" not in row or "op_type" in row:
            raise TargetError(f"{place}: an operator row names its operators in 'op_types'")
        for op_type in _strings(f"{place}, key 'op_types'", row["op_types"]):
            yield _row(place, kind, {"op_type": op_type, **shared})


def _row(place: str, kind: type[Row], row: Mapping[str, object]) -> Row:
    allowed: Mapping[str, str] = kind.__annotations__  # in their order, as text
    optional = kind.__struct_fields__[-len(kind.__struct_defaults__) or len(allowed) :]
    _known(place, row, allowed)
    values: dict[str, Any] = {}
    for name, written in allowed.items():
        if name in row:
            values[name] = _value(f"{place}, key {name!r}", written, row[name])
        elif written.startswith("Mapping"):
            values[name] = {}
        elif name not in optional:
            raise TargetError(f"{place}: missing key {name!r}")
    return kind(**values)


def _value(place: str, kind: str, value: object) -> object:
    """Check one value against the annotation of its field and convert it."""
    if kind in _CHOICES:
        return _one_of(place, value, _CHOICES[kind])
    if kind.startswith("Severity"):
        if value == "off" and "None" in kind:
            return None
        return _SEVERITIES[_one_of(place, value, tuple(_SEVERITIES))]
    if kind.startswith("tuple"):
        return _strings(place, value)
    wanted = {"str": (str,), "int": (int,), "bool": (bool,), "float": (int, float)}.get(
        kind, (dict,)
    )
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind != "bool"):
        raise TargetError(f"{place}: must be of type {wanted[-1].__name__}, is {value!r}")
    return value


def _strings(place: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TargetError(f"{place}: must be a list of strings, is {value!r}")
    return tuple(value)


def _one_of(place: str, value: object, allowed: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        near = hint(str(value), allowed)
        raise TargetError(f"{place}: {value!r} is none of {listed(allowed)}{near}")
    return value


def _known(place: str, data: Iterable[str], allowed: Iterable[str]) -> None:
    allowed = tuple(allowed)
    for key in data:
        if key not in allowed:
            raise TargetError(f"{place}: unknown key {key!r}{hint(key, allowed)}")


def _label(row: Mapping[str, object]) -> str:
    for key in ("id", "name", "rule", "op_types", "version"):
        if key in row:
            return f" ({row[key]!r})"
    return ""


def hint(word: str, allowed: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest allowed word, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - 0.1 MB, for a typing mistake

    near = get_close_matches(word, tuple(allowed), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def listed(words: Iterable[str]) -> str:
    """Join words for a message."""
    return ", ".join(words)


def key_of(row: Row) -> str:
    """Return what makes a row unique in its section."""
    if isinstance(row, Operator):
        return f"{row.domain}.{row.op_type}" if row.domain else row.op_type
    if isinstance(row, Constraint | Reference):
        return row.id
    if isinstance(row, Trap):
        return row.rule
    return row.version if isinstance(row, Toolchain) else row.name


def holds(row: Row, version: str) -> bool:
    """Tell whether a row is for this toolchain."""
    return isinstance(row, Toolchain | Reference) or not row.toolchains or version in row.toolchains


def _cross_check(name: str, file: ProfileFile) -> None:
    """Check what one row says of another: versions, sources, predicates, overlaps."""
    versions = [item.version for item in file.versions]
    sources = [row.id for row in file.every("references") if isinstance(row, Reference)]
    if file.default not in versions:
        near = hint(file.default, versions)
        raise TargetError(f"{name}: [target] default: no toolchain {file.default!r}{near}")
    for section, rows in file.rows.items():
        taken: set[tuple[str, str]] = set()
        for row in rows:
            place = f"{name}: {section} {key_of(row)!r}"
            for version in _claimed(place, row, versions):
                if (key_of(row), version) in taken:
                    raise TargetError(f"{place}: two rows hold for toolchain {version!r}")
                taken.add((key_of(row), version))
            if not isinstance(row, Reference):
                _check_source(place, row.source, sources)
            if isinstance(row, Constraint):
                _check_predicate(place, row)


def _claimed(place: str, row: Row, versions: Sequence[str]) -> Sequence[str]:
    """Return the toolchains a row holds for, after checking that they exist."""
    if isinstance(row, Toolchain | Reference):
        return ("",)
    for key, words in (("toolchains", row.toolchains), ("carried", row.carried)):
        for version in words:
            if version not in versions:
                near = hint(version, versions)
                raise TargetError(f"{place}, key {key!r}: no toolchain {version!r}{near}")
    claimed = row.toolchains or tuple(versions)
    if not set(row.carried) <= set(claimed):
        raise TargetError(f"{place}, key 'carried': must be among {listed(claimed)}")
    return claimed


def _check_source(place: str, source: str, known: Sequence[str]) -> None:
    for part in source.split(";"):
        name = part.partition(":")[0].strip()
        if name not in known:
            raise TargetError(f"{place}, key 'source': no reference {name!r}{hint(name, known)}")


def _check_predicate(place: str, row: Constraint) -> None:
    predicate = PREDICATES.get(row.when)
    if predicate is None:
        near = hint(row.when, PREDICATES)
        raise TargetError(f"{place}, key 'when': no predicate {row.when!r}{near}")
    _known(f"{place}, key 'args'", row.args, predicate.args)
    for name, kind in predicate.args.items():
        if name not in row.args:
            if name in predicate.optional:
                continue
            raise TargetError(f"{place}, key 'args': missing {name!r}")
        if not _fits(row.args[name], kind):
            raise TargetError(f"{place}, key 'args': {name!r} must be {kind}")
    try:
        parts = [part[1:] for part in Formatter().parse(row.text) if part[1] is not None]
    except ValueError as error:
        raise TargetError(f"{place}, key 'text': {error}") from error
    for field, style, conversion in parts:
        if style or conversion:
            raise TargetError(f"{place}, key 'text': field {field!r} must be a plain {{name}}")
        if field not in predicate.fields:
            near = hint(str(field), predicate.fields) or f"; there are: {listed(predicate.fields)}"
            raise TargetError(f"{place}, key 'text': no field {field!r}{near}")


def _fits(value: object, kind: str) -> bool:
    if kind in {"int", "str"}:
        return type(value).__name__ == kind
    inner = kind.removeprefix("list of ")
    return isinstance(value, list) and all(
        type(item).__name__ in inner.split("|") for item in value
    )

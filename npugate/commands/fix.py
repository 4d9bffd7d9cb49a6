"""``npugate fix``: repair copies, write those that were verified, report what was done."""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from msgspec.structs import replace

from npugate import beneath, log
from npugate.beneath import RefusedError
from npugate.commands import check, reports, run_options
from npugate.console import Console
from npugate.errors import UsageError
from npugate.facts import Array
from npugate.model import writer
from npugate.report.values import Report
from npugate.repository import in_place
from npugate.rules import registry
from npugate.rules.selection import suggestion
from npugate.rules.values import Repair
from npugate.run import pipeline
from npugate.run.worker import Examined
from npugate.settings.options import RepairRequest
from npugate.surgery.results import RepairOptions

_KIB: Final = 1024
_LEAST_RANK: Final = 4


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Repair as the arguments say; write the reports whatever the outcome."""
    if chosen.backup and not chosen.in_place:
        raise UsageError("--backup goes with --in-place; without it the original is never touched")
    return reports.report_on(chosen, console, partial(_repaired, chosen, console))


def report_of(arguments: Sequence[str], environment: Mapping[str, str]) -> Report:
    """Fix by the arguments of the command line, ``fix`` first, for the action.

    Raises:
        NpugateError: as the command line would end with.
    """
    console = Console(environment, sys.stdout, sys.stderr)
    return _repaired(check.parsed(arguments), console, lambda _done, _all: None)


def _repaired(chosen: argparse.Namespace, console: Console, progress: reports.ProgressOf) -> Report:
    rules, repairs = registry.rules(), registry.repairs()
    options = run_options.options(chosen, rules, console, progress)
    options = run_options.with_compiler(options, chosen, console.environment)
    keep = None if chosen.dry_run else _Keeper(chosen).keep
    return pipeline.run(
        replace(options, repair_request=repair_request(chosen, repairs)), rules, keep
    )


def repair_request(chosen: argparse.Namespace, repairs: Mapping[str, Repair]) -> RepairRequest:
    """Read how to repair.

    Raises:
        UsageError: an argument must be changed.
    """
    return RepairRequest(
        repairs, _repair_options(chosen), _selected(chosen, repairs), _data(chosen)
    )


def _repair_options(chosen: argparse.Namespace) -> RepairOptions:
    if chosen.prefer_rank is not None and chosen.prefer_rank < _LEAST_RANK:
        raise UsageError(f"--prefer-rank must be at least {_LEAST_RANK}: an image has as many")
    options = RepairOptions(chosen.prefer_rank, _shapes(chosen.shape or ()), chosen.batch_strategy)
    if chosen.weight_budget is None:
        return options
    if chosen.weight_budget < 0:
        raise UsageError(f"--weight-budget must not be negative: {chosen.weight_budget}")
    return replace(options, weight_budget_bytes=chosen.weight_budget * _KIB)


def _shapes(pairs: Iterable[str]) -> Mapping[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for pair in pairs:
        name, equals, text = pair.rpartition("=")
        try:
            dims = tuple(int(part) for part in text.split(","))
        except ValueError:
            dims = ()
        if not equals or not name or not dims or any(dim < 1 for dim in dims):
            raise UsageError(f"--shape {pair}: write NAME=1,3,224,224")
        found[name] = dims
    return found


def _selected(chosen: argparse.Namespace, repairs: Mapping[str, Repair]) -> frozenset[str] | None:
    if not chosen.repairs:
        return None
    names = [name.strip() for value in chosen.repairs for name in value.split(",") if name.strip()]
    for name in names:
        if name not in repairs:
            raise UsageError(f"--select: no repair {name!r}{suggestion(name, repairs)}")
    return frozenset(names)


def _data(chosen: argparse.Namespace) -> Mapping[str, Array] | None:
    """Read the user's arrays; pickled objects are refused, since unpickling runs code.

    Returns:
        any[...] by input name; None without ``--inputs``.

    Raises:
        UsageError: the file cannot be read.
    """
    if not chosen.inputs:
        return None
    try:
        beneath.refuse_gits(Path(chosen.inputs))
        with np.load(chosen.inputs, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except RefusedError as error:
        raise UsageError(f"--inputs {chosen.inputs}: it {error}") from error
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise UsageError(f"--inputs {chosen.inputs}: no .npz file of arrays: {error}") from error


def _place(folder: Path, path: str, file: Path) -> Path:
    """Return where below a folder a repaired copy goes; never over a model that was given.

    Raises:
        UsageError: the folder is such that the copy would replace its original.
    """
    parts = [part for part in PurePosixPath(path).parts if part not in {"..", "/"}]
    target = folder.joinpath(*parts)
    if not target.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{path} would be written outside of {folder}; choose another folder")
    if target.exists() and target.samefile(file):
        raise UsageError(
            f"{folder} is where {path} itself is: choose another --output-dir, or --in-place"
        )
    return target


class _Keeper:
    """Writes the repaired models of a run, and says in a failure which it has written already."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self._written: list[str] = []

    def keep(self, path: str, file: Path, found: Examined) -> str | None:
        """Write one repaired model; return where, as reported."""
        try:
            place = _keep(self._chosen, path, file, found)
        except UsageError as error:
            if not self._written:
                raise
            done = ", ".join(self._written)
            raise UsageError(f"{error}; written before that: {done}") from error
        if place is not None:
            self._written.append(place)
        return place


def _keep(chosen: argparse.Namespace, path: str, file: Path, found: Examined) -> str | None:
    """Write one repaired model; return where, as reported."""
    repaired = found.repaired
    if repaired is None or not repaired.data:
        return None
    if not chosen.in_place:
        target = _place(Path(chosen.output_dir), path, file)
        in_place.put_copy(repaired.data, target, beside=bool(repaired.weights))
        return target.as_posix()
    if writer.digest_of(file) != found.digest:
        raise UsageError(f"{path} changed while it was repaired; it was left as it is")
    for stays in in_place.put(repaired.data, file, repaired.weights, backup=chosen.backup):
        log.warning(stays)
    return path

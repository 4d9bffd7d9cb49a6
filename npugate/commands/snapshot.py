"""``npugate snapshot``: write the text twin of each model, or tell which are stale."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Final

from msgspec import Struct

from npugate import atomic_write, beneath, escape
from npugate.beneath import RefusedError
from npugate.console import Console
from npugate.errors import ModelError, UsageError
from npugate.facts import Facts, Inference
from npugate.limits import Limits
from npugate.model import weight_digests
from npugate.model.reader import load
from npugate.model.tracked import Tracked
from npugate.repository.discover import Candidate, Search, discover
from npugate.run import tries
from npugate.sandbox import pool
from npugate.sandbox.pool import Died, Done, Raised
from npugate.settings import tracking
from npugate.snapshot import text_twin

_MARK: Final = b"npugate-snapshot/"
_LARGEST: Final = 256 << 20  # bytes of a twin
_SHOWN: Final = 5  # differing lines shown of a stale twin


class _Job(Struct, frozen=True):
    candidate: Candidate
    inference: Inference = "full"


class _Failed(Struct, frozen=True):
    """A model that has no twin, and why."""

    reason: str


_Made = str | _Failed


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Write or compare the twins; return 0, or 1 when one is stale or a model is unreadable."""
    if chosen.jobs is not None and chosen.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {chosen.jobs}")

    def tell(text: str) -> None:
        console.stderr.write(_safe(f"npugate: {text}"))

    search = Search(
        Path.cwd(),
        tuple(chosen.paths),
        allow_empty=chosen.allow_empty,
        environment=console.environment,
        stdin=sys.stdin.buffer,
        notify=tell,
    )
    status = 0
    candidates = discover(search)
    tracked = tracking.of_files([c.file for c in candidates], console.environment)
    every = _all(candidates, chosen.jobs, tracked)
    for candidate, made in zip(candidates, every, strict=True):
        if isinstance(made, _Failed):
            tell(f"error: {candidate.path}: {made.reason}")
            status = 1
            continue
        twin = twin_of(candidate.file)
        if not chosen.check:
            _guard(twin)
            atomic_write.write_text(twin, made)
            console.stdout.write(_safe(f"{candidate.path}{text_twin.SUFFIX}"))
        elif (fault := _fault(twin, made)) is not None:
            console.stdout.write(_safe(f"{candidate.path}{text_twin.SUFFIX}: {fault[0]}"))
            console.stdout.writelines(_safe(f"  {line}") for line in fault[1:])
            status = 1
    return status


def twin_of(model: Path) -> Path:
    """Return where the twin of a model is."""
    return model.with_name(model.name + text_twin.SUFFIX)


def _guard(twin: Path) -> None:
    """Refuse to write over a file that is no twin.

    Raises:
        UsageError: something else has the twin's name.
    """
    if not os.path.lexists(twin):
        return
    start = b""
    if stat.S_ISREG(twin.lstat().st_mode):
        with twin.open("rb") as file:
            start = file.read(len(_MARK))
    if start != _MARK:
        raise UsageError(f"{twin.name} is there and is no text twin: move it away")


def _safe(line: str) -> str:
    return escape.log_document(escape.visible(line)) + "\n"


def _fault(twin: Path, text: str) -> list[str] | None:
    """Say what is wrong with a twin, and its first differing lines; None when it is fresh."""
    try:
        data = beneath.read(twin.parent, twin.name, _LARGEST)
    except FileNotFoundError:
        return ["is missing: run npugate snapshot"]
    except RefusedError as error:
        return [str(error)]
    except OSError as error:
        return [f"cannot be read: {error.strerror}"]
    if data and not data.startswith(_MARK):
        return ["is no text twin: move it away"]  # its lines are not shown, it may be anything
    have = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    if have == text:
        return None
    told = ["is stale: run npugate snapshot"]
    pairs = zip_longest(have.splitlines(), text.splitlines())
    differing = [(n, old, new) for n, (old, new) in enumerate(pairs, 1) if old != new]
    for number, old, new in differing[:_SHOWN]:
        told += [f"{number}: - {old}"] if old is not None else []
        told += [f"{number}: + {new}"] if new is not None else []
    return told


def _all(candidates: tuple[Candidate, ...], jobs: int | None, tracked: Tracked) -> list[_Made]:
    """Render every model in a process of its own, again and more calmly where onnx died of it."""
    limits = Limits()
    work = partial(_make, limits=limits, tracked=tracked)
    items = [_Job(candidate) for candidate in candidates]
    settled = tries.settle(
        work,
        items,
        lambda job: tries.examining(job.candidate.file, limits),
        _again,
        jobs=jobs,
        kind=_Made,
    )
    results = {ended.index: _settled(ended.outcome) for _, ended in settled}
    return [results[index] for index in sorted(results)]


def _again(job: _Job, outcome: Died) -> _Job | None:
    following = tries.CALMER.get(job.inference)
    if following is None or not outcome.stage.startswith("shape inference"):
        return None
    return _Job(job.candidate, following)


def _settled(outcome: Done[_Made] | Died | Raised) -> _Made:
    if isinstance(outcome, Done):
        return outcome.value
    if isinstance(outcome, Died):
        return _Failed(f"it was ended during {outcome.stage or 'the start'}: {outcome.reason}")
    raise RuntimeError(outcome.text)


def _make(job: _Job, limits: Limits, tracked: Tracked) -> _Made:
    pool.stage("reading the file")
    if job.candidate.fault:
        return _Failed(job.candidate.fault)
    try:
        model = load(job.candidate.file, job.candidate.path, limits, tracked)
        pool.stage("reading the weights")
        digests = weight_digests.digests(model, limits)
    except ModelError as error:
        return _Failed(str(error))
    facts = Facts(model, limits, pool.stage, inference=job.inference)
    pool.stage("rendering")
    return text_twin.render(facts, digests).text

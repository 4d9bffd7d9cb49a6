r"""Repair whole collections of models and hold every result against its original; the long run.

::

    python tools/repair_corpus.py FOLDER... --node-tests FOLDER --generate 2000 \
        --toolchain 2.2 --output docs/repair-corpus.md

Models go through ``npugate fix`` in batches, as a user's do. What it wrote is then compared by code
of its own, which shares nothing with the proof inside npugate: other inputs, a fixed tolerance, and
for onnx's backend tests their own reference inputs and outputs. ``--select all`` tries every repair
on every model, whether a finding calls for it or not. Exit status 1 when a result is wrong, when
the program failed, or when a model lost a finding-free verdict.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from compare_models import ATOL, RTOL, compare
from random_models import write_models

from npugate.limits import Limits
from npugate.rules import registry
from npugate.sandbox import pool
from npugate.sandbox.pool import Done

_ROOT: Final = Path(__file__).resolve().parents[1]
_BATCH: Final = 100
_BATCH_SECONDS: Final = 3600
_LIMITS: Final = Limits(seconds=120.0)


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one model.

    Attributes:
        before, after: verdicts of the model as found and as repaired.
        outcomes: state by repair.
        reasons: of repairs that were declined or stayed unverified.
        repairable: True when every error has a repair that the rules name.
        compared: ``equal``, ``different: …``, ``not run: …``, or empty when nothing was written.
    """

    name: str
    before: str
    after: str
    outcomes: dict[str, str]
    reasons: tuple[tuple[str, str], ...]
    repairable: bool
    compared: str = ""


@dataclass(slots=True)
class Trouble:
    """Sentences about what must not happen."""

    lines: list[str] = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    """Repair the collections and write the page; return 1 when there was trouble."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--node-tests", type=Path, help="onnx's backend tests")
    parser.add_argument("--generate", type=int, default=0, help="random models to make and repair")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--toolchain", default="2.2")
    parser.add_argument("--select", choices=("findings", "all"), default="findings")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    trouble = Trouble()
    rows: dict[str, list[Row]] = {}
    for folder in options.folders:
        rows[folder.name] = _repair(folder, options, trouble, every=options.select == "all")
    if options.node_tests:
        rows["onnx backend tests"] = _repair(options.node_tests, options, trouble, every=True)
    if options.generate:
        with tempfile.TemporaryDirectory() as scratch:
            write_models(Path(scratch), options.generate, options.seed)
            rows["generated"] = _repair(Path(scratch), options, trouble, every=False)
    options.output.write_text("\n".join(_page(options, rows, trouble)) + "\n", encoding="utf-8")
    sys.stdout.writelines(f"{line}\n" for line in trouble.lines)
    return 1 if trouble.lines else 0


def _repair(
    folder: Path, options: argparse.Namespace, trouble: Trouble, *, every: bool
) -> list[Row]:
    files = sorted(path for path in folder.rglob("*.onnx") if path.is_file())
    rows: list[Row] = []
    for start in range(0, len(files), _BATCH):
        rows += _batch(folder, files[start : start + _BATCH], options, trouble, every=every)
    return rows


def _batch(
    folder: Path, files: list[Path], options: argparse.Namespace, trouble: Trouble, *, every: bool
) -> list[Row]:
    names = [path.relative_to(folder).as_posix() for path in files]
    with tempfile.TemporaryDirectory() as scratch:
        listed, output = Path(scratch, "files"), Path(scratch, "out")
        listed.write_bytes(b"".join(f"{name}\0".encode() for name in names))
        chosen = [f"--select={','.join(registry.repairs())}"] if every else []
        try:
            done = subprocess.run(  # noqa: S603  # our own program
                [
                    sys.executable,
                    _ROOT / "entrypoint.py",
                    "fix",
                    f"--files-from={listed}",
                    f"--toolchain={options.toolchain}",
                    f"--output-dir={output}",
                    "--format=json",
                    *chosen,
                ],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=_BATCH_SECONDS,
            )
            report = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
            trouble.lines.append(f"the batch from `{names[0]}` gave no report: {error}")
            return []
        if done.returncode not in {0, 1} or "Traceback" in done.stderr:
            trouble.lines.append(f"the batch from `{names[0]}` ended with {done.returncode}")
            trouble.lines.append(done.stderr.strip()[-2000:])
        rows = [_row(model) for model in report["models"]]
        return _compared(folder, rows, report["models"], trouble)


def _row(model: dict[str, Any]) -> Row:
    repair = model.get("repair") or {"outcomes": [], "verdict_after": model["verdict"]}
    errors = [f for f in model["findings"] if f["severity"] == "error" and not f["suppressed"]]
    return Row(
        model["path"],
        model["verdict"],
        repair["verdict_after"],
        {item["repair"]: item["state"] for item in repair["outcomes"]},
        tuple(
            (item["repair"], item["reason"])
            for item in repair["outcomes"]
            if item["state"] in {"declined", "unverified"}
        ),
        bool(errors) and all(finding["repair"] for finding in errors),
    )


def _compared(
    folder: Path, rows: list[Row], models: list[dict[str, Any]], trouble: Trouble
) -> list[Row]:
    work = [
        (folder / row.name, Path(model["repair"]["output"]))
        for row, model in zip(rows, models, strict=True)
        if (model.get("repair") or {}).get("output")
    ]
    outcomes = dict(zip([pair[0] for pair in work], pool.run(compare, work, _LIMITS), strict=True))
    found: list[Row] = []
    for row in rows:
        outcome = outcomes.get(folder / row.name)
        text = "" if outcome is None else _told(outcome)
        if text.startswith("different"):
            trouble.lines.append(f"`{row.name}`: {text}")
        if row.before == "pass" and row.after != "pass":
            trouble.lines.append(f"`{row.name}` passed before and fails after the repair")
        found.append(
            Row(row.name, row.before, row.after, row.outcomes, row.reasons, row.repairable, text)
        )
    return found


def _told(outcome: object) -> str:
    if isinstance(outcome, Done):
        return str(outcome.value)
    return f"not run: {outcome}"[:300]


def _page(
    options: argparse.Namespace, rows: dict[str, list[Row]], trouble: Trouble
) -> Iterator[str]:
    yield "# Repairs over real, reference and random models"
    yield ""
    yield f"Toolchain {options.toolchain}, {dt.datetime.now(dt.UTC).date()}, made by"
    yield ""
    collections = " ".join(folder.name for folder in options.folders)
    yield f"    python tools/repair_corpus.py {collections} --node-tests nodes \\"
    yield f"        --generate {options.generate} --output docs/repair-corpus.md"
    yield ""
    yield "Results are compared by code that shares nothing with the proof inside npugate:"
    yield f"rtol {RTOL}, atol {ATOL}, onnxruntime without optimisations; onnx's backend tests"
    yield "with their own inputs and outputs, and with every repair tried on each."
    yield ""
    yield "| collection | models | fail before | fail after | written | equal | wrong | not run |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for name, models in rows.items():
        yield _counts(name, models)
    yield ""
    yield "Models all of whose errors have a repair, and how many of them end without an error:"
    yield ""
    for name, models in rows.items():
        if name != "onnx backend tests":
            repairable = [row for row in models if row.repairable]
            done = sum(row.after == "pass" for row in repairable)
            yield f"- {name}: {done} of {len(repairable)}"
    yield ""
    yield from _reasons(rows)
    yield "## What must not happen"
    yield ""
    yield from (f"- {line}" for line in trouble.lines or ["nothing of it did"])
    yield ""
    for name, models in rows.items():
        changed = [row for row in models if row.compared and name != "generated"]
        if not changed or name == "onnx backend tests":
            continue
        yield f"## {name}"
        yield ""
        yield "| model | before | after | applied | compared |"
        yield "|---|---|---|---|---|"
        for row in changed:
            applied = ", ".join(key for key, state in row.outcomes.items() if state == "applied")
            yield f"| `{row.name}` | {row.before} | {row.after} | {applied} | {row.compared} |"
        yield ""


def _counts(name: str, models: list[Row]) -> str:
    words = Counter(row.compared.partition(":")[0] for row in models if row.compared)
    cells = [
        len(models),
        sum(row.before != "pass" for row in models),
        sum(row.after != "pass" for row in models),
        sum(words.values()),
        words["equal"],
        words["different"],
        words["not run"],
    ]
    return f"| {name} | {' | '.join(map(str, cells))} |"


def _reasons(rows: dict[str, list[Row]]) -> Iterator[str]:
    counts: Counter[tuple[str, str]] = Counter()
    for models in rows.values():
        for row in models:
            counts.update((repair, _general(reason)) for repair, reason in row.reasons)
    yield "## Declined, by reason"
    yield ""
    yield "| times | repair | reason |"
    yield "|--:|---|---|"
    for (repair, reason), count in counts.most_common(60):
        yield f"| {count} | {repair} | {reason} |"
    yield ""


def _general(reason: str) -> str:
    """Take names and figures out of a reason, so that equal ones count as one."""
    text = "'…'".join(reason.split("'")[::2])
    return "".join("#" if char.isdigit() else char for char in text).replace("|", "\\|")[:160]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

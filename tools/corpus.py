"""Check whole collections of real models and write what became of each as a page; the long run.

::

    python tools/corpus.py FOLDER... --node-tests FOLDER --toolchain 2.2 --output docs/corpus.md

Models go through the command line in batches, as a user's do. What must never happen is collected
as trouble, printed, written to the page, and makes the exit status 1: an exit code other than 0
and 1, a traceback, a model that died or ran out of time, a model without a verdict, a slow one.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

_ROOT: Final = Path(__file__).resolve().parents[1]
_BATCH: Final = 200
_BATCH_SECONDS: Final = 1800
_SLOW_SECONDS: Final = 30.0
_RAISED: Final = "NPU002"
_ENDED: Final = "NPU008"
_COLUMNS: Final = ("Model", "KB", "Nodes", "Verdict", "E", "W", "N", "Rules", "s")


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one model.

    Attributes:
        name: path below the folder that was given, without what is above it.
        kilobytes: size of the file, without external data.
        levels: number of findings by level.
        rules: rules that fired, each with its number of findings.
        errors: rules that fired as errors.
        raised: sentences about rules of ours that raised.
        ended: sentences about onnx dying of the model, in a child, with a verdict all the same.
    """

    name: str
    kilobytes: int
    nodes: int
    verdict: str
    levels: Counter[str]
    rules: Counter[str]
    errors: frozenset[str]
    raised: tuple[str, ...]
    ended: tuple[str, ...]
    seconds: float


def main(arguments: Sequence[str]) -> int:
    """Check the collections and write the page; return 1 when there was trouble."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folders", nargs="*", type=Path, help="collections, a row each model")
    parser.add_argument("--node-tests", type=Path, help="onnx's backend tests, counted only")
    parser.add_argument("--toolchain", default="2.2")
    parser.add_argument("--manifest", type=Path, help="CSV of all that a collection describes")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    trouble: list[str] = []
    rows = {folder: _check(folder, options.toolchain, trouble) for folder in options.folders}
    tests = _check(options.node_tests, options.toolchain, trouble) if options.node_tests else []
    ended = [
        f"`{row.name}`: {why}"
        for each in [*rows.values(), tests]
        for row in each
        for why in row.ended
    ]
    lines = [*_head(options, rows, tests), *_troubles(trouble, ended)]
    for folder, models in rows.items():
        lines += _collection(_label(folder), models)
    lines += _counts("Rules over the real models", [row for each in rows.values() for row in each])
    if tests:
        lines += _counts("onnx's backend tests", tests)
    options.output.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    sys.stdout.writelines(f"{line}\n" for line in trouble)
    return 1 if trouble else 0


def _check(folder: Path, toolchain: str, trouble: list[str]) -> list[Row]:
    files = sorted(path for path in folder.rglob("*.onnx") if path.is_file())
    if not files:
        trouble.append(f"`{_label(folder)}` holds no model")
    rows = []
    for start in range(0, len(files), _BATCH):
        rows += _batch(folder, files[start : start + _BATCH], toolchain, trouble)
    return rows


def _batch(folder: Path, files: list[Path], toolchain: str, trouble: list[str]) -> list[Row]:
    """Check some models by one run of the program, in the folder, so that paths are public."""
    names = [path.relative_to(folder).as_posix() for path in files]
    with tempfile.TemporaryDirectory() as scratch:
        listed, junit = Path(scratch, "files"), Path(scratch, "junit.xml")
        listed.write_bytes(b"".join(f"{name}\0".encode() for name in names))
        arguments = ["check", "--files-from", str(listed), "--toolchain", toolchain]
        outputs = ["--format", "json", "--report", f"junit={junit}"]
        try:
            done = subprocess.run(  # noqa: S603  # our own program
                [sys.executable, _ROOT / "entrypoint.py", *arguments, *outputs],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=_BATCH_SECONDS,
            )
        except subprocess.TimeoutExpired:
            trouble.append(f"the batch from `{names[0]}` took longer than {_BATCH_SECONDS} s")
            return []
        if done.returncode not in (0, 1) or "Traceback" in done.stderr:
            last = done.stderr.strip().rpartition("\n")[2]
            trouble.append(f"the batch from `{names[0]}` ended with {done.returncode}: {last}")
        if not done.stdout.startswith("{"):
            trouble += [f"`{name}` has no verdict" for name in names]
            return []
        rows = list(_rows(json.loads(done.stdout)["models"], _seconds(junit)))
    trouble += _odd(rows, names)
    return rows


def _seconds(junit: Path) -> dict[str, float]:
    """Return the wall clock of each model; the JSON leaves it out to be reproducible."""
    suites = ET.parse(junit).getroot().iter("testsuite")  # noqa: S314  # a report that we wrote
    return {suite.get("name", ""): float(suite.get("time", "0")) for suite in suites}


def _rows(models: Iterable[Any], seconds: dict[str, float]) -> Iterator[Row]:
    for model in models:
        findings = model["findings"]
        yield Row(
            model["path"],
            -(-(model["size_bytes"] or 0) // 1000),
            model["census"]["nodes"],
            model["verdict"],
            Counter(found["severity"] for found in findings),
            Counter(f"{found['rule']} {found['name']}" for found in findings),
            frozenset(found["rule"] for found in findings if found["severity"] == "error"),
            tuple(found["message"] for found in findings if found["rule"] == _RAISED),
            tuple(found["message"] for found in findings if found["rule"] == _ENDED),
            seconds.get(model["path"], 0.0),
        )


def _odd(rows: list[Row], names: list[str]) -> Iterator[str]:
    for name in sorted(set(names) - {row.name for row in rows}):
        yield f"`{name}` has no verdict"
    for row in rows:
        for failure in row.raised:
            yield f"`{row.name}`: {failure}"
        if row.seconds > _SLOW_SECONDS:
            yield f"`{row.name}` took {row.seconds:.1f} s"


def _head(
    options: argparse.Namespace, rows: dict[Path, list[Row]], tests: list[Row]
) -> Iterator[str]:
    """Yield the title, the command and the sums."""
    folders = [_label(folder) for folder in rows]
    tested = f" --node-tests {_label(options.node_tests)}" if options.node_tests else ""
    listed = f" --manifest {options.manifest.name}" if options.manifest else ""
    command = f"{' '.join(folders)}{tested} --toolchain {options.toolchain}{listed}"
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    yield "# Real models and what the check says of them"
    yield f"\nWritten on {today}, paths shortened to their folders' names, by\n"
    yield f"    python tools/corpus.py {command} --output docs/{options.output.name}\n"
    yield "The models are other people's; none of them is part of this project.\n"
    yield "| Collection | Models | pass | fail | unreadable | Slowest, s |"
    yield "|---|--:|--:|--:|--:|--:|"
    for label, models in zip([*folders, "backend tests"], [*rows.values(), tests], strict=True):
        verdicts = Counter(row.verdict for row in models)
        counts = " | ".join(str(verdicts[word]) for word in ("pass", "fail", "unreadable"))
        slowest = max((row.seconds for row in models), default=0.0)
        yield f"| {label} | {len(models)} | {counts} | {slowest:.2f} |"
    if options.manifest:
        yield from _missing(options.manifest, [row for each in rows.values() for row in each])


def _missing(manifest: Path, rows: list[Row]) -> Iterator[str]:
    """Yield the models that the manifest describes and that were not there to be checked."""
    described = manifest.read_text(encoding="utf-8").splitlines()[1:]
    names = [line.partition(",")[0].strip('"') for line in described]
    found = {row.name for row in rows}
    missing = [name for name in names if name not in found and name.partition("/")[2] not in found]
    end = ":\n" if missing else "."
    yield f"\n{manifest.name} describes {len(names)} models; {len(missing)} were not at hand{end}"
    yield from (f"- `{name}`" for name in missing)


def _troubles(trouble: list[str], ended: list[str]) -> Iterator[str]:
    yield "\n## Trouble\n"
    yield "A crash, a hang, a traceback, a model without a verdict or over half a minute:\n"
    yield from [f"- {sentence}" for sentence in trouble] or ["none."]
    yield "\nModels that onnx itself died of, in a child process; the check went on without it:\n"
    yield from [f"- {sentence}" for sentence in ended] or ["none."]


def _collection(label: str, rows: list[Row]) -> Iterator[str]:
    yield f"\n## {label}\n"
    yield "E, W and N count errors, warnings and notes; a rule in bold is an error.\n"
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|---|--:|--:|---|--:|--:|--:|---|--:|"
    for row in rows:
        cells = [_code(row.name), str(row.kilobytes), str(row.nodes), row.verdict]
        cells += [str(row.levels[level]) for level in ("error", "warning", "note")]
        yield f"| {' | '.join([*cells, _fired(row), f'{row.seconds:.2f}'])} |"


def _fired(row: Row) -> str:
    ids = [(key.partition(" ")[0], count) for key, count in sorted(row.rules.items())]
    return ", ".join(f"**{i}** ({n})" if i in row.errors else f"{i} ({n})" for i, n in ids)


def _counts(title: str, rows: list[Row]) -> Iterator[str]:
    fired, failed, findings = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        fired.update(row.rules.keys())
        failed.update(key for key in row.rules if key.partition(" ")[0] in row.errors)
        findings.update(row.rules)
    yield f"\n## {title}\n"
    yield f"{len(rows)} models.\n"
    yield "| Rule | Models | of these with an error | Share | Findings |"
    yield "|---|--:|--:|--:|--:|"
    for key, count in sorted(fired.items()):
        share = 100 * count / len(rows)
        yield f"| {key} | {count} | {failed[key]} | {share:.0f} % | {findings[key]} |"


def _label(folder: Path) -> str:
    """Return the name of a collection, without what is above it on this machine."""
    return folder.resolve().name


def _code(name: str) -> str:
    return f"`{name.replace('|', '/').replace('`', '')}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Change the code in small ways, and see whether the nearest tests notice.

    python tools/mutation.py [FOLDER ...] [--count 150] [--seed 0] [--least 80]

Of every folder in ``TESTS`` a sample of this many changes (tools/code_mutants.py) is taken by the
seed, and each is held against the tests of its folder. A change that no test notices has survived:
either the tests miss something, or the change means nothing; docs/mutation.md says which. Prints a
table and the survivors, ends with status 1 when fewer than ``--least`` percent were noticed.

What was found is kept in build/mutation/ and taken from there while the module is the same and,
for a survivor, the tests are: a run that was interrupted goes on where it stopped, and one after a
new test tries the survivors alone.

First the tests run once and coverage notes which test runs which line. A change is then tried in a
child of a process that has imported what is large (onnx, onnxruntime, numpy), with the tests alone
that run its statement, until one fails: those of the module's own test file first, then the fast.
A change of what runs at the import is held against every test of that file and every one that runs
anything of the module. The files stay as they are: the child imports the changed module from
memory. A program that a test starts anew has the module as it is, so what only such a test would
notice counts as survived. The evidence beside the checkout is hidden.

Two mutation testers were tried. mutmut 3.8 leaves out decorated functions, which all predicates
are. cosmic-ray 8.7 has no sample, starts a process for each change and runs the
same tests for all: with the imports, hours instead of minutes.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, TextIO

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import coverage  # noqa: E402 - after the path is set
import pytest  # noqa: E402 - after the path is set
from code_mutants import CodeMutant, mutate, sample  # noqa: E402 - after the path is set

TESTS: Final[Mapping[str, tuple[str, ...]]] = {
    "npugate/facts": ("tests/facts",),
    "npugate/target/predicates": ("tests/target",),
    "npugate/estimate": ("tests/estimate",),
    "npugate/surgery/batch": (
        "tests/surgery",
        "tests/fixers/test_fold_batch.py",
        "tests/fixers/test_samples_apart.py",
        "tests/fixers/test_take_one_sample.py",
    ),
}
_LARGE: Final = ("onnx", "onnx.checker", "onnx.reference", "onnxruntime", "numpy", "ml_dtypes",
                 "onnx_graphsurgeon", "hypothesis", "hypothesis.strategies", "msgspec")  # fmt: skip
_SURVIVED, _NOTICED, _BROKEN = 10, 11, 12  # status of a child
_STATUS: Final[Mapping[int, int]] = {
    pytest.ExitCode.OK: _SURVIVED,
    pytest.ExitCode.NO_TESTS_COLLECTED: _SURVIVED,
    pytest.ExitCode.TESTS_FAILED: _NOTICED,
    pytest.ExitCode.INTERRUPTED: _NOTICED,  # a module of the code or of the tests is no longer one
}
_OPTIONS: Final = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0",
                   "-W", "ignore::pytest.PytestAssertRewriteWarning")  # fmt: skip
_MEMORY: Final = 6 << 30  # bytes of data that a child may hold
_WALL: Final = 20  # seconds of wall clock for a second of processor
_FIELDS: Final = ("file", "function", "line", "before", "after")


class _Chosen:
    """A plugin of pytest that keeps the chosen tests, the fastest first.

    They are chosen here and not by name on the command line, since a change may rename the cases of
    a test; a name that is gone would be an error, which is no test that noticed.
    """

    def __init__(self, order: Mapping[str, int]) -> None:
        self.order = order

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self.order),
                          key=lambda item: self.order[item.nodeid])  # fmt: skip


class _Changed(importlib.machinery.SourceFileLoader):
    """Loads one module from a tree in the place of its file."""

    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        super().__init__(name, path)
        self.tree = tree

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - importlib's interface
        return compile(self.tree, self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, loader: _Changed) -> None:
        self.loader = loader

    def find_spec(
        self,
        fullname: str,
        path: object = None,  # noqa: ARG002 - importlib's interface
        target: ModuleType | None = None,  # noqa: ARG002 - as above
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.loader.name:
            return None
        folder = Path(self.loader.path).parent
        inner = [str(folder)] if self.loader.path.endswith("__init__.py") else None
        return importlib.util.spec_from_file_location(
            fullname, self.loader.path, loader=self.loader, submodule_search_locations=inner
        )


class Reach:
    """Which tests run which lines, and how long each takes."""

    def __init__(self, folder: str, tests: Sequence[str], work: Path, root: Path) -> None:
        """Run the tests once under coverage.

        Raises:
            SystemExit: a test fails as it is.
        """
        data, times = work / "coverage", work / "times.json"
        command = [sys.executable, __file__, "--measure", str(times), folder, *tests]
        environment = {**os.environ, "COVERAGE_FILE": str(data)}
        done = subprocess.run(  # noqa: S603 - this very file
            command, cwd=root, env=environment, check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise SystemExit(f"the tests of {folder} fail without a change:\n{done.stdout[-4000:]}")
        self.seconds: dict[str, float] = json.loads(times.read_text())
        read = coverage.CoverageData(str(data))
        read.read()
        self.lines = {Path(file).relative_to(root).as_posix(): read.contexts_by_lineno(file)
                      for file in read.measured_files()}  # fmt: skip

    def of(self, mutant: CodeMutant) -> list[str]:
        """Return the tests that a change is held against: of its own test file, then the fast."""
        first, last = mutant.statement
        lines = self.lines.get(mutant.file, {})
        near = [tests for line, tests in lines.items() if first <= line <= last]
        names = self._names(near)
        path = Path(mutant.file)
        own = f"{Path('tests', *path.parts[1:-1], f'test_{path.stem}.py').as_posix()}::"
        if not mutant.function or any("" in tests for tests in near):  # it runs at the import
            names = self._names(lines.values())
            names |= {name for name in self.seconds if name.startswith(own)}
        return sorted(names, key=lambda name: (not name.startswith(own), self.seconds[name], name))

    def _names(self, contexts: Iterable[Iterable[str]]) -> set[str]:
        names = {test.partition("|")[0] for tests in contexts for test in tests}
        return names & self.seconds.keys()


def attempt(mutant: CodeMutant, tests: Sequence[str], seconds: float, log: Path, root: Path) -> str:
    """Return ``killed``, ``late`` or ``survived``: what these tests say of a change.

    Raises:
        RuntimeError: the child could not run them.
    """
    if not tests:
        return "survived"
    child = os.fork()
    if not child:
        status = _BROKEN
        try:
            os.setpgid(0, 0)
            _bound(seconds, log)
            status = _judge(mutant, tests, root)
        except BaseException:  # noqa: BLE001 - a child that must not go on as its parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    with contextlib.suppress(PermissionError):
        os.setpgid(child, child)
    status = _wait(child, time.monotonic() + seconds * _WALL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tests left behind
    if os.WIFSIGNALED(status):
        late = os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGKILL}
        return "late" if late else "killed"
    answers = {_SURVIVED: "survived", _NOTICED: "killed"}
    if os.WEXITSTATUS(status) not in answers:
        raise RuntimeError(f"the tests could not be run for {mutant}:\n{log.read_text()}")
    return answers[os.WEXITSTATUS(status)]


def _wait(child: int, deadline: float) -> int:
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _bound(seconds: float, log: Path) -> None:
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (ceil(seconds), ceil(seconds) + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _judge(mutant: CodeMutant, tests: Sequence[str], root: Path) -> int:
    path = root / mutant.file
    parts = Path(mutant.file).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    sys.meta_path.insert(0, _Finder(_Changed(name, str(path), mutate(path.read_text(), mutant))))
    chosen = _Chosen({test: place for place, test in enumerate(tests)})
    files = sorted({test.partition("::")[0] for test in tests})
    code = pytest.main(["-x", *_OPTIONS, *files], plugins=[chosen])
    return _STATUS.get(code, _BROKEN)


def results(
    folder: str,
    mutants: Sequence[CodeMutant],
    work: Path,
    root: Path = ROOT,
    tests: Sequence[str] = (),
    patience: float = 10,
) -> Iterator[tuple[CodeMutant, str]]:
    """Yield each change with what became of it, from the last run where that still holds.

    Args:
        folder: the folder of the changes.
        mutants: the changes.
        work: where what was found is kept.
        root: of the project.
        tests: what is run; by default what ``TESTS`` has for the folder.
        patience: seconds of processor that the tests of a change may take beyond five times what
            they take without it.
    """
    tests = tests or TESTS[folder]
    work.mkdir(parents=True, exist_ok=True)
    store = work / "results.jsonl"
    known = {}
    if store.exists():
        known = {row["rank"]: row for row in map(json.loads, store.read_text().splitlines())}
    now = _digest(root, [path for test in tests for path in _python(root / test)])
    reach = None
    for mutant in mutants:
        code = _digest(root, [root / mutant.file])
        row = known.get(mutant.rank)
        if not row or row["code"] != code or (row["result"] == "survived" and row["tests"] != now):
            reach = reach or Reach(folder, tests, work, root)
            near = reach.of(mutant)
            seconds = patience + 5 * sum(reach.seconds[name] for name in near)
            result = attempt(mutant, near, seconds, work / "last.txt", root)
            row = {"rank": mutant.rank, "code": code, "tests": now, "result": result}
            row |= {name: getattr(mutant, name) for name in _FIELDS} | {"near": len(near)}
            with store.open("a") as out:
                out.write(json.dumps(row) + "\n")
        yield mutant, row["result"]


def _python(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _digest(root: Path, paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def measure(times: Path, folder: str, tests: Sequence[str]) -> int:
    """Run tests, leave how long each took in a file and the lines in coverage's."""
    taken: dict[str, float] = {}

    class Watch:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if not report.skipped:
                taken[report.nodeid] = taken.get(report.nodeid, 0.0) + report.duration

    options = [f"--cov={folder}", "--cov-context=test", "--cov-report="]
    code = pytest.main([*_OPTIONS, *options, *tests], plugins=[Watch()])
    times.write_text(json.dumps(taken))
    return int(code)


def run(folders: Sequence[str], count: int, seed: int, out: TextIO) -> dict[str, float]:
    """Print what became of each sample; return the percentage that was noticed, by folder."""
    survivors, shares = [], {}
    print("| folder | changes | noticed | too slow | survived | noticed % |", file=out)
    print("|---|---|---|---|---|---|", file=out)
    for folder in folders:
        mutants = sample(ROOT, folder, count, seed)
        work = ROOT / "build/mutation" / folder.replace("/", "-")
        found = list(results(folder, mutants, work))
        answers = [result for _, result in found]
        survivors += [mutant for mutant, result in found if result == "survived"]
        killed, late = answers.count("killed"), answers.count("late")
        shares[folder] = 100 * (killed + late) / max(1, len(answers))
        figures = (len(answers), killed, late, answers.count("survived"), round(shares[folder], 1))
        print(f"| `{folder}` | {' | '.join(map(str, figures))} |", file=out, flush=True)
    print("\n| place | before | after |\n|---|---|---|", file=out)
    for mutant in survivors:
        place = f"{mutant.file.removeprefix('npugate/')}:{mutant.line} {mutant.function}"
        words = [text.replace("|", "\\|").replace("\n", " ")[:100]
                 for text in (mutant.before, mutant.after)]  # fmt: skip
        print(f"| {place.strip()} | `{words[0]}` | `{words[1]}` |", file=out)
    return shares


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="Hold small changes of code against its tests.")
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help=f"of {', '.join(TESTS)}")
    parser.add_argument("--count", type=int, default=150, help="changes to a folder")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--least", type=float, default=80, help="percent that must be noticed")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    os.environ["NPUGATE_EVIDENCE"] = os.devnull
    sys.dont_write_bytecode = False  # pytest keeps the tests as it has rewritten them
    if given.measure:
        return measure(given.measure, given.folders[0], given.folders[1:])
    unknown = set(given.folders) - TESTS.keys()
    if unknown:
        parser.error(f"no tests are named for {', '.join(sorted(unknown))}")
    os.chdir(ROOT)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(ROOT / "build/mutation/hypothesis")
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for name in _LARGE:
        importlib.import_module(name)
    shares = run(given.folders or list(TESTS), given.count, given.seed, sys.stdout)
    return int(any(share < given.least for share in shares.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

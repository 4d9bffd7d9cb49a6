"""The command line: arguments in, reports and an exit code out.

This module and ``github`` are the only readers of the environment. Nothing heavy is imported before
a sub-command needs it: ``--help`` and ``--version`` load neither onnx nor numpy.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Final, TextIO

from msgspec import Struct

from npugate import __version__, arguments, log
from npugate.errors import NpugateError

FORMATS: Final = ("text", "json", "junit", "sarif", "markdown", "gitlab", "html")
STRATEGIES: Final = ("auto", "channels", "spatial", "unroll")
FIXED: Final = "npugate-fixed"
SHELLS: Final = ("bash", "zsh", "tcsh")
_INTERRUPTED: Final = 130
_CRASHED: Final = 3


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


Command = Callable[[argparse.Namespace, Console], int]
"""What ``run`` of a module in ``commands`` is: it returns the exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run npugate and return its exit code.

    Args:
        arguments: None takes those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # numpy starts a BLAS thread a core: a third of our start-up, for nothing that a check computes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    console = Console(os.environ, sys.stdout, sys.stderr)
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments, console)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough; point stdout elsewhere so that the exit stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _INTERRUPTED
    return status


def _run(arguments: Sequence[str], console: Console) -> int:
    try:
        first = arguments[0] if arguments else ""
        chosen = parser(first if first in _COMMANDS else None).parse_args(arguments)
    except SystemExit as stop:  # argparse has said why
        return stop.code if isinstance(stop.code, int) else 2
    log.set_up(console.stderr, verbose=getattr(chosen, "verbose", False))
    try:
        return _dispatch(chosen, console)
    except NpugateError as error:
        console.stderr.write(f"npugate: error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        console.stderr.write("npugate: interrupted\n")
        return _INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception:  # noqa: BLE001 - the edge: our own fault, told so that it can be reported
        versions = f"npugate {__version__}, Python {platform.python_version()}"
        console.stderr.write(
            f"npugate: this is a fault of npugate; please report it with these lines "
            f"({versions}, {platform.platform()}):\n{log.traceback()}"
        )
        return _CRASHED


_MODULES: Final = {"explain": "describe", "rules": "describe", "targets": "describe"}
"""Commands that share a module; the others have one of their own name."""


def _dispatch(chosen: argparse.Namespace, console: Console) -> int:
    """Run a command: only its module is loaded, and with it what is heavy."""
    if chosen.command == "completion":
        import shtab  # noqa: PLC0415 - needed here only

        console.stdout.write(shtab.complete(parser(), shell=chosen.shell) + "\n")
        return 0
    name = _MODULES.get(chosen.command, chosen.command)
    command: Command = import_module(f"npugate.commands.{name}").run
    return command(chosen, console)


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the command line.

    Args:
        only: the command whose arguments are wanted; the others are known by name alone, for all
            two hundred arguments take longer than reading a small model. None wants every one.
    """
    root = argparse.ArgumentParser(
        prog="npugate",
        description="Check ONNX models against what a neural accelerator can run.",
        epilog="Exit status: 0 pass, 1 findings at or above --fail-on, 2 usage, 3 our own failure.",
    )
    root.add_argument("--version", action="version", version=f"npugate {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (add, summary, description) in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=description)
        if only is None or only == name:
            add(command)
    return root


_CHECK: Final = (
    "Check models. Without PATHS: every ONNX file that git tracks below the working directory, or "
    "where there is no git, every one found below it."
)


_SELECT: Final = "try only these, whether a finding calls for them or not"
_FIX: Final = (
    "Repair models. Each repair is applied to a copy and kept only when the result is shown to "
    "compute the same numbers. Repaired models are written to a folder of their own unless "
    "--in-place is given. PATHS as for check."
)


_REPORT: Final = (
    "Show models: one page with the verdict, the graph, memory and time, that needs no server and "
    "no network. Findings do not change the exit status. PATHS as for check."
)


_WHERE: Final = "auto, off, a path, docker://IMAGE or cloud"
_STEDGEAI: Final = (
    "Run ST Edge AI Core, where you have it, on models and say what it says. PATHS as for check."
)


_SNAPSHOT: Final = (
    "Write the text twin of each model beside it, MODEL.onnx.txt: one line a node, to be committed "
    "and reviewed. PATHS as for check."
)


def _add_snapshot(snapshot: argparse.ArgumentParser) -> None:
    add = snapshot.add_argument
    add("paths", nargs="*", metavar="PATHS", help="files, folders, globs")
    add("--check", action="store_true", help="write nothing; fail when a twin is stale or missing")
    add("--allow-empty", action="store_true", help="no model is no error")
    add("--jobs", type=int, metavar="N", help="models at a time (default: one a core)")


def _add_check(check: argparse.ArgumentParser) -> None:
    add = check.add_argument
    _add_models(check)
    add("--select", action="append", metavar="RULE[,RULE]", help="run only these rules")
    add("--write-baseline", metavar="FILE", help="record the findings of this run")
    add("--stedgeai", metavar="WHERE", help=f"also ask ST's compiler: {_WHERE}")
    _add_compiler(check)
    _add_common(check)
    _add_output(check)


_COST: Final = (
    "Say of each model which operators leave the NPU, what memory it needs and how long it takes, "
    "from the ONNX file alone. PATHS as for check."
)


def _add_estimate(estimate: argparse.ArgumentParser) -> None:
    estimate.set_defaults(select=None, write_baseline=None, report=None)
    _add_models(estimate)
    estimate.add_argument("--format", choices=("text", "json"), default="text", help=_STDOUT)
    _add_common(estimate)


_STDOUT: Final = "of standard output"


def _add_report(report: argparse.ArgumentParser) -> None:
    add = report.add_argument
    report.set_defaults(select=None, write_baseline=None, format="html", report=None)
    report.set_defaults(prefer_rank=None, shape=None, weight_budget=None, repairs=None, inputs=None)
    report.set_defaults(batch_strategy="auto")
    _add_models(report)
    add("--html", metavar="FILE", help="where the page goes")
    add("--plots", metavar="DIR", help="where memory and time of each model go, as SVG")
    add("--fix", action="store_true", help="repair copies, and show before and after")
    add("--source-url", metavar="URL", default="", help=_SOURCE_URL)
    _add_common(report)


def _add_stedgeai(stedgeai: argparse.ArgumentParser) -> None:
    stedgeai.set_defaults(select=None, write_baseline=None)
    _add_models(stedgeai)
    stedgeai.add_argument("--stedgeai", metavar="WHERE", default="auto", help=_WHERE)
    _add_compiler(stedgeai)
    _add_common(stedgeai)
    _add_output(stedgeai)


def _add_compiler(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--stedgeai-accept-license", action="store_true", help="you accept ST's licence of it")
    add("--stedgeai-profile", metavar="NAME[@FILE]", help="profile of the NPU compiler")
    add("--stedgeai-timeout", type=float, metavar="SECONDS", help="for each model (600)")
    add("--input-data-type", metavar="TYPE[,TYPE]", help="float32, int8 or uint8")
    add("--output-data-type", metavar="TYPE[,TYPE]", help="float32, int8 or uint8")
    add("--inputs-ch-position", metavar="POSITION", help="chfirst or chlast")
    add("--outputs-ch-position", metavar="POSITION", help="chfirst or chlast")
    add("--record", metavar="DIR", help="keep what the compiler printed and wrote, redacted")
    add("--record-raw", action="store_true", help="with --record: keep paths and serial numbers")
    add("--replay", metavar="DIR", help="read such a record again instead of running anything")


def _add_fix(fix: argparse.ArgumentParser) -> None:
    add = fix.add_argument
    fix.set_defaults(select=None, write_baseline=None)
    _add_models(fix)
    where = fix.add_mutually_exclusive_group()
    where.add_argument("--output-dir", metavar="DIR", default=FIXED, help="default: %(default)s")
    where.add_argument("--in-place", action="store_true", help="replace each model, once verified")
    where.add_argument("--dry-run", action="store_true", help="repair and verify, write nothing")
    add("--backup", action="store_true", help="with --in-place: keep NAME.bak")
    add("--select", action="append", dest="repairs", metavar="REPAIR[,REPAIR]", help=_SELECT)
    add("--diff", action="store_true", help="print the nodes that differ")
    add("--shape", action="append", metavar="NAME=1,3,224,224", help="of an input; repeatable")
    add("--prefer-rank", type=int, metavar="N", help="largest rank wanted, if below the target's")
    add("--batch-strategy", choices=STRATEGIES, default="auto", help="default: %(default)s")
    add("--weight-budget", type=int, metavar="KIB", help="most KiB of copied int8 weights (512)")
    add("--inputs", metavar="FILE.npz", help="arrays by input name: real data for the proof")
    add("--stedgeai", metavar="WHERE", help=f"also ask ST's compiler: {_WHERE}")
    _add_compiler(fix)
    _add_common(fix)
    _add_output(fix)


def _add_models(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("paths", nargs="*", metavar="PATHS", help="files, folders, globs")
    add("--target", help="what to judge by: a name (npugate targets) or a .toml file")
    add("--toolchain", help="version of the target's compiler")
    add("--board", help="whose memories to fill: a name, or the compiler's .mpool file")


def _add_common(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--ignore", action="append", metavar="RULE[,RULE]", help="do not run these rules")
    add("--severity", action="append", metavar="RULE=LEVEL", help="error, warning, note or off")
    add("--fail-on", choices=("error", "warning", "never"), help="lowest level that fails")
    add("--baseline", metavar="FILE", help="findings in it do not count")
    add("--base", metavar="REV", help="findings that a git revision has already do not count")
    add("--base-folder", metavar="DIR", help="the same, with the old models below a folder")
    add("--all-findings", action="store_true", help="with --base: old findings count, too")
    add("--config", metavar="FILE", help="instead of the nearest npugate.toml or pyproject.toml")
    add("--files-from", metavar="FILE", help="a list of models, one a line or NUL; - for stdin")
    add("--changed-since", metavar="REV", help="only models that differ from a git revision")
    add("--changes-from", metavar="FILE", help="as git diff --name-status -z wrote it elsewhere")
    add("--allow-empty", action="store_true", help="no model is no error")
    add("--jobs", type=int, metavar="N", help="models at a time (default: one a core)")
    add("--quiet", action="store_true", help="no report on standard output")
    add("--verbose", action="store_true", help="every finding for itself, and a log on stderr")


_SOURCE_URL: Final = "what links to source lines begin with, https://HOST/OWNER/NAME/blob/REV/"


def _add_output(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--format", choices=FORMATS, default="text", help=_STDOUT)
    add("--report", action="append", metavar="FORMAT=FILE", help="also write a report; repeatable")
    add("--source-url", metavar="URL", default="", help=f"of the HTML report: {_SOURCE_URL}")
    add("--pictured", action="store_true", help=argparse.SUPPRESS)  # the action draws by itself


def _add_explain(explain: argparse.ArgumentParser) -> None:
    explain.add_argument("rule", help="id or name, for example NPU101, tensor-rank or lower-rank")


def _add_rules(rules: argparse.ArgumentParser) -> None:
    rules.add_argument("--format", choices=("text", "json"), default="text")


def _add_targets(targets: argparse.ArgumentParser) -> None:
    targets.add_argument("target", nargs="?", help="name of a target")
    targets.add_argument("--toolchain", help="version of its compiler")


def _add_completion(completion: argparse.ArgumentParser) -> None:
    completion.add_argument("shell", choices=SHELLS)


def _add_nothing(_: argparse.ArgumentParser) -> None:
    """Do nothing: these commands are told all they need by the environment."""


Add = Callable[[argparse.ArgumentParser], None]

_COMMANDS: Final[Mapping[str, tuple[Add, str, str | None]]] = {
    "check": (_add_check, "check models", _CHECK),
    "estimate": (_add_estimate, "say what models cost", _COST),
    "fix": (_add_fix, "repair models", _FIX),
    "report": (_add_report, "show models on a page", _REPORT),
    "snapshot": (_add_snapshot, "write text twins", _SNAPSHOT),
    "stedgeai": (_add_stedgeai, "ask ST's compiler", _STEDGEAI),
    "export": (arguments.add_export, "make a model of a PyTorch module", None),
    "quantize": (arguments.add_quantize, "make an int8 model", None),
    "evaluate": (arguments.add_evaluate, "compare an int8 model", None),
    "verify": (arguments.add_verify, "run a model on samples", None),
    "deploy": (arguments.add_deploy, "take a model to the board", None),
    "explain": (_add_explain, "explain a rule or a repair", None),
    "rules": (_add_rules, "list the rules", None),
    "targets": (_add_targets, "list the targets, or show one", None),
    "completion": (_add_completion, "print a shell completion script", None),
    "action": (_add_nothing, "run as a GitHub Action (reads INPUT_* and GITHUB_*)", None),
    "base": (_add_nothing, "fetch what a pull request is against (for the action)", None),
    "comment": (_add_nothing, "tell a pull request what the action found", None),
}
"""What a command is called -> what adds its arguments, its help, its description."""

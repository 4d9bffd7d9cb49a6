"""The options of the commands that judge, repair and show models; loads nothing heavy."""

from __future__ import annotations

import argparse
from typing import Final

from npugate.reporters import FILES

FORMATS: Final = tuple(FILES)


STRATEGIES: Final = ("auto", "channels", "spatial", "unroll")


FIXED: Final = "npugate-fixed"


SHELLS: Final = ("bash", "zsh", "tcsh")


_SELECT: Final = "try only these, whether a finding calls for them or not"


_WHERE: Final = "auto, off, a path, docker://IMAGE or cloud"


_BASE_SETTINGS: Final = (
    "configuration, baseline and target files of the base, below a folder: what they forbid stays "
    "forbidden"
)
_MAY_NOT_LEAVE: Final = "with a base: a model that it had checked and that is checked no more fails"
_STDOUT: Final = "of standard output"


_SOURCE_URL: Final = "what links to source lines begin with, https://HOST/OWNER/NAME/blob/REV/"


def add_snapshot(snapshot: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate snapshot``."""
    add = snapshot.add_argument
    add("paths", nargs="*", metavar="PATHS", help="files, folders, globs")
    add("--check", action="store_true", help="write nothing; fail when a twin is stale or missing")
    add("--allow-empty", action="store_true", help="no model is no error")
    add("--jobs", type=int, metavar="N", help="models at a time (default: one a core)")


def add_check(check: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate check``."""
    add = check.add_argument
    _add_models(check)
    add("--select", action="append", metavar="RULE[,RULE]", help="run only these rules")
    add("--write-baseline", metavar="FILE", help="record the findings of this run")
    add("--stedgeai", metavar="WHERE", help=f"also ask ST's compiler: {_WHERE}")
    _add_compiler(check)
    _add_common(check)
    _add_output(check)


def add_estimate(estimate: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate estimate``."""
    estimate.set_defaults(select=None, write_baseline=None, report=None)
    _add_models(estimate)
    estimate.add_argument("--format", choices=("text", "json"), default="text", help=_STDOUT)
    _add_common(estimate)


def add_report(report: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate report``."""
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


def add_stedgeai(stedgeai: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate stedgeai``."""
    stedgeai.set_defaults(select=None, write_baseline=None)
    _add_models(stedgeai)
    stedgeai.add_argument("--stedgeai", metavar="WHERE", default="auto", help=_WHERE)
    _add_compiler(stedgeai)
    _add_common(stedgeai)
    _add_output(stedgeai)


def add_fix(fix: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate fix``."""
    add = fix.add_argument
    fix.set_defaults(select=None, write_baseline=None)
    _add_models(fix)
    where = fix.add_mutually_exclusive_group()
    where.add_argument("--output-dir", metavar="DIR", default=FIXED, help="default: %(default)s")
    where.add_argument("--in-place", action="store_true", help="replace each model, once verified")
    where.add_argument("--dry-run", action="store_true", help="repair and verify, write nothing")
    add("--backup", action="store_true", help="with --in-place: keep NAME.bak of model and weights")
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


def add_explain(explain: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate explain``."""
    explain.add_argument("rule", help="id or name, for example NPU101, tensor-rank or lower-rank")


def add_rules(rules: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate rules``."""
    rules.add_argument("--format", choices=("text", "json"), default="text")


def add_targets(targets: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate targets``."""
    targets.add_argument("target", nargs="?", help="name of a target")
    targets.add_argument("--toolchain", help="version of its compiler")


def add_completion(completion: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate completion``."""
    completion.add_argument("shell", choices=SHELLS)


def add_nothing(_: argparse.ArgumentParser) -> None:
    """Do nothing: these commands take everything from the environment."""


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
    add("--base-settings", metavar="DIR", help=_BASE_SETTINGS)
    add("--may-not-leave", action="store_true", help=_MAY_NOT_LEAVE)
    add("--all-findings", action="store_true", help="with --base: old findings count, too")
    add("--config", metavar="FILE", help="instead of the nearest npugate.toml or pyproject.toml")
    add("--files-from", metavar="FILE", help="a list of models, one a line or NUL; - for stdin")
    add("--changed-since", metavar="REV", help="only models that differ from a git revision")
    add("--changes-from", metavar="FILE", help="as git diff --name-status -z wrote it elsewhere")
    add("--tracked-from", metavar="FILE", help="as git ls-files --stage -z wrote it elsewhere")
    add("--untracked-from", metavar="FILE", help=argparse.SUPPRESS)  # the base's configuration
    add("--allow-empty", action="store_true", help="no model is no error")
    add("--jobs", type=int, metavar="N", help="models at a time (default: one a core)")
    add("--quiet", action="store_true", help="no report on standard output")
    add("--verbose", action="store_true", help="every finding for itself, and a log on stderr")


def _add_output(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--format", choices=FORMATS, default="text", help=_STDOUT)
    add("--report", action="append", metavar="FORMAT=FILE", help="also write a report; repeatable")
    add("--source-url", metavar="URL", default="", help=f"of the HTML report: {_SOURCE_URL}")
    add("--pictured", action="store_true", help=argparse.SUPPRESS)  # the action draws by itself

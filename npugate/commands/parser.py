"""The command line: every command with its options; loads nothing heavy."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TextIO

from npugate import __version__, escape, streams
from npugate.commands import arguments, deployment_arguments


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an argument without what a terminal would act on."""

    def error(self, message: str) -> NoReturn:
        """End with 2 and a sentence."""
        super().error(escape.log_document(escape.visible(message, escape.DATA_LIMIT)))

    def _print_message(self, message: str, file: Any = None) -> None:  # noqa: ANN401 - as argparse has it
        """Write help or version; argparse itself would swallow that it cannot."""
        out: TextIO | None = sys.stdout  # None where the program was begun without one
        if file is out:
            streams.Output(out).write(message)
        else:
            super()._print_message(message, file)


Add = Callable[[argparse.ArgumentParser], None]


_CHECK: Final = (
    "Check models. Without PATHS: every ONNX file that git tracks below the working directory, or "
    "where there is no git, every one found below it."
)


_FIX: Final = (
    "Repair models. Each repair is applied to a copy and kept only when the result is shown to "
    "compute the same numbers. Repaired models are written to a folder of their own unless "
    "--in-place is given. PATHS as for check."
)


_REPORT: Final = (
    "Show models: one page with the verdict, the graph, memory and time, that needs no server and "
    "no network. Findings do not change the exit status. PATHS as for check."
)


_STEDGEAI: Final = (
    "Run ST Edge AI Core, where you have it, on models and say what it says. PATHS as for check."
)


_SNAPSHOT: Final = (
    "Write the text twin of each model beside it, MODEL.onnx.txt: one line a node, to be committed "
    "and reviewed. PATHS as for check."
)


_COST: Final = (
    "Say of each model which operators leave the NPU, what memory it needs and how long it takes, "
    "from the ONNX file alone. PATHS as for check."
)


COMMANDS: Final[Mapping[str, tuple[Add, str, str | None]]] = {
    "check": (arguments.add_check, "check models", _CHECK),
    "estimate": (arguments.add_estimate, "say what models cost", _COST),
    "fix": (arguments.add_fix, "repair models", _FIX),
    "report": (arguments.add_report, "show models on a page", _REPORT),
    "snapshot": (arguments.add_snapshot, "write text twins", _SNAPSHOT),
    "stedgeai": (arguments.add_stedgeai, "ask ST's compiler", _STEDGEAI),
    "export": (deployment_arguments.add_export, "make a model of a PyTorch module", None),
    "quantize": (deployment_arguments.add_quantize, "make an int8 model", None),
    "evaluate": (deployment_arguments.add_evaluate, "compare an int8 model", None),
    "verify": (deployment_arguments.add_verify, "run a model on samples", None),
    "deploy": (deployment_arguments.add_deploy, "take a model to the board", None),
    "explain": (arguments.add_explain, "explain a rule or a repair", None),
    "rules": (arguments.add_rules, "list the rules", None),
    "targets": (arguments.add_targets, "list the targets, or show one", None),
    "completion": (arguments.add_completion, "print a shell completion script", None),
    "action": (arguments.add_nothing, "run as a GitHub Action (reads INPUT_* and GITHUB_*)", None),
    "base": (arguments.add_nothing, "fetch what a pull request is against (for the action)", None),
    "comment": (arguments.add_nothing, "tell a pull request what the action found", None),
}
"""What a command is called -> what adds its arguments, its help, its description."""


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the command line.

    Args:
        only: the command whose arguments are wanted; the others are known by name alone, for all
            two hundred arguments take longer than reading a small model. None wants every one.
    """
    root = Parser(
        prog="npugate",
        description="Check ONNX models against what a neural accelerator can run.",
        epilog="Exit status: 0 pass, 1 findings at or above --fail-on, 2 usage, 3 our own failure.",
    )
    root.add_argument("--version", action="version", version=f"npugate {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (add, summary, description) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=description)
        if only is None or only == name:
            add(command)
    return root

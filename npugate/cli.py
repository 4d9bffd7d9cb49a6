"""The command line: arguments in, reports and an exit code out.

This module and ``github`` are the only readers of the environment. Nothing heavy is imported before
a sub-command needs it: ``--help`` and ``--version`` load neither onnx nor numpy.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from npugate import __version__, log
from npugate.commands.parser import COMMANDS, parser
from npugate.console import Console
from npugate.errors import NpugateError

_INTERRUPTED: Final = 130
_CRASHED: Final = 3


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
        chosen = parser(first if first in COMMANDS else None).parse_args(arguments)
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


_MODULES: Final = {
    "base": "fetch_base",
    "explain": "describe",
    "rules": "describe",
    "targets": "describe",
}
"""Commands whose module has another name; it is that of the command for the rest."""


def _dispatch(chosen: argparse.Namespace, console: Console) -> int:
    """Run a command: only its module is loaded, and with it what is heavy."""
    if chosen.command == "completion":
        import shtab  # noqa: PLC0415 - needed here only

        console.stdout.write(shtab.complete(parser(), shell=chosen.shell) + "\n")
        return 0
    name = _MODULES.get(chosen.command, chosen.command)
    command: Command = import_module(f"npugate.commands.{name}").run
    return command(chosen, console)

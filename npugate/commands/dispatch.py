"""From arguments to the command that they name, and from its errors to an exit code."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from npugate import __version__, log, streams
from npugate.commands.parser import COMMANDS, parser
from npugate.console import Console
from npugate.errors import NpugateError, UsageError

INTERRUPTED: Final = 130
_CRASHED: Final = 3
_ANYWHERE: Final = frozenset({"completion", "explain", "rules", "targets"})
"""Commands that look for no files."""

Command = Callable[[argparse.Namespace, Console], int]
"""What ``run`` of a module in ``commands`` is: it returns the exit code."""


def run(arguments: Sequence[str], console: Console) -> int:
    """Run the command that the arguments name; return the exit code.

    Raises:
        BrokenPipeError: the reader of standard output has gone.
    """
    try:
        first = arguments[0] if arguments else ""
        chosen = parser(first if first in COMMANDS else None).parse_args(arguments)
    except SystemExit as stop:  # argparse has said why
        return stop.code if isinstance(stop.code, int) else 2
    log.set_up(console.stderr, verbose=getattr(chosen, "verbose", False))
    try:
        _check_place(chosen.command)
        return _dispatch(chosen, console)
    except NpugateError as error:
        log.tell(f"error: {error}", console.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        log.tell("interrupted", console.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the edge: whose fault is it?
        if told := streams.refusal(error):
            log.tell(f"error: {told}", console.stderr)
            return UsageError.exit_code
        versions = f"npugate {__version__}, Python {platform.python_version()}"
        log.tell(
            f"this is a fault of npugate; please report it with these lines "
            f"({versions}, {platform.platform()}):\n{log.traceback()}",
            console.stderr,
        )
        return _CRASHED


def _check_place(command: str) -> None:
    """Refuse to begin in a folder that is gone.

    Raises:
        UsageError: it is, and the command looks for files from there.
    """
    if command in _ANYWHERE:
        return
    try:
        os.getcwd()  # noqa: PTH109 - pathlib is not loaded yet
    except OSError as error:
        raise UsageError(
            f"the working directory cannot be found ({error.strerror}): change to one that is there"
        ) from error


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

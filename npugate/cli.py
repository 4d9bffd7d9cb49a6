"""The command line: the process around ``commands``.

This module and ``github`` are the only readers of the environment. Nothing heavy is imported before
a sub-command needs it: ``--help`` and ``--version`` load neither onnx nor numpy.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO, cast

from npugate import log, streams
from npugate.commands import dispatch
from npugate.console import Console
from npugate.streams import OutputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run npugate and return its exit code.

    Args:
        arguments: None takes those of the process.
    """
    streams.fill_gaps()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # numpy starts a BLAS thread a core: a third of our start-up, for nothing that a check computes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    output = streams.Output(sys.stdout)
    console = Console(os.environ, cast(TextIO, output), sys.stderr or io.StringIO())
    try:
        status = dispatch.run(sys.argv[1:] if arguments is None else arguments, console)
        output.flush()
    except BrokenPipeError:  # the reader has seen enough; the exit stays quiet
        status = dispatch.INTERRUPTED
    except OutputError as error:
        log.tell(f"error: {error}", console.stderr)
        status = error.exit_code
    if output.has_failed:
        streams.give_up(sys.stdout.fileno())
    return status

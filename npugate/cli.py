"""The command line: the process around ``commands``.

This module and ``github`` are the only readers of the environment. Nothing heavy is imported before
a sub-command needs it: ``--help`` and ``--version`` load neither onnx nor numpy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from npugate.commands import dispatch
from npugate.console import Console


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
        status = dispatch.run(sys.argv[1:] if arguments is None else arguments, console)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough; point stdout elsewhere so that the exit stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return dispatch.INTERRUPTED
    return status

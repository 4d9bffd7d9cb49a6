"""Count the lines that forked children run, at a hundredth of coverage's own price.

Each check runs in a child that leaves by ``os._exit``. Coverage's patch ``_exit`` has every such
child write all lines that its parent has run so far into a database of its own, after a walk over
the sources: 0.1 to 0.3 s of processor time a child, a third of the whole suite. Here a child
forgets the lines of its parent when it starts, and leaves its own in a file that the parent
adds to what it holds. Only children of the process that runs the tests are counted so: programs
that tests start keep coverage's way.
"""

from __future__ import annotations

import marshal
import os
import sys
import tempfile
import traceback
from pathlib import Path

import coverage
import pytest

_leave = sys.modules["posix" if os.name == "posix" else "nt"]._exit  # coverage replaces os._exit


class ForkedLines:
    """A plug-in of pytest that takes the lines of children into the coverage that is measured."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._lines = measured._collector.data  # by file name, a set each
        self._tests = os.getpid()
        self._folder = tempfile.TemporaryDirectory(prefix="npugate-lines-")
        os.register_at_fork(after_in_child=self._forget)
        os._exit = self._exit

    def _forget(self) -> None:
        for lines in self._lines.values():
            lines.clear()  # in place: the tracer holds these very sets

    def _exit(self, status: int) -> None:
        try:
            if os.getpid() != self._tests:
                self._hand_over()
        except Exception:  # noqa: BLE001 - nothing may unwind into the stack of the parent
            traceback.print_exc()
        finally:
            _leave(status)

    def _hand_over(self) -> None:
        path = Path(self._folder.name) / f"{os.getpid()}-{os.urandom(4).hex()}.part"
        path.write_bytes(marshal.dumps({k: v for k, v in self._lines.copy().items() if v}))
        path.rename(path.with_suffix(".lines"))  # a child that is killed here leaves no half

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self) -> None:
        """Add what the children of this test have run."""
        for path in Path(self._folder.name).glob("*.lines"):
            for name, lines in marshal.loads(path.read_bytes()).items():  # noqa: S302 - our own
                self._lines.setdefault(name, set()).update(lines)
            path.unlink()

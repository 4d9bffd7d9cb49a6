"""The program is killed before every line that is run while a model is replaced."""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import onnx
import pytest

from npugate import atomic_write
from npugate.model import writer
from npugate.repository import file_marks, in_place, weight_readers
from tests.repository.test_in_place import named, restored, write

WRITING = {str(Path(module.__file__)) for module in (in_place, atomic_write)}
READING = {str(Path(module.__file__)) for module in (writer, weight_readers)}
MOST = 4  # files are written: of a line that comes more often, the first are enough


def traced(work, told):
    """Do work; each line of the watched files is told before it is run."""

    def trace(frame, event, _argument):
        if frame.f_code.co_filename not in WRITING | READING:
            return None
        if event == "line":
            told(frame.f_code.co_filename, frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)


def steps_of(work):
    """Return which of the lines that work runs it is to be ended at."""
    lines = []
    traced(work, lambda *line: lines.append(line))
    seen, chosen = Counter(), []
    for number, line in enumerate(lines, 1):
        seen[line] += 1
        if seen[line] <= (MOST if line[0] in WRITING else 1):
            chosen.append(number)
    return chosen


def kill_at(step, work):
    """Do work in a child that is killed before the given line of it."""
    child = os.fork()
    if child == 0:
        count = iter(range(1, step))
        traced(work, lambda *_: next(count, 0) or os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


class RewriteContext:
    """Two models that share their weights, one of which is about to be replaced."""

    def __init__(self, folder, location, *, backup):
        self.folder, self.location, self.backup = folder, location, backup
        (folder / "sub").mkdir()
        self.path, self.other = folder / "m.onnx", folder / "n.onnx"
        self.new = onnx.load(write(self.path, location)).SerializeToString()
        write(self.path, location, seed=2, size=500)
        self.old = self.whole(self.path)
        self.bytes = self.path.read_bytes(), (folder / location).read_bytes()

    @staticmethod
    def whole(path):
        return onnx.load(path).SerializeToString()

    def set(self):
        for item in [item for item in self.folder.rglob("*") if item.is_file()]:
            item.unlink()
        for place in (self.path, self.other):
            place.write_bytes(self.bytes[0])
        (self.folder / self.location).write_bytes(self.bytes[1])
        self.noted = file_marks.marks(self.folder, [self.location])

    def put(self):
        in_place.put(self.new, self.path, self.noted, backup=self.backup)

    def judge(self, step):
        """Check what the killed program left; tell whether the model is the old one."""
        found = self.whole(self.path)
        assert found in (self.old, self.new), f"step {step}: neither the old model nor the new one"
        assert self.whole(self.other) == self.old, f"step {step}: the other model"
        is_old = found == self.old
        if (self.folder / "m.onnx.bak").exists():
            restored(self.folder)
            assert self.bytes[1] == (self.folder / self.location).read_bytes()
            assert self.whole(self.path) == self.old, f"step {step}: the backup"
        else:
            assert is_old or not self.backup, f"step {step}: replaced without a backup"
        return is_old


@pytest.mark.parametrize(("location", "backup"), [("m.onnx.data", False), ("sub/w.bin", True)])
def test_whenever_it_is_killed_every_model_is_whole(tmp_path, monkeypatch, location, backup):
    monkeypatch.chdir(tmp_path)
    context = RewriteContext(tmp_path, location, backup=backup)
    context.set()
    steps, ends = steps_of(context.put), []
    for step in steps:
        context.set()
        kill_at(step, context.put)
        ends.append(context.judge(step))
        context.noted = file_marks.marks(tmp_path, named(context.path))
        context.put()  # what is left stands in nobody's way
        assert context.whole(context.path) == context.new
    assert ends == sorted(ends, reverse=True)  # the old one until a moment, then the new one
    assert set(ends) == {True, False}
    assert len(steps) > 100

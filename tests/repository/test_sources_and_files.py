"""The line of Python behind a finding, files written whole, and the level of a hit."""

import os
import subprocess

import pytest
from msgspec.structs import replace

from npugate import atomic_write
from npugate.errors import UsageError
from npugate.findings.values import Frame, Hit, Location, Severity, Source
from npugate.model.tracked import Tracked
from npugate.repository import git
from npugate.repository.source_lines import Checkout
from npugate.rules import check, registry
from npugate.target import profiles

NET = "import torch\n\n\ndef forward(x):\n    y = x + 1  # grow\n    return y.relu()\n"
GROW = "y = x + 1"


@pytest.fixture
def checkout(tmp_path):
    for name in ("pkg/net.py", "pkg/other.py", "twin/a/same.py", "twin/b/same.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NET)
    (tmp_path / "pkg/other.py").write_text("\n\n\n" + NET)
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/net.py").write_text(NET)
    return tmp_path


def frame(file, line, text=""):
    return Frame(file, line, "forward", text)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([frame("/build/7/pkg/net.py", 5, GROW)], ("pkg/net.py", 5)),
        ([frame("pkg\\net.py", 5, GROW)], ("pkg/net.py", 5)),
        ([frame("/build/pkg/net.py", 5)], ("pkg/net.py", 5)),
        ([frame("/build/pkg/net.py", 5, "y  =  x+1")], ("pkg/net.py", 5)),
        ([frame("/build/pkg/other.py", 5, GROW)], ("pkg/other.py", 8)),  # the line has moved
        ([frame("/build/pkg/net.py", 5, "y = x + 2")], None),  # the line is gone
        ([frame("/build/pkg/net.py", 99)], None),
        ([frame("/build/pkg/net.py", 0)], None),
        ([frame("/build/pkg/absent.py", 5, GROW)], None),
        ([frame("/build/twin/a/same.py", 5, GROW)], ("twin/a/same.py", 5)),
        ([frame("/build/same.py", 5, GROW)], None),  # which of the two?
        ([frame("", 5, GROW)], None),
        ([], None),
        (
            [
                frame("/usr/lib/python3.11/site-packages/torch/nn/net.py", 5, GROW),
                frame("/build/pkg/net.py", 6, "return y.relu()"),
                frame("/build/pkg/net.py", 5, GROW),
            ],
            ("pkg/net.py", 6),
        ),
    ],
)
def test_a_frame_means_the_line_that_still_reads_the_same(checkout, frames, expected):
    found = Checkout(checkout).source(frames)
    assert (found and (found.file, found.line)) == expected


LONG = """import torch


class Net(torch.nn.Module):
    def forward(
        self,
        x,
    ):
        # twice
        if x is None:
            return torch.zeros(
                1
            )
        return self.grow(x)

    def grow(self, x):
        return [y for y in (lambda z: z)(x)]


net = Net()
"""


@pytest.mark.parametrize(
    ("line", "function", "known"),
    [
        (10, "forward", True),
        (11, "forward", True),
        (12, "forward", True),
        (14, "forward", True),
        (14, "grow", False),  # another function stands there now
        (17, "grow", True),
        (17, "<listcomp>", True),
        (20, "forward", False),
        (20, "<module>", True),
        (9, "forward", False),  # a comment made nothing
        (18, "grow", False),
        (0, "<module>", False),
        (21, "<module>", False),
    ],
)
def test_without_its_text_a_line_must_still_be_in_the_function(tmp_path, line, function, known):
    (tmp_path / "net.py").write_text(LONG)
    found = Checkout(tmp_path).source([Frame("/build/net.py", line, function, "")])
    assert (found and found.line) == (line if known else None)


def test_the_line_is_shown_as_it_stands_here(checkout):
    found = Checkout(checkout).source([frame("/build/pkg/net.py", 5, GROW)])
    assert found == Source("pkg/net.py", 5, "y = x + 1  # grow")


def test_with_git_only_tracked_files_are_looked_at(checkout):
    subprocess.run(["git", "init", "-q", checkout], check=True)
    subprocess.run(["git", "-C", checkout, "add", "pkg/other.py"], check=True)
    look = Checkout(checkout, Tracked({checkout: git.index(checkout, {"PATH": os.defpath})}))
    assert look.source([frame("/build/pkg/net.py", 5, GROW)]) is None
    assert look.source([frame("/build/pkg/other.py", 8, GROW)]).file == "pkg/other.py"


def test_a_link_out_of_the_repository_is_not_read(checkout, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.py"
    outside.write_text(NET)
    (checkout / "pkg" / "secret.py").symlink_to(outside)
    assert Checkout(checkout).source([frame("/build/pkg/secret.py", 5)]) is None


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path):
    path = tmp_path / "new" / "a.txt"
    atomic_write.write_text(path, "one")
    path.chmod(0o640)
    atomic_write.write_text(path, "tw\u00f6\udcff")
    assert path.read_bytes() == "tw\u00f6\\udcff".encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("name", "data"), [("net.onnx", b"\x08\x08"), ("w.data", b"\x01\0"), ("NET.ONNX", b"")]
)
def test_a_text_takes_the_place_of_no_model(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UsageError, match="the file there is no text"):
        atomic_write.write_text(path, "a report")
    assert path.read_bytes() == data


def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        atomic_write.write_text(tmp_path / "a.txt", "one")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_what_cannot_be_written_is_refused_and_nothing_is_left_behind(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    for place in ("folder", "file/a.txt"):
        with pytest.raises(UsageError, match="cannot write"):
            atomic_write.write_text(tmp_path / place, "one")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"


def test_a_level_is_the_hits_own_else_the_targets_else_the_rules():
    rule = registry.rules()["NPU204"]
    chip = profiles.load("stm32n6", None)
    trapped = next(r for r in registry.rules().values() if r.name in chip.traps)
    plain = Hit(Location(), "text")
    own = replace(plain, severity=Severity.NOTE)
    assert check.levelled(own, trapped, chip).severity is Severity.NOTE
    assert check.levelled(plain, trapped, chip).severity is chip.traps[trapped.name].severity
    assert rule.name not in chip.traps
    assert check.levelled(plain, rule, chip).severity is rule.severity

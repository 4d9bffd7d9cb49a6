"""Files are opened below a folder by no link, and nothing of git's is."""

import os
import subprocess

import pytest

from npugate import beneath
from npugate.beneath import RefusedError

GITS = (
    ".git", ".GIT", ".Git", ".git.", ".git ", ".git. .", ".git::$INDEX_ALLOCATION", ".git:stream",
    "git~1", "GIT~2", ".g\u200cit", ".gi\u200dt", "\ufeff.git", ".g\u0131t", ".git\u206f",
)  # fmt: skip
NOT_GITS = (".gitignore", ".github", "git", "x.git", ".gitt", "git~", "agit~1", ".", "")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/w.bin").write_bytes(b"weights")
    (tmp_path / "secret").write_bytes(b"secret")
    return tmp_path


def held(folder, name):
    """Return what a file holds by each way to it, or why it is refused; all say the same."""
    found = set()
    for way in (lambda: beneath.look(folder, name), lambda: beneath.read(folder, name, 100)):
        try:
            data = way()
            found.add(data if isinstance(data, bytes) else beneath.read(folder, name, 100))
        except (RefusedError, OSError) as error:
            found.add(str(error))
    (one,) = found
    return one


@pytest.mark.parametrize("name", GITS)
def test_a_name_that_some_file_system_takes_for_gits_is_refused(folder, name):
    assert beneath.is_gits_name(name)
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "config").write_bytes(b"secret")
    assert "git's own folder" in held(folder, f"{name}/config")
    (folder / "sub" / name).write_bytes(b"gitdir: elsewhere")
    assert "git's own folder" in held(folder, f"sub/{name}")
    assert "git's own folder" in held(folder, f"./sub//./{name}")


@pytest.mark.parametrize("name", NOT_GITS)
def test_a_name_that_is_like_it_is_not(name):
    assert not beneath.is_gits_name(name)


@pytest.mark.parametrize("name", ["sub/w.bin", "./sub/w.bin", "sub//w.bin", "sub/./w.bin"])
def test_a_plain_file_is_read(folder, name):
    assert held(folder, name) == b"weights"


@pytest.mark.parametrize("name", ["../secret", "sub/../secret", "/etc/hostname", "", ".", "sub/.."])
def test_a_name_that_leads_out_is_refused(folder, name):
    assert "leads out" in held(folder, name)


def test_links_folders_and_pipes_are_refused(folder):
    (folder / "link").symlink_to("secret")
    (folder / "up").symlink_to("sub")
    os.link(folder / "secret", folder / "hard")
    os.mkfifo(folder / "pipe")
    (folder / "device").symlink_to("/dev/zero")
    assert held(folder, "link") == "is a symbolic link"
    assert held(folder, "up/w.bin") == "lies behind a symbolic link"
    assert held(folder, "hard") == "is a hard link, one of 2: replace it by a copy"
    assert held(folder, "pipe") == "is no plain file"
    assert held(folder, "sub") == "is no plain file"
    assert held(folder, "device") == "is a symbolic link"
    assert "Not a directory" in held(folder, "sub/w.bin/x")
    assert "No such file" in held(folder, "absent")


def test_a_file_that_holds_more_than_is_wanted_is_refused(folder):
    assert beneath.read(folder, "secret", 6) == b"secret"
    with pytest.raises(RefusedError, match="more than 5 bytes"):
        beneath.read(folder, "secret", 5)


@pytest.mark.parametrize("names", [("HEAD", "objects", "refs"), ("HEAD", "commondir", "gitdir")])
def test_a_repository_by_another_name_is_refused(folder, names):
    store = folder / "store"
    for name in names:
        (store / name).mkdir(parents=True)
    (store / "config").write_bytes(b"secret")
    (store / "hooks").mkdir()
    (store / "hooks/x").write_bytes(b"secret")
    assert "git's own folder" in held(folder, "store/config")
    assert "git's own folder" in held(folder, "store/hooks/x")


def test_what_only_looks_a_bit_like_a_repository_is_read(folder):
    (folder / "data/refs").mkdir(parents=True)
    (folder / "data/objects").mkdir()
    (folder / "data/w.bin").write_bytes(b"weights")
    assert held(folder, "data/w.bin") == b"weights"


def test_the_folder_itself_may_be_reached_by_a_link_and_may_not_be_gits(folder):
    (folder / "link").symlink_to("sub")
    assert held(folder / "link", "w.bin") == b"weights"
    (folder / ".git").mkdir()
    (folder / ".git/w.bin").write_bytes(b"secret")
    (folder / "sly").symlink_to(".git")
    assert "git's own folder" in held(folder / ".git", "w.bin")
    assert "git's own folder" in held(folder / "sly", "w.bin")


def test_a_work_tree_below_anothers_git_is_a_place_like_others(folder):
    run = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*run, "init", "-q"], check=True)
    subprocess.run([*run, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    subprocess.run([*run, "worktree", "add", "-q", str(folder / ".git/tree")], check=True)
    (folder / ".git/tree/w.bin").write_bytes(b"weights")
    assert held(folder / ".git/tree", "w.bin") == b"weights"


def test_what_a_user_names_may_be_a_link_but_not_gits(folder):
    (folder / ".git").mkdir()
    (folder / ".git/config").write_bytes(b"secret")
    (folder / "a").symlink_to("sub/w.bin")
    (folder / "b").symlink_to(".git/config")
    with beneath.resolved(folder / "a") as descriptor:
        assert os.read(descriptor, 100) == b"weights"
    beneath.refuse_gits(folder / "a")
    for name in ("b", ".git/config"):
        with pytest.raises(RefusedError), beneath.resolved(folder / name):
            pass
        with pytest.raises(RefusedError):
            beneath.refuse_gits(folder / name)


def swapped(monkeypatch, name, swap):
    """Put something else in place of a file or folder in the moment before it is opened."""
    real = os.open
    done = []

    def opening(path, flags, *arguments, **words):
        if path == name and not done:
            done.append(name)
            swap()
        return real(path, flags, *arguments, **words)

    monkeypatch.setattr(os, "open", opening)
    return done


def replaced(place, put):
    place.rename(place.with_name(f"{place.name}.was"))
    put(place)


@pytest.mark.parametrize(
    ("name", "put"),
    [
        ("w.bin", lambda place: place.symlink_to("../secret")),
        ("w.bin", lambda place: os.link(place.parent.parent / "secret", place)),
        ("w.bin", lambda place: place.write_bytes(b"another")),
        ("w.bin", os.mkfifo),
        ("sub", lambda place: place.symlink_to("other")),
    ],
    ids=["link", "hard link", "another file", "pipe", "folder"],
)
def test_what_is_put_in_place_between_look_and_opening_is_not_read(folder, monkeypatch, name, put):
    (folder / "other").mkdir()
    (folder / "other/w.bin").write_bytes(b"secret")
    place = folder / "sub" / name if name != "sub" else folder / "sub"
    done = swapped(monkeypatch, name, lambda: replaced(place, put))
    with pytest.raises((RefusedError, OSError)):
        beneath.read(folder, "sub/w.bin", 100)
    assert done == [name]


def test_no_descriptor_is_left_open(folder):
    def used():
        descriptor = os.open(os.devnull, os.O_RDONLY)  # the lowest that is free
        os.close(descriptor)
        return descriptor

    before = used()
    (folder / "up").symlink_to("sub")
    for name in ("sub/w.bin", "up/w.bin", "absent/x", "sub/absent", ".git/x", "sub"):
        held(folder, name)
    assert used() == before

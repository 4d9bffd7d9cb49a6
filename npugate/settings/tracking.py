"""Which files of its repository a model may read; git is queried once, before the model is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from npugate import beneath, log
from npugate.beneath import RefusedError
from npugate.errors import UsageError
from npugate.model.tracked import Tracked
from npugate.repository import git
from npugate.repository.discover import Candidate
from npugate.settings import config
from npugate.settings.options import Options, matches


def asked(
    options: Options, candidates: Iterable[Candidate], notify: Callable[[str], None]
) -> Options:
    """Return the options with what git tracks, which is asked unless it was handed over.

    Args:
        options: of the run.
        candidates: the models.
        notify: told when there is a work tree and git cannot be asked.
    """
    files = [(candidate.file, candidate.path) for candidate in candidates]
    known = options.tracked
    if known is None:
        folders = {options.search.cwd, *(file.parent for file, _ in files)}
        known = _listed(folders, options.search.environment, notify)
    exempt = _exempt(files, options.settings.untracked_weights)
    return replace(options, tracked=replace(known, exempt=exempt))


def of_files(files: Sequence[Path], environment: Mapping[str, str]) -> Tracked:
    """Return what git tracks where some models are, by the configuration of the working directory.

    Args:
        files: the models.
        environment: for git.

    Raises:
        UsageError: the configuration must be changed.
    """
    cwd = Path.cwd()
    root = git.root_above(cwd) or cwd
    found = config.find(cwd, root)
    allowed = config.untracked_weights(found) if found else ()
    known = _listed({file.parent for file in files}, environment, log.warning)
    named = [(file, Path(os.path.relpath(file, root)).as_posix()) for file in files]
    return replace(known, exempt=_exempt(named, allowed))


def refuse_strayed(
    file: Path, handed: Callable[[], Tracked | None], environment: Mapping[str, str]
) -> None:
    """Refuse what judges a change where it is a link to a file that git does not track.

    The summary shows keys and values of a configuration: a change that makes it a link to
    what a job has written would tell that.

    Args:
        file: a configuration, or what one names; there need not be one.
        handed: returns what git tracks, where that was handed over; asked only about a link.
        environment: for git, if it was not.

    Raises:
        UsageError: it is such a link.
    """
    try:
        own, real = Path(os.path.abspath(file)), Path(os.path.realpath(file))  # noqa: PTH100  # `..`
    except ValueError:  # a NUL in its name: no file has one, as whoever reads it will say
        return
    if own == real or not real.is_file():
        return
    try:
        beneath.refuse_gits(own)
    except RefusedError as error:
        raise UsageError(f"cannot read {file}: it {error}") from error
    known = handed() or _listed([own.parent], environment, log.debug)
    for parent in own.parents:
        top = Path(os.path.realpath(parent))
        if top in known.lists:  # links above it are the runner's
            if real != top / own.relative_to(parent) and not known.is_file(real):
                raise UsageError(f"{file} is a link to a file that git does not track")
            return


def allowed_by(revision: str, file: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the models whose weights git need not track, as a revision's configuration has it.

    Args:
        revision: taken is the point where it and HEAD parted.
        file: the configuration of today; one outside of the repository is no part of a change.
        environment: for git.

    Raises:
        UsageError: there is no such revision, or its configuration is no TOML.
    """
    own = Path(os.path.abspath(file))  # noqa: PTH100  # Path.absolute keeps `..`
    root, here = git.root_above(own.parent), git.root_above(Path.cwd())
    if root is None or here is None or not root.samefile(here):
        return config.untracked_weights(file)
    name = own.relative_to(root)  # as it is called: a change may make it a link to another
    try:
        commit = git.parted(root, revision, environment)
        data = git.blob(root, commit, name.as_posix(), environment)
        if own.is_symlink() and data == os.fsencode(own.readlink()):  # one that was there before
            name = Path(os.path.normpath(name.parent / os.fsdecode(data)))
            data = git.blob(root, commit, name.as_posix(), environment)
    except git.GitError:
        return ()  # it has no such file
    return config.untracked_weights(Path(file.name), data)


def _listed(
    folders: Iterable[Path], environment: Mapping[str, str], notify: Callable[[str], None]
) -> Tracked:
    lists: dict[Path, bytes] = {}
    for top in git.tops(folders):
        try:
            lists[top] = git.index(top, environment)
        except git.GitError as error:
            place = os.path.relpath(top)
            notify(
                f"what git tracks in {place} is not known ({error}): a model there names any file"
            )
    return Tracked(lists)


def _exempt(files: Iterable[tuple[Path, str]], allowed: Sequence[str]) -> frozenset[str]:
    """Return the models, of (file, reported path), that a glob of the configuration names."""
    return frozenset(
        os.path.abspath(file)  # noqa: PTH100  # Path.absolute keeps `..`
        for file, path in files
        if any(matches(path, glob) for glob in allowed)
    )

"""The tool in a container image of the user's: no network, the model read-only, always removed.

The image is never ours: ST's licence does not allow to hand the tool on. It must have ``stedgeai``
on its PATH.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from npugate.compilers.stedgeai import invocation, record
from npugate.compilers.stedgeai.invocation import BackEnd, Request
from npugate.compilers.stedgeai.record import Ended, Output, Tail
from npugate.errors import NpugateError, UsageError

if TYPE_CHECKING:  # the extra npugate[docker]
    from docker.models.containers import Container

    from docker import DockerClient

PROGRAM: Final = "stedgeai"
PLACE: Final = "/npugate"
MODEL: Final = f"{PLACE}/model"
OUTPUT: Final = f"{PLACE}/output"
WORKSPACE: Final = f"{PLACE}/workspace"

_MEMORY: Final = "8g"
_PROCESSES: Final = 512
_ANYBODY: Final = 0o777  # the image's user is not known
_ARCHIVE_BYTES: Final = 1024 * 1024 * 1024
_API_SECONDS: Final = 60


class ContainerError(NpugateError):
    """The container engine does not answer."""


def open_image(image: str) -> BackEnd:
    """Return the back end of an image that is on this machine already.

    Raises:
        UsageError: there is no such image, or the extra is not installed.
        ContainerError: the engine does not answer.
    """
    if not image or image.startswith("-"):
        raise UsageError(f"--stedgeai docker://{image}: name an image")
    try:
        from docker.errors import DockerException, ImageNotFound  # noqa: PLC0415 - the same

        import docker  # noqa: PLC0415 - an extra, needed here only
    except ImportError as error:
        text = "--stedgeai docker://... needs the extra: pip install 'npugate[docker]'"
        raise UsageError(text) from error
    try:
        client = docker.from_env(timeout=_API_SECONDS)
        client.images.get(image)
    except ImageNotFound as error:
        raise UsageError(f"there is no image {image} here; npugate pulls none") from error
    except DockerException as error:
        raise ContainerError(f"the container engine does not answer: {error}") from error
    return BackEnd("container", "", partial(_compile, client, image))


def _compile(client: DockerClient, image: str, request: Request) -> Output:
    from docker.errors import DockerException  # noqa: PLC0415 - it is there, open_image saw it
    from requests.exceptions import RequestException  # noqa: PLC0415 - what the SDK raises besides

    with tempfile.TemporaryDirectory(prefix="npugate-stedgeai-") as place:
        folder = Path(place).resolve()
        try:
            model = invocation.copy(request, folder / "model")
        except OSError as error:
            reason = f"the model cannot be copied: {error}"
            return Output("container", Ended.NOT_STARTED, reason=reason)
        _readable(folder)
        try:
            container = _created(client, image, request, model)
        except (DockerException, RequestException) as error:
            return Output("container", Ended.NOT_STARTED, reason=f"no container: {error}")
        try:
            return _run(container, request.seconds)
        except (DockerException, RequestException, tarfile.TarError) as error:
            return Output("container", Ended.NOT_STARTED, reason=f"the container failed: {error}")
        finally:
            with contextlib.suppress(DockerException, RequestException):
                container.remove(force=True, v=True)


def _readable(folder: Path) -> None:
    """Let whoever the image runs as read the model."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _created(client: DockerClient, image: str, request: Request, model: Path) -> Container:
    asked = request
    volumes = {str(model.parent): {"bind": MODEL, "mode": "ro"}}
    if request.profile:
        name, at, place = request.profile.partition("@")
        if at:  # with the files beside it, which it names
            volumes[str(Path(place).parent)] = {"bind": f"{PLACE}/profile", "mode": "ro"}
            asked = Request(
                request.model,
                request.beside,
                f"{name}@{PLACE}/profile/{Path(place).name}",
                request.shape,
                request.seconds,
            )
    container = client.containers.create(
        image,
        invocation.generate(f"{MODEL}/{model.name}", asked, OUTPUT, WORKSPACE),
        entrypoint=[PROGRAM],
        network_mode="none",
        volumes=volumes,
        working_dir=PLACE,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit=_MEMORY,
        pids_limit=_PROCESSES,
        environment={"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "HOME": WORKSPACE},
        labels={"npugate": "stedgeai"},
    )
    container.put_archive("/", _folders())
    return container


def _folders() -> bytes:
    """Return an archive with the folders that the tool writes to."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in (PLACE, OUTPUT, WORKSPACE):
            member = tarfile.TarInfo(name.lstrip("/"))
            member.type, member.mode = tarfile.DIRTYPE, _ANYBODY
            archive.addfile(member)
    return buffer.getvalue()


def _run(container: Container, seconds: float) -> Output:
    from requests.exceptions import ConnectionError as Lost  # noqa: PLC0415 - see above
    from requests.exceptions import ReadTimeout  # noqa: PLC0415 - see above

    start = monotonic()
    container.start()
    status: int | None = None
    try:
        status = int(container.wait(timeout=seconds)["StatusCode"])
        ended, reason = Ended.EXIT, ""
    except (ReadTimeout, Lost):
        container.kill()
        ended, reason = Ended.TIME_OUT, f"it was ended after {seconds:g} s"
    kept = Tail()
    for chunk in container.logs(stdout=True, stderr=True, stream=True):
        kept.add(chunk)
    files: dict[str, bytes] = {}
    for folder in (OUTPUT, WORKSPACE):
        stream, _ = container.get_archive(folder)
        files = {**dict(_members(stream)), **files}
    return Output("container", ended, status, kept.bytes(), files, "", reason, monotonic() - start)


def _members(stream: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the reports in an archive; nothing of it is ever written to a disk."""
    with tarfile.open(fileobj=_Stream(stream), mode="r|") as archive:
        for member in archive:
            name = Path(member.name).name
            if member.isfile() and record.is_wanted(name) and member.size <= record.FILE_BYTES:
                file = archive.extractfile(member)
                if file is not None:
                    yield name, file.read()


class _Stream(io.RawIOBase):
    """The pieces of a download as a file, up to a limit."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""
        self._total = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to so many bytes; past the limit the archive ends."""
        while not self._rest and self._total <= _ARCHIVE_BYTES:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._rest = piece
            self._total += len(piece)
        end = len(self._rest) if size < 0 else size
        found, self._rest = self._rest[:end], self._rest[end:]
        return found

"""Take out of the tool's output what belongs to somebody: folders, serial numbers, secrets.

Absolute paths lose their folders, which name people, customers and projects; the name of the file
stays, and so do all figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

FOLDER: Final = "<folder>/"
SERIAL: Final = "<serial>"
SECRET: Final = "<secret>"  # noqa: S105 - what stands in the place of one

# A part of a path may hold blanks, but not the beginning of the next option.
_PART: Final = r"(?:(?! -)[^\\/:*?\"'<>|\r\n,\[\]()]|\(x86\))*"
_FIRST: Final = r"[^\s\\/:*?\"'<>|\r\n,\[\]()]"
_WINDOWS: Final = re.compile(rf"(?<![A-Za-z])[A-Za-z]:[\\/]+(?:{_FIRST}{_PART}[\\/]+)*")
_SHARE: Final = re.compile(rf"(?<![\w:\\])\\\\{{1,3}}[\w.-]+\\+(?:{_FIRST}{_PART}[\\/]+)*")
# Nodes of ONNX have names like paths, so only folders that systems begin with are taken for one.
_ROOTS: Final = (
    "Applications|Library|Users|Volumes|__w|app|build|builds|data|etc|github|home|media|mnt|nfs|"
    "opt|private|proc|project|projects|root|run|runner|scratch|srv|storage|sys|tmp|usr|var|work|"
    "workspace|workspaces"
)
_POSIX: Final = re.compile(rf"(?<![\w.)\]/~>-])(?:~/+|/+(?:{_ROOTS})/+)(?:{_FIRST}{_PART}/+)*")
# A home folder at the end of a path, where no separator follows.
_HOME: Final = re.compile(
    r"([\\/](?:Users|home)[\\/]+)[^\\/\s\"',;:<>]+(?=[^\\/\r\n]*(?:$|\s-|[\"',;:]))", re.MULTILINE
)
_PROBE: Final = re.compile(
    r"((?:ST-?LINK\s+SN|\bS/?N|serial(?: number)?)\s*[:=]\s*)([0-9A-Fa-f]{8,})", re.IGNORECASE
)
_SERIAL: Final = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-F]{24}|0x[0-9A-Fa-f]{24})(?![0-9A-Za-z])")
_PORT: Final = re.compile(r"/dev/(?:cu|tty)[\w.-]+")
_MAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SHORTEST_SECRET: Final = 8  # a shorter value is a word that the output may well hold


def text(given: str, secrets: Iterable[str] = (), places: Iterable[str] = ()) -> str:
    """Return a text without folders, serial numbers, ports, mail addresses and more.

    Args:
        given: what the tool printed.
        secrets: words that must not stand in it, such as a password.
        places: folders of this run, wherever they are.
    """
    found = given
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            found = found.replace(secret, SECRET)
    for place in sorted(places, key=len, reverse=True):
        found = found.replace(f"{place.rstrip('/')}/", FOLDER) if place.strip("/") else found
    found = _PORT.sub("<port>", found)
    found = _HOME.sub(r"\1<user>", found)
    found = _PROBE.sub(rf"\1{SERIAL}", found)
    found = _SERIAL.sub(SERIAL, found)
    for pattern in (_WINDOWS, _SHARE, _POSIX):
        found = pattern.sub(FOLDER, found)
    return _MAIL.sub("<mail>", found)


def data(given: bytes, secrets: Iterable[str] = (), places: Iterable[str] = ()) -> bytes:
    r"""Return bytes without the same; what is no UTF-8 becomes ``\xNN``."""
    return text(given.decode("utf-8", "backslashreplace"), secrets, places).encode()

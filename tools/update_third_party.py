"""Fetch the bundled JavaScript libraries again, or compare them with their ORIGIN.json.

tools/update_third_party.py --check               compare, offline
tools/update_third_party.py --fetch               the versions that are named there
tools/update_third_party.py --fetch uplot=1.6.33  another version of one
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "third_party"
_RECORD: Final = "ORIGIN.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the files of one library come from.

    Attributes:
        integrity: of the package, as npm has it: ``sha512-`` and base64.
        files: name here -> (path in the package, sha256 in hexadecimal).
    """

    package: str
    version: str
    license: str
    tarball: str
    integrity: str
    files: Mapping[str, tuple[str, str]]


def main(arguments: list[str]) -> int:
    """Compare or fetch; return 0 when all is as recorded, 1 when not, 2 for wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="compare the files with the record")
    what.add_argument("--fetch", nargs="*", metavar="FOLDER=VERSION", help="fetch them again")
    chosen = parser.parse_args(arguments)
    if chosen.check:
        faults = [fault for folder in libraries() for fault in compare(folder)]
        sys.stdout.writelines(f"{fault}\n" for fault in faults)
        return 1 if faults else 0
    wanted = dict(pair.partition("=")[::2] for pair in chosen.fetch)
    if unknown := set(wanted) - {folder.name for folder in libraries()}:
        parser.error(f"no such folder: {', '.join(sorted(unknown))}")
    for folder in libraries():
        fetch(folder, wanted.get(folder.name, ""))
    return 0


def libraries() -> list[Path]:
    """Return the folder of each library."""
    return sorted(path.parent for path in FOLDER.glob(f"*/{_RECORD}"))


def read(folder: Path) -> Origin:
    """Read the record of a library."""
    row = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    files = {name: (path, digest) for name, (path, digest) in row["files"].items()}
    return replace(Origin(**row), files=files)


def compare(folder: Path) -> list[str]:
    """Return what differs from the record, a sentence each."""
    known = {name: digest for name, (_, digest) in read(folder).files.items()}
    have = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != _RECORD
    }
    return [
        f"{folder.name}/{name} is not what {_RECORD} names"
        for name in sorted(known.keys() | have.keys())
        if known.get(name) != have.get(name)
    ]


def fetch(folder: Path, version: str) -> None:
    """Take the files of a library from its package, and record what they are.

    Args:
        folder: of the library.
        version: empty for the recorded one, whose integrity must then be what it was.

    Raises:
        SystemExit: the package is not what the registry or the record says.
    """
    old = read(folder)
    name = f"{old.package}@{version or old.version}"
    told = json.loads(_npm("view", name, "--json", "version", "license", "dist.integrity"))
    integrity = told["dist.integrity"]
    with tempfile.TemporaryDirectory() as scratch:
        packed = json.loads(_npm("pack", name, "--json", "--pack-destination", scratch))
        data = next(Path(scratch).glob("*.tgz")).read_bytes()
    have = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if have != integrity or (not version and have != old.integrity):
        sys.exit(f"{name}: the package is {have}, expected {integrity}, recorded {old.integrity}")
    files: dict[str, tuple[str, str]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for file, (path, digest) in old.files.items():
            member = archive.extractfile(f"package/{path}")
            if member is None:
                sys.exit(f"{name} has no {path}")
            content = member.read()
            files[file] = (path, hashlib.sha256(content).hexdigest())
            if file == "LICENSE" and files[file][1] != digest:
                sys.stdout.write(f"{name}: the licence changed; read it\n")
            (folder / file).write_bytes(content)
    base = packed[0]["name"].rpartition("/")[2]
    tarball = f"https://registry.npmjs.org/{old.package}/-/{base}-{told['version']}.tgz"
    new = Origin(old.package, told["version"], told["license"], tarball, integrity, files)
    (folder / _RECORD).write_text(json.dumps(asdict(new), indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{folder.name}: {name}\n")


def _npm(*arguments: str) -> str:
    program = shutil.which("npm")
    if program is None:
        sys.exit("npm is missing; it is what fetches the packages")
    command = [program, "--silent", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - npm and our arguments


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

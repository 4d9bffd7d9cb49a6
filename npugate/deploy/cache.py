"""Remember what each step was made of, so that only what changed is done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from npugate import __version__, atomic_write, nesting
from npugate.deploy.values import Step

_STATE: Final = "deploy-state.json"
_SCHEMA: Final = "npugate-deploy-state/1"


def key(step: Step) -> str:
    """Return a digest of everything that decides a step: version, arguments, content of files."""
    words = (__version__, step.judging, *step.arguments)
    digest = hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape"))
    for path in step.reads:
        for file in _files(path):
            # Below a folder the path counts, too: the folders of samples are their labels.
            name = file.relative_to(path).as_posix() if file != path else file.name
            line = f"\0{name}\0{digest_of(file)}"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    """Return the sha256 of a file, in hex; of a file that is not there, nothing."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(item for item in path.rglob("*") if item.is_file())
    else:
        yield path


class State:
    """What the steps of one output folder were made of.

    A damaged or foreign file counts as no memory: everything is done again, which is never wrong.
    """

    def __init__(self, folder: Path) -> None:
        """Read the state of a folder, which need not exist."""
        self._path = folder / _STATE
        self._steps: dict[str, dict[str, Any]] = {}
        try:
            value = nesting.json_value(self._path.read_bytes())
        except (OSError, ValueError):
            return
        if isinstance(value, dict) and value.get("schema") == _SCHEMA:
            steps = value.get("steps")
            self._steps = dict(steps) if isinstance(steps, dict) else {}

    def seconds(self, name: str, digest: str, makes: Iterable[Path]) -> float | None:
        """Return how long a step took when it last passed; None when it must be done again."""
        known = self._steps.get(name)
        if not isinstance(known, Mapping) or known.get("key") != digest:
            return None
        made = known.get("made")
        if not isinstance(made, Mapping):
            return None
        if any(made.get(path.name) != digest_of(path) or not path.exists() for path in makes):
            return None
        took = known.get("seconds")
        return float(took) if isinstance(took, int | float) else 0.0

    def keep(self, name: str, digest: str, makes: Iterable[Path], seconds: float) -> None:
        """Remember that a step passed.

        Raises:
            UsageError: the state cannot be written.
        """
        made = {path.name: digest_of(path) for path in makes}
        self._steps[name] = {"key": digest, "made": made, "seconds": round(seconds, 3)}
        content = {"schema": _SCHEMA, "steps": self._steps}
        atomic_write.write_text(self._path, json.dumps(content, indent=1) + "\n")

    def forget(self, name: str) -> None:
        """Forget a step that is about to be done again."""
        self._steps.pop(name, None)

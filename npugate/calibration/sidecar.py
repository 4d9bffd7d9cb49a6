"""What an int8 model was calibrated with, in a small file beside it.

``MODEL.onnx.calibration.json`` holds the digest of each sample, so that an evaluation can see when
it is given the same ones, and the digest of the model, so that a stale file is not believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from npugate import beneath, escape, nesting
from npugate.beneath import RefusedError

VERSION: Final = 1
_LARGEST: Final = 64 << 20


class Sidecar(Struct, frozen=True):
    """The calibration of one model.

    Attributes:
        model: sha256 of the int8 model's file.
        kind: ``data`` or ``random``.
        samples: digests of the samples.
        limits: (lowest, highest) number fed, by input.
    """

    model: str
    kind: str
    samples: tuple[str, ...]
    limits: Mapping[str, tuple[float, float]]


def place_of(model: Path) -> Path:
    """Return where the sidecar of a model is."""
    return model.with_name(f"{model.name}.calibration.json")


def write(sidecar: Sidecar, more: Mapping[str, object]) -> str:
    """Return the file's text.

    Args:
        sidecar: what an evaluation reads.
        more: what only people read: method, seed, preprocessing.
    """
    document = {
        "npugate_calibration": VERSION,
        "model_sha256": sidecar.model,
        "kind": sidecar.kind,
        **more,
        "limits": {name: list(pair) for name, pair in sidecar.limits.items()},
        "samples": list(sidecar.samples),
    }
    return escape.json_document(document)


def read(model: Path, digest: str) -> Sidecar | str:
    """Return the sidecar of a model, or why there is none that counts.

    Args:
        model: the int8 model's file.
        digest: its sha256.
    """
    path = place_of(model)
    if not path.is_file():
        return f"{path.name} is not there"
    try:
        found = _parsed(nesting.json_value(beneath.read(path.parent, path.name, _LARGEST)))
    except RefusedError as error:
        return f"{path.name} {error}"
    except (OSError, ValueError, TypeError, KeyError) as error:
        return f"{path.name} cannot be read: {error!r}"
    if found.model != digest:
        return f"{path.name} is of another version of the model"
    return found


def _parsed(document: Any) -> Sidecar:  # noqa: ANN401 - anything that JSON can hold
    if document["npugate_calibration"] != VERSION:
        raise ValueError(f"version {document['npugate_calibration']}")
    samples, limits = document["samples"], document["limits"]
    if not isinstance(samples, Sequence) or not isinstance(limits, Mapping):
        raise TypeError("samples or limits")
    return Sidecar(
        str(document["model_sha256"]),
        str(document["kind"]),
        tuple(str(item) for item in samples),
        {str(name): (float(low), float(high)) for name, (low, high) in limits.items()},
    )

"""Which findings of a model are shown with a sketch of their surroundings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from npugate.findings.sketch import Sketch
from npugate.findings.values import Finding

_SKETCHES: Final = 3  # in the report of a model


def attach(
    findings: Sequence[Finding], sketches: Mapping[tuple[str, str], Sketch]
) -> tuple[Finding, ...]:
    """Give the first findings that count the sketch of their node, each node once.

    Args:
        findings: of one model, worst first.
        sketches: by graph and node.
    """
    left = dict(sketches)
    shown: list[Finding] = []
    room = _SKETCHES
    for finding in findings:
        key = finding.location.graph, finding.location.node
        if room and finding.suppression is None and key in left:
            shown.append(replace(finding, sketch=left.pop(key)))
            room -= 1
        else:
            shown.append(finding)
    return tuple(shown)

"""Where the models and reports of other people lie, which are no part of the project.

NPUGATE_EVIDENCE names the folder; without it ``shared`` beside the checkout is taken. What needs it
is skipped where it is missing, for one reason, so that the summary of a run has one line on it.
"""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared"
FOLDER = Path(os.environ.get("NPUGATE_EVIDENCE") or _BESIDE)  # noqa: TID251 - where the evidence is
REASON = f"no evidence at {FOLDER}: NPUGATE_EVIDENCE names its folder"


def needs_evidence(*below: str) -> pytest.MarkDecorator:
    """Skip a test where a part of the evidence is not there: ``needs_evidence("groundtruth")``."""
    return pytest.mark.skipif(not FOLDER.joinpath(*below).is_dir(), reason=REASON)

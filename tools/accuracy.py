"""Hold the estimates against real compiler reports and published figures; writes docs/accuracy.md.

::

    python tools/accuracy.py EVIDENCE [--output docs/accuracy.md]

The evidence is not part of this repository: a folder with ``groundtruth/`` (reports, c_info.json,
models) and ``design/st_published_n6.csv``. Each part is a tool of its own and can be run alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_TOOLS: Final = Path(__file__).resolve().parent
_PARTS: Final = ("placement", "memory", "timing", "boards")
_HEAD: Final = """# How close the estimates are

Written by `make accuracy EVIDENCE=DIR`; do not edit. Every model that a report or a published
figure is known for is listed, worst first, none left out; `n` is how many figures a sentence has.

"""


def main(arguments: Sequence[str]) -> int:
    """Run the parts and join what they write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("evidence", type=Path, help="the folder that holds groundtruth/")
    parser.add_argument("--output", type=Path, default=_TOOLS.parent / "docs" / "accuracy.md")
    options = parser.parse_args(arguments)
    if not (options.evidence / "groundtruth").is_dir():
        sys.stderr.write(f"{options.evidence} holds no folder groundtruth\n")
        return 2
    sections: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in _PARTS:
            page = Path(folder, f"{part}.md")
            script = _TOOLS / f"accuracy_{part}.py"
            command = [sys.executable, str(script), str(options.evidence), "--output", str(page)]
            subprocess.run(command, check=True)  # noqa: S603 - ours
            sections.append(page.read_text(encoding="utf-8").strip())
    options.output.write_text(_HEAD + "\n\n".join(sections) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Fold the batch of random networks in every way, and hold each result to the numbers.

    python tools/fuzz_batch.py [--count 500] [--seed 0]

Prints a table of the strategies: equal, declined with the reasons, wrong. Ends with status 1 when
one result differs from the original, and names its seed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the checkout's npugate, installed or not

from onnxruntime.capi.onnxruntime_pybind11_state import (  # noqa: E402  # after the path is set
    Fail,
    InvalidArgument,
)

from fixers import fold_batch  # noqa: E402  # after the path is set
from npugate.surgery.results import Applied, Declined, RepairOptions  # noqa: E402  # after the path is set
from tests.batched_models import random_model  # noqa: E402  # after the path is set
from tests.repaired import apply, feeds, proved, run  # noqa: E402  # after the path is set

STRATEGIES: Final = ("channels", "spatial", "unroll")
TOLERANCE: Final = 2e-5  # of the largest element: sums in another order


def main(arguments: Sequence[str], out: TextIO) -> int:
    """Run the networks of the seeds; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    wrong = 0
    for strategy in STRATEGIES:
        states: Counter[str] = Counter()
        for seed in range(given.seed, given.seed + given.count):
            state = _state(seed, strategy)
            states[state] += 1
            if state == "wrong":
                out.write(f"wrong: seed {seed}, strategy {strategy}\n")
        wrong += states["wrong"]
        out.write(f"{strategy}:\n")
        for state, count in states.most_common():
            out.write(f"  {count:6} {state}\n")
    return 1 if wrong else 0


def _state(seed: int, strategy: str) -> str:
    """Return what became of one network."""
    model = random_model(seed)
    try:
        run(model, feeds(model, 0, integers=False))
    except (Fail, InvalidArgument):
        return "the original does not run"
    options = RepairOptions(batch_strategy=strategy)
    result, _ = apply(fold_batch.REPAIR, model, options)
    if isinstance(result, Declined):
        words = result.reason.partition(f"{strategy}: ")[2].partition(";")[0].split()
        return "declined: " + " ".join(word for word in words if "'" not in word)
    if not isinstance(result, Applied):
        return "wrong"
    try:
        proved(fold_batch.REPAIR, model, options, tolerance=TOLERANCE, integers=False)
    except AssertionError:
        return "wrong"
    return "equal"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout))

"""Look for a file on which the reader of models fails in any way but ``ModelError``.

    python tools/fuzz.py reader --seconds 120 [--seed N] [--keep FOLDER] [MODEL ...]
    python tools/fuzz.py reader --atheris [ATHERIS OPTIONS] [CORPUS]

Without ``--atheris`` a seeded mutator changes the models given, and small ones made here, byte by
byte and field by field (lengths that lie, fields twice, pieces of one model in another), and reads
each result in both ways that the reader has: parsed directly and with payloads skipped. It ends
with status 1 and the offending bytes in ``--keep`` when

- anything but ``ModelError`` is raised,
- the two ways disagree on a file that both accept, or on whether it is one, or
- one file takes longer than two seconds.

``--atheris`` hands the same property to libFuzzer through atheris (installed separately), which is
guided by coverage.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

from onnx import AttributeProto, TensorProto, helper

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the checkout's npugate, installed or not

from npugate.errors import ModelError  # noqa: E402  # after the path is set
from npugate.limits import Limits  # noqa: E402  # after the path is set
from npugate.model import reader  # noqa: E402  # after the path is set
from npugate.model.wire import Window  # noqa: E402  # after the path is set
from tools.fuzz_models import mutate  # noqa: E402  # the same

LIMITS: Final = Limits()
SECONDS_PER_FILE: Final = 2.0


class DisagreementError(Exception):
    """The two ways of reading gave two results."""


def check(data: bytes) -> None:
    """Read bytes both ways and compare.

    Raises:
        DisagreementError: the results differ, or reading took too long.
        Exception: whatever else the reader raises.
    """
    start = time.process_time()
    whole = _outcome(lambda: reader.read(data, "m.onnx", LIMITS))
    if data:
        skipped = _outcome(lambda: _skipped(data))
        if (whole is None) != (skipped is None):
            raise DisagreementError(f"accepted in one way only: {whole is not None}")
        if whole is not None and skipped is not None:
            _compare(whole, skipped)
    if time.process_time() - start > SECONDS_PER_FILE:
        raise DisagreementError("it took too long")


def _outcome(read: Callable[[], reader.Model]) -> reader.Model | None:
    try:
        return read()
    except ModelError as error:
        if not str(error):
            raise DisagreementError("an error without a text") from error
        return None


def _skipped(data: bytes) -> reader.Model:
    window = Window(lambda length, at: data[at : at + length], len(data), 10**6)
    proto, dropped = reader._parse_skeleton(window, LIMITS)  # noqa: SLF001  # the way of large files
    problems = reader._examine(proto, dropped, None, LIMITS)  # noqa: SLF001  # the same
    return reader.Model("m.onnx", None, "", len(data), proto, problems)


def _compare(whole: reader.Model, skipped: reader.Model) -> None:
    one, two = (m.proto.SerializeToString(deterministic=True) for m in (whole, skipped))
    if one != two:
        raise DisagreementError("the two ways give two models")
    if whole.problems != skipped.problems:
        raise DisagreementError(f"problems differ: {whole.problems} != {skipped.problems}")


def seeds(paths: Sequence[Path]) -> Iterator[bytes]:
    """Yield models to start from: the small ones among the files, and some made here."""
    for path in paths:
        if path.stat().st_size < 1 << 18:
            yield path.read_bytes()
    model = helper.make_model(helper.make_graph([], "g", [], []), ir_version=8)
    for size in (8, 1024, 1025, 5000):
        weight = TensorProto(name="w", data_type=3, dims=[size], raw_data=bytes(size))
        typed = TensorProto(name="t", data_type=6, dims=[size], int32_data=[size] * size)
        far = TensorProto(name="x", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
        far.external_data.add(key="location", value="../x")
        model.graph.initializer.extend([weight, far])
        model.graph.sparse_initializer.add(values=weight, indices=typed)
        node = model.graph.node.add(op_type="If", input=["a"], output=["b"])
        node.attribute.add(name="value", type=AttributeProto.TENSOR, t=typed)
        node.attribute.add(name="body", type=AttributeProto.GRAPH, g=model.graph)
        model.functions.add(name=f"f{size}", domain="local", node=[node])
        yield model.SerializeToString()


def fuzz(seconds: float, seed: int, keep: Path, models: Sequence[Path], out: TextIO) -> int:
    """Mutate and check until the time is over; return the exit status."""
    rng = random.Random(seed)  # noqa: S311  # must be repeatable, not secret
    pool = list(seeds(models))
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = mutate(rng, rng.choice(pool), pool)
        count += 1
        try:
            check(data)
        except Exception:  # noqa: BLE001  # any failure at all is what is looked for
            keep.mkdir(parents=True, exist_ok=True)
            file = keep / f"{hashlib.sha256(data).hexdigest()[:16]}.onnx"
            file.write_bytes(data)
            out.write(f"{file} after {count} files:\n{traceback.format_exc()}")
            return 1
    out.write(f"{count} files in {seconds:g} s from seed {seed}: nothing found\n")
    return 0


def _atheris(arguments: Sequence[str]) -> None:
    atheris = importlib.import_module("atheris")  # optional, and only here
    atheris.Setup([sys.argv[0], *arguments], check)
    atheris.Fuzz()


def main(arguments: Sequence[str], out: TextIO) -> int:
    """Parse the command line and fuzz; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="fuzz.py reader", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--atheris", action="store_true")
    parser.add_argument("models", nargs="*", type=Path)
    options, rest = parser.parse_known_args(arguments)
    if options.atheris:
        _atheris([*rest, *map(str, options.models)])
        return 0
    found = options.models or sorted((ROOT / "tests" / "fixtures").rglob("*.onnx"))
    return fuzz(options.seconds, options.seed, options.keep, found, out)

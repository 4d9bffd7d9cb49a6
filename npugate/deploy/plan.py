"""Turn the settings of a deployment into steps."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from npugate.calibration import sidecar
from npugate.deploy.values import Settings, Step
from npugate.errors import UsageError


def check(settings: Settings) -> None:
    """Refuse settings that cannot lead to a model on the board.

    Raises:
        UsageError: something is missing or does not exist; the text says which option gives it.
    """
    if settings.model is None and not settings.clean:
        raise UsageError(
            "deploy: say what to deploy: --model MODEL.onnx repairs a model, --clean MODEL.onnx or "
            "--clean module:callable takes a clean one"
        )
    if "fix" in settings.plans and settings.model is None:
        raise UsageError("deploy: the plan fix needs --model MODEL.onnx")
    if "clean" in settings.plans and not settings.clean:
        raise UsageError(
            "deploy: the plan clean needs --clean MODEL.onnx or --clean module:callable"
        )
    if settings.calibration is None:
        raise UsageError("deploy: --calibration DATA is missing: samples as the device sees them")
    if settings.data is None:
        raise UsageError("deploy: --data DATA is missing: samples that are not in the calibration")
    if settings.expect is not None and settings.expect[0] > settings.expect[1]:
        low, high = settings.expect
        raise UsageError(f"deploy: --expect-range {low:g}:{high:g}: the first is the least value")
    given = (settings.model, settings.weights, settings.calibration, settings.data)
    clean = None if ":" in settings.clean or not settings.clean else Path(settings.clean)
    for path in (*given, clean):
        if path is not None and not path.exists():
            raise UsageError(f"deploy: {path}: there is no such file or folder")


def steps(settings: Settings, plan: str) -> tuple[Step, ...]:
    """Return the steps of one plan, in order; ``check`` has accepted the settings."""
    made = _steps(settings, plan, settings.output / plan)
    return tuple(replace(step, judging=settings.judging) for step in made)


def _steps(settings: Settings, plan: str, folder: Path) -> Iterator[Step]:
    start, ready = _first(settings, plan, folder)
    yield start
    int8 = folder / "model_int8.onnx"
    yield _diagnosis("diagnose", "diagnose the float model", ready, settings, folder)
    yield _quantize(settings, ready, int8, folder)
    yield _evaluate(settings, ready, int8, folder)
    yield _verify(settings, int8, folder)
    yield _diagnosis("final", "diagnose the int8 model, estimate", int8, settings, folder)
    yield _page(settings, int8, folder)
    if settings.stedgeai:
        report = folder / "stedgeai.json"
        arguments = ("stedgeai", str(int8), *_for(settings), *settings.stedgeai)
        yield Step(
            "stedgeai",
            "ask ST's compiler",
            (*arguments, "--report", f"json={report}", "--quiet"),
            (int8,),
            (report,),
            report,
            "read the compiler's words in the report; docs/stedgeai.md says how to set it up",
        )


def _first(settings: Settings, plan: str, folder: Path) -> tuple[Step, Path]:
    """Return the step that makes the float model to go on with, and that model."""
    report = folder / "source.json"
    if plan == "clean" and ":" in settings.clean:
        made = folder / "model_fp32.onnx"
        weights = () if settings.weights is None else ("--weights", str(settings.weights))
        arguments = ("export", settings.clean, "--output", str(made), *weights, *_target(settings))
        reads = (*_sources(settings.clean.partition(":")[0]), *_existing(settings.weights))
        return Step(
            "source",
            "export from PyTorch",
            (*arguments, "--report", f"json={report}", "--quiet"),
            reads,
            (made, report),
            report,
            "the report names the line of Python; docs/clean-export.md has the rewrites",
        ), made
    source = Path(settings.clean) if plan == "clean" else settings.model
    assert source is not None, "plan.check lets nothing else through"  # noqa: S101 - for the types
    made = folder / "model_fp32.onnx"
    arguments = ("fix", str(source), "--output-dir", str(folder / "fixed"), *_for(settings))
    return Step(
        "source",
        "repair the model" if plan == "fix" else "take the clean model",
        (*arguments, "--report", f"json={report}", "--quiet"),
        (source, *_beside(source)),
        (made, report),
        report,
        "what is left names the line of Python to change; npugate explain RULE says how",
        source=source,
    ), made


def _beside(model: Path) -> tuple[Path, ...]:
    """Return the files beside a model that may hold its weights, by the names that are usual."""
    return tuple(sorted(model.parent.glob(f"{glob.escape(model.stem)}*.data")))


def _sources(entry: str) -> tuple[Path, ...]:
    """Return the Python files that may decide an export: all of the entry's top folder."""
    if entry.endswith(".py"):
        top = Path(entry).parent
    else:
        name = entry.partition(".")[0]
        top = Path(name)
        if not top.is_dir():
            return (Path(f"{name}.py"),)
    return tuple(sorted(path for path in top.rglob("*.py") if path.is_file()))


def _diagnosis(name: str, title: str, model: Path, settings: Settings, folder: Path) -> Step:
    report = folder / f"{name}.json"
    arguments = ("check", str(model), *_for(settings), "--report", f"json={report}", "--quiet")
    advice = f"npugate check {model} lists what is wrong; npugate fix {model} may repair it"
    return Step(name, title, arguments, (model,), (report,), report, advice)


def _quantize(settings: Settings, model: Path, int8: Path, folder: Path) -> Step:
    report = folder / "quantize.json"
    arguments = ["quantize", str(model), "--output", str(int8), *_data_options(settings)]
    arguments += ["--calibration", str(settings.calibration), *_target(settings)]
    arguments += ["--samples", str(settings.samples)] if settings.samples else []
    return Step(
        "quantize",
        "quantise to int8",
        (*arguments, "--report", f"json={report}", "--quiet"),
        (*_existing(model, settings.calibration), *_described(settings)),
        (int8, sidecar.place_of(int8), report),
        report,
        "give more and better spread calibration samples; docs/quantize.md",
    )


def _evaluate(settings: Settings, model: Path, int8: Path, folder: Path) -> Step:
    report = folder / "evaluate.json"
    arguments = ["evaluate", str(model), str(int8), "--data", str(settings.data)]
    arguments += _data_options(settings)
    arguments += ["--metric", settings.metric] if settings.metric else []
    arguments += ["--unit", settings.unit] if settings.unit else []
    return Step(
        "evaluate",
        "evaluate on other samples",
        (*arguments, *settings.limits, "--report", f"json={report}", "--quiet"),
        (*_existing(model, int8, sidecar.place_of(int8), settings.data), *_described(settings)),
        (report,),
        report,
        "the report names the layers that lose most: --exclude one, or calibrate with more samples",
    )


def _verify(settings: Settings, int8: Path, folder: Path) -> Step:
    report = folder / "verify.json"
    arguments = ["verify", str(int8), "--data", str(settings.data)]
    for value in settings.preprocess:
        arguments += ["--preprocess", value]
    if settings.expect is not None:
        arguments += ["--expect-range", f"{settings.expect[0]:g}:{settings.expect[1]:g}"]
    return Step(
        "verify",
        "run the int8 model",
        (*arguments, "--report", f"json={report}", "--quiet"),
        (*_existing(int8, settings.data), *_described(settings)),
        (report,),
        report,
        "an output is not what was expected: compare it with the float model's (npugate evaluate)",
    )


def _page(settings: Settings, int8: Path, folder: Path) -> Step:
    page = folder / "model.html"
    arguments = ("report", str(int8), "--html", str(page), *_for(settings), "--quiet")
    report = folder / "final.json"
    advice = "the page is only for looking at; the plan goes on"
    return Step("page", "draw the model", arguments, (int8,), (page,), report, advice, gates=False)


def _data_options(settings: Settings) -> list[str]:
    found = ["--labels", settings.labels] if settings.labels else []
    for value in settings.preprocess:
        found += ["--preprocess", value]
    return found


def _described(settings: Settings) -> Iterator[Path]:
    """Yield the files that say how to read the samples: labels, preprocessing, code of a metric."""
    for value in (settings.labels, *settings.preprocess):
        if value and Path(value).is_file():
            yield Path(value)
    if ":" in settings.metric:
        yield from _sources(settings.metric.partition(":")[0])


def _existing(*paths: Path | None) -> tuple[Path, ...]:
    return tuple(path for path in paths if path is not None)


def _target(settings: Settings) -> tuple[str, ...]:
    target = ("--target", settings.target) if settings.target else ()
    return (*target, *(("--toolchain", settings.toolchain) if settings.toolchain else ()))


def _for(settings: Settings) -> tuple[str, ...]:
    board = ("--board", settings.board) if settings.board else ()
    config = ("--config", str(settings.config)) if settings.config is not None else ()
    return (*_target(settings), *board, *config)

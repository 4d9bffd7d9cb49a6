"""A report from its JSON, for those who have no more than that.

The file may come from a container that read untrusted models: it is held to the schema, its figures
are counted again, and what does not agree with itself is refused. Its strings stay what they are;
every reporter escapes them as it does those of a model. What a page does not show is not read back:
single epochs, the differing nodes of a repair, the text of a twin's line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar, cast

from npugate.findings.sketch import Link, Sketch, Spot
from npugate.findings.values import Cost, Finding, Location, Severity, Source, Suppression
from npugate.report.census import Census
from npugate.report.documentation import Documentation
from npugate.report.estimate import Engine, Epoch, Estimate, Fit, Interval, Memory, Pool, Time
from npugate.report.values import (
    Against,
    Departed,
    InterfaceChange,
    ModelReport,
    ModelSize,
    Outcome,
    RepairReport,
    Report,
    RuleInfo,
    Verification,
)
from npugate.reporters import schema

MAX_BYTES: Final = 64 * 1024**2
_SCHEMA: Final = Path(__file__).parents[1] / "report.schema.json"
_DIGITS: Final = 19  # as far as any JSON reader goes; what is longer overflows a float
_MOST_EPOCHS: Final = 100_000
_NO_VERDICT: Final = 2  # exit codes from here on say that there is none

Json = dict[str, object]
_T = TypeVar("_T")


class UntrustedReportError(ValueError):
    """The file is no report, or one that contradicts itself; the text says where."""


def read(data: bytes) -> Report:
    """Return the report that a JSON report holds.

    Raises:
        UntrustedReportError: it is too long, no JSON, not as the schema has it, or its verdicts are
            not those of its findings.
    """
    if len(data) > MAX_BYTES:
        raise UntrustedReportError(f"it has more than {MAX_BYTES} bytes")
    try:
        value = json.loads(data, parse_constant=_no_constant, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise UntrustedReportError(f"it is no JSON: {error}") from error
    rules = json.loads(_SCHEMA.read_bytes())
    fault = next(schema.faults(value, rules), None)
    if fault is not None:
        raise UntrustedReportError(fault)
    report = _report(cast("Json", value))
    _verify(report, cast("Json", value))
    return report


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no number in JSON")


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError("a number has too many digits")
    return int(digits)


def _verify(report: Report, value: Json) -> None:
    """Refuse a report whose verdicts are not those that its findings give."""
    if report.exit_code != value["exit_code"]:
        told = f"exit code {value['exit_code']}, its findings say {report.exit_code}"
        raise UntrustedReportError(f"it contradicts itself: {told}")
    for model, row in zip(report.models, _rows(value, "models"), strict=True):
        pairs = [(row["verdict"], model.verdict(report.threshold))]
        if model.repair is not None:
            after = _row(row, "repair")["verdict_after"]
            pairs.append((after, model.verdict_after(report.threshold)))
        for said, is_so in pairs:
            if said != is_so:
                told = f"verdict {said}, its findings say {is_so}"
                raise UntrustedReportError(f"it contradicts itself: {told}")


def _report(value: Json) -> Report:
    word = _get(value, "fail_on", "error")
    code = _get(value, "exit_code", 3)
    crashed = _get(value, "crashed", default=False)
    return Report(
        _get(_row(value, "tool"), "version", ""),
        _get(value, "target", ""),
        _get(value, "toolchain", ""),
        None if word == "never" else Severity[word.upper()],
        tuple(_model(row) for row in _rows(value, "models")),
        {key: _rule(key, cast("Json", row)) for key, row in _row(value, "rules").items()},
        _texts(value, "notices"),
        crashed=crashed,
        # A rule that crashed ends a run with 3 too, but then there are models to tell of.
        failure=code if code >= _NO_VERDICT and not crashed else 0,
        opens=_get(value, "opens", default=False),
        departed=tuple(
            Departed(_get(row, "path", ""), _get(row, "reason", ""))
            for row in _rows(value, "departed")
        ),
        may_leave=_get(value, "may_leave", default=True),
        documentation=_documentation(_row(value, "documentation")),
    )


def _documentation(row: Json) -> Documentation:
    if not row:
        return Documentation()
    return Documentation(_get(row, "base", ""), _get(row, "suffix", ""))


def _rule(key: str, row: Json) -> RuleInfo:
    summary, fix = _get(row, "summary", ""), _get(row, "fix", "")
    doc = f"{summary}\n\n**Fix.** {fix}\n" if fix else summary
    severity = Severity[_get(row, "severity", "error").upper()]
    return RuleInfo(key, _get(row, "name", ""), severity, summary, doc, _optional(row, "repair"))


def _model(row: Json) -> ModelReport:
    repair = _row(row, "repair") if "repair" in row else None
    against = _row(row, "base") if "base" in row else None
    return ModelReport(
        _get(row, "path", ""),
        _get(row, "sha256", ""),
        _get(row, "size_bytes", 0),
        tuple(_finding(item) for item in _rows(row, "findings")),
        unreadable=row["verdict"] == "unreadable",
        census=_census(_row(row, "census")),
        repair=None if repair is None else _repair(repair),
        as_found=repair is not None and _get(repair, "as_found", default=False),
        against=None if against is None else _against(against),
        estimate=_estimate(_row(row, "estimate")) if "estimate" in row else None,
    )


def _estimate(row: Json) -> Estimate:
    """Return the numbers of an estimate, and the part of its epochs that a chart needs."""
    steps = _rows(row, "steps")[:_MOST_EPOCHS]
    epochs = [_epoch(at, step) for at, step in enumerate(steps)] or _counted(row)
    memory, time = _row(row, "memory"), _row(row, "time")
    return Estimate(
        "",
        _get(row, "toolchain", ""),
        _get(row, "board", ""),
        tuple(epochs),
        _get(row, "macs", 0),
        _get(row, "compiler_macs", 0),
        _memory(memory, steps) if memory else None,
        _time(time) if time else None,
        _texts(row, "notes"),
    )


def _epoch(at: int, step: Json) -> Epoch:
    took = cast("float | None", step["microseconds"])
    span = None if took is None else Interval(took, took, took)
    engine = Engine(_get(step, "engine", ""))
    return Epoch(at, engine, (), macs=_get(step, "macs", 0), microseconds=span)


def _counted(row: Json) -> list[Epoch]:
    """Return epochs of which only number and work are known, as of a base version."""
    counts, macs = _row(row, "epochs"), _row(row, "macs_by_engine")
    epochs: list[Epoch] = []
    for engine in Engine:
        number = min(_get(counts, engine.value, 0), _MOST_EPOCHS)
        work = [_get(macs, engine.value, 0), *[0] * number][:number]
        epochs += [Epoch(len(epochs), engine, (), macs=each) for each in work]
    return epochs


def _memory(row: Json, steps: Sequence[Json]) -> Memory:
    spans = [_interval(_row(row, key)) for key in ("weights", "activations", "external")]
    weights, activations, external = spans
    fit = Fit(_get(row, "fit", ""))
    bound, peak = _get(row, "lower_bound", 0), _get(row, "peak_epoch", 0)
    pools = tuple(_pool(item) for item in _rows(row, "pools"))
    sizes = [cast("int | None", step["live_bytes"]) for step in steps]
    live = tuple(size for size in sizes if size is not None)
    live = live if len(live) == len(sizes) else ()
    return Memory(fit, pools, weights, activations, bound, peak, live=live, external=external)


def _pool(row: Json) -> Pool:
    return Pool(
        _get(row, "name", ""),
        _get(row, "size_bytes", 0),
        _get(row, "weight_bytes", 0),
        _get(row, "activation_bytes", 0),
        _get(row, "external", default=False),
    )


def _time(row: Json) -> Time:
    return Time(
        _interval(_row(row, "microseconds")),
        _get(row, "npu", 0.0),
        _get(row, "cpu", 0.0),
        _get(row, "compiler_cycles", 0.0),
        _get(row, "calibrated", default=False),
        _texts(row, "notes"),
    )


def _interval(row: Json) -> Interval:
    return Interval(_get(row, "low", 0.0), _get(row, "likely", 0.0), _get(row, "high", 0.0))


def _census(row: Json) -> Census:
    return Census(
        _get(row, "ir_version", 0),
        _get(row, "opset", 0),
        _get(row, "producer", ""),
        _get(row, "nodes", 0),
        _get(row, "quantized", ""),
        _texts(row, "inputs"),
        _texts(row, "outputs"),
        cast("dict[str, int]", _row(row, "domains")),
    )


def _against(row: Json) -> Against:
    fixed = tuple(_finding(item) for item in _rows(row, "fixed"))
    estimate = _estimate(_row(row, "estimate")) if "estimate" in row else None
    new, unchanged = frozenset(_texts(row, "new")), frozenset(_texts(row, "unchanged"))
    added = _get(row, "added", default=False)
    return Against(new, unchanged, fixed, estimate, added)


def _finding(row: Json) -> Finding:
    place, why = _row(row, "location"), _row(row, "suppression")
    twin, source = _row(row, "twin"), _row(row, "source")
    sketch = _row(row, "neighbours")
    return Finding(
        _get(row, "rule", ""),
        _get(row, "name", ""),
        Severity[_get(row, "severity", "error").upper()],
        _get(row, "message", ""),
        Location(*(_get(place, key, "") for key in ("graph", "node", "op_type", "value"))),
        _get(row, "fingerprint", ""),
        _source(source),
        _suppression(why, counts=not row["suppressed"]),
        _optional(row, "repair"),
        _source(twin),
        _sketch(sketch) if sketch else None,
        _cost(_row(row, "cost")) if "cost" in row else None,
    )


def _cost(row: Json) -> Cost:
    time = _row(row, "microseconds")
    found = _interval(time)
    times = (found.low, found.likely, found.high) if time else None
    return Cost(times, _get(row, "written_bytes", 0))


def _suppression(row: Json, *, counts: bool) -> Suppression | None:
    if counts:
        return None
    return Suppression(_get(row, "by", ""), _get(row, "reason", ""))


def _source(row: Json) -> Source | None:
    if not row:
        return None
    return Source(_get(row, "file", ""), _get(row, "line", 1), _get(row, "text", ""))


def _sketch(row: Json) -> Sketch:
    spots = tuple(Spot(_get(s, "op_type", ""), _get(s, "name", "")) for s in _rows(row, "nodes"))
    links = tuple(
        Link(_get(link, "from", 0), _get(link, "to", 0), _get(link, "shape", ""))
        for link in _rows(row, "edges")
    )
    if any(end >= len(spots) for link in links for end in (link.start, link.end)):
        raise UntrustedReportError("an edge of neighbours leads to no node")
    return Sketch(spots, links, _get(row, "hidden", 0))


def _repair(row: Json) -> RepairReport:
    verification = _row(row, "verification")
    return RepairReport(
        tuple(_outcome(item) for item in _rows(row, "outcomes")),
        _verification(verification) if verification else None,
        tuple(_finding(item) for item in _rows(row, "findings_after")),
        ModelSize(**cast("dict[str, int]", _known(_row(row, "before")))),
        ModelSize(**cast("dict[str, int]", _known(_row(row, "after")))),
        output=_optional(row, "output"),
    )


def _known(row: Json) -> Json:
    """Return the numbers of a model without keys that later versions may add."""
    return {key: row[key] for key in ModelSize.__struct_fields__ if key in row}


def _outcome(row: Json) -> Outcome:
    interface = tuple(
        InterfaceChange(_get(item, "name", ""), _get(item, "before", ""), _get(item, "after", ""))
        for item in _rows(row, "interface")
    )
    return Outcome(
        _get(row, "repair", ""),
        _get(row, "state", ""),
        _get(row, "reason", ""),
        _texts(row, "edits"),
        interface,
    )


def _verification(row: Json) -> Verification:
    return Verification(
        cast("bool | None", row["equal"]),
        _get(row, "samples", 0),
        _get(row, "values", 0),
        _get(row, "max_abs_error", 0.0),
        _get(row, "tolerance", 0.0),
        _get(row, "reason", ""),
        _texts(row, "notes"),
        _get(row, "reference", "original"),
        _get(row, "steps", 0.0),
        _get(row, "most_steps", 0.0),
    )


# The schema has checked the type of each value; these only inform the type checker.


def _get(row: Json, key: str, default: _T) -> _T:
    return cast("_T", row.get(key, default))


def _optional(row: Json, key: str) -> str | None:
    return cast("str | None", row.get(key))


def _row(row: Json, key: str) -> Json:
    """Return an object; an empty one where it is null or not there."""
    return cast("Json", row.get(key) or {})


def _rows(row: Json, key: str) -> list[Json]:
    return cast("list[Json]", row.get(key, []))


def _texts(row: Json, key: str) -> tuple[str, ...]:
    return tuple(cast("list[str]", row.get(key, [])))

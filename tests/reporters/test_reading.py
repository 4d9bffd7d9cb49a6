"""Reports that are read back from their JSON, honest ones and others."""

import json
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

from npugate.findings.sketch import Link, Sketch, Spot
from npugate.findings.values import Severity, Suppression
from npugate.report.values import Against, Report
from npugate.reporters import REPORTERS, markdown, reading, schema
from tests.sample_report import ALL_HOSTILE, CLEAN, HOSTILE, REPAIRED, REPORT, hostile

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "npugate" / "report.schema.json").read_text(encoding="utf-8")
)
FAILED = Report.failure_of("0.1.0", "no target 'x'", 2)
SKETCH = Sketch((Spot("Reshape", "view"), Spot("", "x")), (Link(1, 0, "1x8"),), 2)


def as_found(report):
    return replace(report, models=tuple(replace(m, as_found=True) for m in report.models))


def compared(report):
    *others, last = report.models
    new, old, *rest = last.findings
    old = replace(old, suppression=Suppression("base", "the base branch has it"))
    new = replace(new, sketch=SKETCH)
    against = Against(frozenset({new.fingerprint}), frozenset({old.fingerprint}), tuple(rest[:2]))
    last = replace(last, findings=(new, old, *rest), against=against)
    added = replace(others[0], against=Against(frozenset(), frozenset(), (), added=True))
    return replace(report, models=(added, *others[1:], last))


COMPARED = compared(REPORT)
YES, NO = True, False
REPORTS = {
    "failing": REPORT,
    "clean": CLEAN,
    "repaired": REPAIRED,
    "repaired, judged as found": as_found(REPAIRED),
    "compared with the base": compared(REPORT),
    "never fails": replace(REPORT, threshold=None),
    "fails on warnings": replace(REPORT, threshold=Severity.WARNING),
    "a rule crashed": replace(REPORT, crashed=True),
    "wrong usage": FAILED,
    "our own failure": Report.failure_of("0.1.0", "a fault", 3),
    "no models": replace(CLEAN, models=()),
    "hostile": ALL_HOSTILE,
}


def data_of(report) -> bytes:
    return REPORTERS["json"](report).encode()


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_that_was_written_and_read_back_gives_the_same_page(name):
    report = REPORTS[name]
    again = reading.read(data_of(report))
    assert again.exit_code == report.exit_code
    assert data_of(again) == data_of(report)
    if name != "hostile":  # lone surrogates are replaced in JSON
        assert markdown.render(again) == markdown.render(report)


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_names_survive_the_way_through_json(attack):
    report = hostile(HOSTILE[attack])
    again = reading.read(data_of(report))
    # A lone surrogate is replaced in JSON, and a very long name is shortened there.
    if HOSTILE[attack].isascii() and len(HOSTILE[attack]) < 4096:
        assert markdown.render(again) == markdown.render(report)


def changed(report, *path_and_value) -> bytes:
    *path, value = path_and_value
    data = json.loads(data_of(report))
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no JSON"),
        (b'{"schema": "npugate-report/1"', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "report is no object"),
        (changed(REPORT, "schema", "npugate-report/2"), "report.schema is none of"),
        (changed(REPORT, "exit_code", 0), "exit code 0, its findings say 1"),
        (changed(CLEAN, "exit_code", 1), "exit code 1, its findings say 0"),
        (changed(REPORT, "models", 2, "verdict", "pass"), "verdict pass, its findings say fail"),
        (changed(REPORT, "fail_on", "never"), "contradicts itself"),
        (changed(as_found(REPAIRED), "models", 0, "repair", "as_found", NO), "contradicts"),
        (changed(REPAIRED, "models", 0, "repair", "verdict_after", "fail"), "verdict fail"),
        (changed(REPORT, "models", 0, "size_bytes", 10**400), "too many digits"),
        (changed(REPORT, "models", 0, "size_bytes", float("nan")), "NaN is no number"),
        (changed(REPORT, "models", 0, "size_bytes", YES), "size_bytes is no integer"),
        (changed(REPORT, "models", 0, "findings", 0, "severity", "fatal"), "severity is none"),
        (changed(REPORT, "rules", {"<b>": {}}), "has the key"),
        (
            changed(COMPARED, "models", 2, "findings", 0, "neighbours", "edges", 0, "to", 9),
            "leads to no node",
        ),
        (b" " * (reading.MAX_BYTES + 1), "more than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_report_that_is_none_or_contradicts_itself_is_refused(data, reason):
    with pytest.raises(reading.UntrustedReportError, match=reason):
        reading.read(data)


def test_the_verdict_of_a_model_judged_as_found_is_read_as_it_was_written():
    report = as_found(REPAIRED)
    assert (report.exit_code, REPAIRED.exit_code) == (1, 0)
    assert reading.read(data_of(report)).exit_code == 1


# -- the schema ----------------------------------------------------------------------------------


def mutations(value, path=()):
    """Yield copies of a JSON value with one place changed each."""
    for wrong in (None, True, -1, 1.5, "?", "", [], {}, [None], {"a": None}):
        yield path, wrong
    if isinstance(value, dict):
        for key in value:
            yield (*path, key), ...
            yield from mutations(value[key], (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value[:2]):
            yield from mutations(item, (*path, number))


def test_the_schema_is_understood_as_the_reference_implementation_does():
    reference = jsonschema.Draft202012Validator(SCHEMA)
    cases = refused = 0
    small = replace(REPORT, models=(replace(CLEAN.models[0]),), rules={})
    for report in (small, compared(replace(REPORT, rules={})), as_found(REPAIRED)):
        data = json.loads(data_of(report))
        data["models"] = data["models"][-1:]
        data["models"][0]["findings"] = data["models"][0]["findings"][:1]
        text = json.dumps(data)
        assert list(schema.faults(data, SCHEMA)) == []
        for path, wrong in mutations(data):
            copy = {"root": json.loads(text)}
            place = copy
            for key in ("root", *path)[:-1]:
                place = place[key]
            if wrong is ...:
                del place[path[-1]]
            else:
                place[path[-1] if path else "root"] = wrong
            fine = next(schema.faults(copy["root"], SCHEMA), None) is None
            assert fine == reference.is_valid(copy["root"]), (path, wrong)
            cases += 1
            refused += not fine
    assert cases > 1_000
    assert 0.5 < refused / cases < 1


def test_a_keyword_that_is_not_understood_lets_nothing_pass():
    with pytest.raises(schema.SchemaError, match="maxLength"):
        list(schema.faults("x", {"maxLength": 3}))


def test_whatever_is_not_refused_can_be_shown():
    shown = 0
    for report in (COMPARED, as_found(REPAIRED)):
        data = json.loads(data_of(report))
        data["models"] = data["models"][-1:]
        text = json.dumps(data)
        for path, wrong in mutations(data):
            copy = {"root": json.loads(text)}
            place = copy
            for key in ("root", *path)[:-1]:
                place = place[key]
            if wrong is ...:
                del place[path[-1]]
            else:
                place[path[-1] if path else "root"] = wrong
            try:
                again = reading.read(json.dumps(copy["root"]).encode())
            except reading.UntrustedReportError:
                continue
            assert markdown.render(again)
            shown += 1
    assert shown > 100

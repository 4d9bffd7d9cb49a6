"""What the page says beside the findings: the base, the repairs, estimates, links, folds."""

import pytest
from msgspec.structs import replace

from npugate.findings.values import Location, Source, Suppression
from npugate.report.estimate import Engine, Epoch, Estimate, Fit, Interval, Memory, Time
from npugate.report.values import Against
from npugate.reporters import estimates, markdown
from tests.sample_report import CLEAN, CPU, RANK, REPAIRED, REPORT, conv, finding, of

BLOB = "https://github.example/o/r/blob/0123"
ESTIMATE = Estimate(
    "stm32n6",
    "2.2",
    "stm32n6570-dk",
    (Epoch(0, Engine.NPU, ()), Epoch(1, Engine.CPU, ())),
    58_280_000,
    60_000_000,
    Memory(Fit.FITS, (), Interval(1e5, 102_400, 2e5), Interval(1e5, 204_800, 3e5), 100_000, 0),
    Time(Interval(900, 1_000, 1_500), 0.8, 0.2, 800_000),
)


def rows(page):
    return [line for line in page.splitlines() if line.startswith("| ")]


def compared(*, new=1, unchanged=2, fixed=1):
    found = tuple(
        conv(n, suppression=None if n < new else Suppression("base", "on the base branch"))
        for n in range(new + unchanged)
    )
    marks = [f.fingerprint for f in found]
    gone = tuple(finding(RANK, "rank 6", Location("", f"g{n}"), 90 + n) for n in range(fixed))
    against = Against(frozenset(marks[:new]), frozenset(marks[new:]), gone)
    return of(*found), against


def page_of(report, against, **more):
    return markdown.render(replace(report, models=(replace(report.models[0], against=against),)))


def test_a_comparison_with_the_base_is_in_the_table_and_names_what_is_old():
    page = page_of(*compared())
    assert rows(page)[0].endswith("| suppressed | against the base |")
    assert rows(page)[1].endswith("| 2 | 1 new, 1 fixed, 2 old |")
    assert "the base branch has these too: 2 x NPU104" in page


def test_a_model_that_is_as_the_base_has_it_says_so():
    report, _ = compared(new=0, unchanged=0, fixed=0)
    page = page_of(report, Against(frozenset(), frozenset(), ()))
    assert rows(page)[1].endswith("| the same |")
    assert "<details>" not in page


def test_a_model_that_the_base_does_not_have_says_so():
    report, against = compared(unchanged=0, fixed=0)
    page = page_of(report, replace(against, added=True))
    assert rows(page)[1].endswith("| new model |")
    assert "a new model" in page


@pytest.mark.parametrize(
    ("fix", "shown"),
    [
        ("Merge axes in the `view`, say `x.view(1, -1)`.", "the <code>view</code>, say <code>x.v"),
        ("`view` <b>", "- <code>view</code> &#60;b&#62;"),
        ("one ` alone", "one &#96; alone"),
    ],
)
def test_code_in_a_rules_advice_is_set_as_code(fix, shown):
    rule = replace(RANK, doc=f"Summary.\n\n**Why.** So.\n\n**Fix.** {fix}")
    report = of(finding(rule, "rank 6", Location("", "n"), 1))
    assert shown in markdown.render(replace(report, rules={rule.id: rule}))


def test_the_verdicts_before_and_after_repair_stand_side_by_side():
    for as_found in (True, False):
        models = tuple(replace(model, as_found=as_found) for model in REPAIRED.models)
        page = rows(markdown.render(replace(REPAIRED, models=models)))
        assert page[0].startswith("| model | as it is |")
        row = next(line for line in page if "rppg" in line)
        assert "| ❌ fail |" in row
        assert row.endswith("| ✅ pass |")


@pytest.mark.parametrize("count", [3, 50, 500])
def test_a_run_that_passes_takes_one_screen(count):
    warned = of(conv(1, CPU)).models[0]
    models = tuple(replace(warned, path=f"{n}.onnx") for n in range(count))
    notices = tuple(f"notice {n}" for n in range(30))
    page = markdown.render(replace(CLEAN, models=models, notices=notices))
    assert page.startswith("## ✅ npugate: PASS\n")
    depth, seen = 0, 0
    for line in page.splitlines():
        seen += depth == 0 and bool(line)
        depth += line.count("<details>") - line.count("</details>")
    assert depth == 0
    assert seen < 25


def test_the_line_of_python_is_a_link_where_the_page_can_be_linked():
    page = markdown.render(REPORT, blob=BLOB)
    assert f"({BLOB}/examples/rppg/model_4d_stm32.py#L27)" in page
    assert BLOB not in markdown.render(REPORT)


@pytest.mark.parametrize("file", ["../../evil/x.py", "/etc/x.py", "a//b.py", "", "a/./b.py"])
def test_a_path_that_leads_out_of_the_checkout_is_no_link(file):
    found = finding(RANK, "rank 6", Location("", "n"), 1, source=Source(file, 3, "x"))
    assert BLOB not in markdown.render(of(found), blob=BLOB)


def test_an_estimate_is_one_line_and_says_what_changed_against_the_base():
    older = replace(ESTIMATE, macs=50_000_000, epochs=(Epoch(0, Engine.NPU, ()),))
    assert estimates.line(ESTIMATE) == (
        "estimate for stm32n6570-dk: 50% of 2 epochs on the NPU, 58.28 MMAC, "
        "1 ms (0.9 to 1.5), weights 100.0 KiB, activations 200.0 KiB, fits"
    )
    told = estimates.line(ESTIMATE, older)
    assert "50% of 2 epochs on the NPU (was 100%), 58.28 MMAC (+16.6%), 1 ms" in told
    model = replace(CLEAN.models[0], estimate=ESTIMATE)
    page = markdown.render(replace(CLEAN, models=(model,)))
    assert "58.28 MMAC, 1 ms" in page
    against = Against(frozenset(), frozenset(), (), older)
    page = markdown.render(replace(CLEAN, models=(replace(model, against=against),)))
    assert "58.28 MMAC &#40;+16.6%&#41;" in page


def test_what_belongs_to_an_item_is_indented_as_far_as_its_text():
    page = markdown.render(of(*(conv(n, RANK if n % 2 else CPU) for n in range(14))))
    for number in (1, 9, 10, 14):
        lines = page.splitlines()
        place = next(n for n, line in enumerate(lines) if line.startswith(f"{number}. "))
        assert lines[place + 1].index("-") == len(f"{number}. ")

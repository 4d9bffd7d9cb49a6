"""Name a finding so that it is recognised after numbers and unrelated nodes have changed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from npugate.findings.values import Hit, Location
from npugate.sha256 import sha256

_DIGITS: Final = 16
# What may differ in a message although it says the same: names, which are quoted, and numbers.
_QUOTED: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_FIGURE: Final = re.compile(
    r"[^\s,;:()\[\]]*\d[^\s,;:()\[\]]*(?: (?:[KMG]iB|B|[mu]?s|bytes?)\b)?|(?<=[\[ ])\?(?=[,\]])"
)
_ITEM: Final = r"[\[(]?#[\])]?"
_LIST: Final = re.compile(rf"{_ITEM}(?:(?:,| ->)? ?{_ITEM})*")
_PLURAL: Final = re.compile(r"(# \w+?)s\b")
_WHITE: Final = re.compile(r"\s+")


def wording(message: str) -> str:
    """Return what a message says without its names and numbers.

    ``kernel 5x5 is larger than the 3x6 of 'c'`` and the same of ``7x7`` and ``'d'`` are alike.
    """
    text = _FIGURE.sub("#", _QUOTED.sub("#", message))
    text = _PLURAL.sub(r"\1", _LIST.sub("#", text))
    return _WHITE.sub(" ", text.replace(" are ", " is ").replace(" have ", " has ")).strip()


def subject(hit: Hit, digest: str | None) -> str:
    """Return what a hit is about beside its place: the rule's own word for it, else the wording.

    Args:
        hit: of a rule.
        digest: of the file, for a rule that says that the file could not be examined: then it is
            about this file and no other. None for every other rule.
    """
    if digest is not None:
        return f"sha256:{digest}"
    return wording(hit.message) if hit.subject is None else hit.subject


def fingerprints(places: Iterable[tuple[str, Location, str]]) -> Iterator[str]:
    """Yield one fingerprint for each (rule id, place, subject), in the order given.

    It is made of the rule, the graph, the node (an unnamed one goes by its first output), its
    operator, the value, the subject and a running number among equals; not of the path, nor of any
    figure in the message.
    """
    return _named(
        (rule, place.graph, place.node, place.op_type, place.value, about)
        for rule, place, about in places
    )


def early(places: Iterable[tuple[str, Location]]) -> Iterator[str]:
    """Yield the fingerprints of baselines of the first form: neither operator nor subject."""
    return _named((rule, place.graph, place.node, place.value) for rule, place in places)


def _named(keys: Iterable[tuple[str, ...]]) -> Iterator[str]:
    seen: Counter[tuple[str, ...]] = Counter()
    for key in keys:
        seen[key] += 1
        text = "\0".join((*key, str(seen[key])))
        digest = sha256(text.encode("utf-8", "surrogatepass"))
        yield digest[:_DIGITS]

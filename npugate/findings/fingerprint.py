"""Name a finding so that it is known again after figures and unrelated nodes have changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from npugate.findings.values import Location
from npugate.sha256 import sha256

_DIGITS = 16


def fingerprints(places: Iterable[tuple[str, Location]]) -> Iterator[str]:
    """Yield one fingerprint for each (rule id, place), in the order given.

    It is made of the rule, the graph, the node (an unnamed one goes by its first output), the value
    and a running number among equals; not of the path, nor of any figure in the message.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    for rule, place in places:
        key = (rule, place.graph, place.node, place.value)
        seen[key] += 1
        text = "\0".join((*key, str(seen[key])))
        digest = sha256(text.encode("utf-8", "surrogatepass"))
        yield digest[:_DIGITS]

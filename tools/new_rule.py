"""Begin a rule: ``.venv/bin/python tools/new_rule.py NAME FAMILY [REPAIR]``, after ``make venv``.

NAME says what is wrong, as ``reshape-allowzero`` does; FAMILY is the hundreds of its id. The file
gets the next free id and an example that fails until the rule is written.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Final, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from npugate import __version__
from npugate.rules import registry

CHECKS: Final = Path(__file__).resolve().parents[1] / "checks"
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+")
_BODY: Final = Template('''"""TODO: what is wrong, as a sentence.

**Why.** TODO: what the compiler does with it, and where that is known from.

**Fix.** TODO: what to do; the first sentence is printed in reports.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Relu (TODO)."""
    for node in facts.nodes_of("Relu"):
        yield node.hit("TODO: what, the limit and the value")


RULE = Rule(
    id="$id",
    name="$name",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("TODO: document, version and section, or a report of the compiler",),
    check=check,$repair
    since="$version",
    examples=(
        Example(
            title="TODO: what the bad model does",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 2, 4] x) => (float[1, 2, 4] y)
                { y = Relu (x) }
            """,
            messages=("the message of this model, to the letter",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 2, 4] x) => (float[1, 2, 4] y)
                { y = Sigmoid (x) }
            """,
        ),
    ),
)
''')
_NEXT: Final = Template("""wrote checks/$stem.py as $id
next:
  1. write the docstring, check(), the sources and the example; nothing else names the rule
  2. .venv/bin/pytest tests/checks/test_examples.py -k $id    (it fails until the example holds)
  3. break check() on purpose and see the example fail
  4. a row in npugate/target/data/*.toml where a number or the level depends on the chip
  5. a line in CHANGELOG.md that names $id: a new rule can turn a build red
  6. make docs, then make test; tools/corpus.py runs it over models of your own
""")


def next_id(taken: Iterable[str], family: int) -> str:
    """Return the lowest id above every one of the family that was ever used.

    Raises:
        ValueError: the family is full.
    """
    used = [int(key.removeprefix("NPU")) for key in taken]
    number = max((n for n in used if n // 100 == family), default=family * 100) + 1
    if number // 100 != family:
        raise ValueError(f"family {family} has no free id")
    return f"NPU{number:03}"


def main(arguments: Sequence[str] | None = None, out: TextIO = sys.stdout) -> int:
    """Write the file; return 0, 2 when the name or the family cannot be used."""
    about = ", ".join(f"{number} {text}" for number, text in registry.FAMILIES.items())
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", help="kebab-case: what is wrong, not the remedy")
    parser.add_argument("family", type=int, choices=registry.FAMILIES, help=about)
    parser.add_argument("repair", nargs="?", help="name of the repair that removes the finding")
    chosen = parser.parse_args(arguments)
    rules = registry.rules()
    path = CHECKS / f"{chosen.name.replace('-', '_')}.py"
    if not _NAME.fullmatch(chosen.name):
        parser.error(f"{chosen.name!r}: write two or more words in kebab-case, dynamic-dimension")
    if chosen.name in {rule.name for rule in rules.values()} or path.exists():
        parser.error(f"there is a rule {chosen.name!r} already")
    if chosen.repair is not None and chosen.repair not in registry.repairs():
        parser.error(f"there is no repair {chosen.repair!r}: {', '.join(registry.repairs())}")
    key = next_id(rules, chosen.family)
    repair = f'\n    repair="{chosen.repair}",' if chosen.repair else ""
    text = _BODY.substitute(id=key, name=chosen.name, version=__version__, repair=repair)
    path.write_text(text, encoding="utf-8")
    out.write(_NEXT.substitute(stem=path.stem, id=key))
    return 0


if __name__ == "__main__":
    sys.exit(main())

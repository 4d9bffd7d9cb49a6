"""Make text from a model harmless, one function for each place it can end up in.

Names, messages, source lines and paths come from files that anybody may have written. A *fragment*
function turns one such string into one that can be put into a line of ours; a *document* function
is the last step of a reporter and holds for the whole output, whatever the fragments were. None of
them lets a raw control, escape or bidirectional character, a lone surrogate or a log command out.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import quote

NAME_LIMIT: Final = 200  # characters of a name or place shown to a person
TEXT_LIMIT: Final = 1_000  # characters of a message shown to a person
DATA_LIMIT: Final = 4_096  # characters of any string in the JSON report

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NOT_A_BYTE: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # the rest stands for a raw byte
_NOT_ASCII: Final = re.compile(r"[^\x20-\x7e\n]")
_LOG_PREFIX: Final = re.compile(r"^(\s*)::", re.MULTILINE)  # GitHub: only at the start of a line
_LOG_BRACKET: Final = re.compile(r"##(?=\w*\[)")  # GitHub, Azure, TeamCity: anywhere in a line
_MENTION: Final = re.compile(r"@(?=\w)")
_PLACEHOLDER: Final = re.compile(r"\{(\d+)\}")
_MARKUP: Final = re.compile(r"[&<>\"'`*_\[\](){}#|~@$\\!:]")
_HTML: Final = re.compile(r"[&<>\"'`=#:]")
_SCRIPT: Final = re.compile(r"[<>&\x7f]")
_WWW: Final = re.compile(r"(?i)www\.")
_REFERENCE: Final = re.compile(r"(@|#|(?i:\bgh-)|(?i:\bwww)|(?i:https?:|ftp:))(?=[\w./])")
_EMAIL: Final = re.compile(r"(?<=[\w.+-])@(?=[\w-]+\.\w)")
_BREAK: Final = "\N{ZERO WIDTH SPACE}"
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def clip(text: str, limit: int) -> str:
    """Cut the middle out of a long text, so that a figure at its end survives.

    Args:
        text: any text.
        limit: characters kept; the note about what is missing comes on top.
    """
    if len(text) <= limit:
        return text
    tail = limit // 3
    head = limit - tail
    return f"{text[:head]}...({len(text) - limit} more characters)...{text[len(text) - tail :]}"


def visible(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return one line without any character that a terminal or a page would act on.

    Control, format (bidirectional, zero-width), private and unassigned characters, surrogates and
    line breaks are written as Python escapes.
    """
    text = clip(text, limit)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def log_document(document: str) -> str:
    """Return a text that no CI log takes a command from.

    GitHub acts on ``::name`` at the start of a line and on ``##[`` anywhere, Azure on ``##vso[``.
    """
    document = _LOG_PREFIX.sub(r"\1\\x3a:", document)
    return _LOG_BRACKET.sub(r"#\\x23", document)


def log_lines(text: str) -> str:
    """Return a text for a log, every line of it harmless and ended.

    Lines after the first are indented: a line break in a name makes no line that looks like ours.
    """
    lines = (visible(line, DATA_LIMIT) for line in text.split("\n"))
    return log_document("\n  ".join(lines).rstrip() + "\n")


def json_document(value: object) -> str:
    """Encode a value as indented ASCII JSON, ending in a newline.

    A lone surrogate, which strict readers refuse, becomes U+FFFD. Everything else is kept.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    text = _NOT_ASCII.sub(_json_escape, _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text))
    return text.replace("##", "#\\u0023") + "\n"


def json_script(value: object) -> str:
    """Encode a value as JSON on one line that can stand inside a script element of a page.

    No markup of any kind is left in it, so that nothing it holds can end the element.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = _SCRIPT.sub(_unicode_escape, _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text))
    if not text.isprintable():
        text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
    return text.replace("##", "#\\u0023")


def attribute(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return one line that HTML shows as it is, in text and in a quoted attribute."""
    return _HTML.sub(_entity, visible(text, limit))


def xml(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return one line of characters that XML 1.0 allows; the writer escapes the markup."""
    return visible(text, limit)


def xml_document(document: str) -> str:
    """Return the document with log commands written as character references."""
    return _LOG_PREFIX.sub(r"\1&#58;:", document.replace("##", "#&#35;"))


def markdown(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return prose that Markdown, HTML and a table cell show as it is.

    Mentions, issue references and addresses are found by GitHub after rendering, where an entity
    no longer protects, so they are split by a zero-width space.
    """
    text = _REFERENCE.sub(rf"\1{_BREAK}", visible(text, limit))
    return _MARKUP.sub(_entity, text).replace(_BREAK, "&#8203;")


def markdown_code(text: str, limit: int = NAME_LIMIT) -> str:
    """Return a name as inline code; works in prose, in a table cell and inside HTML.

    The element is ``<code>`` and not a pair of backticks, because it needs no fence that is longer
    than what it holds. GitHub looks for no mentions inside, but for addresses.
    """
    text = _EMAIL.sub(f"@{_BREAK}", visible(text, limit))
    text = _MARKUP.sub(_entity, text).replace(_BREAK, "&#8203;")
    return f"<code>{_WWW.sub('www&#46;', text)}</code>"


def sarif_message(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return a text without SARIF links, placeholders or mentions."""
    text = visible(text, limit).replace("](", "] (")
    return _MENTION.sub(f"@{_BREAK}", _PLACEHOLDER.sub(r"{{\1}}", text))


def uri(path: str) -> str:
    """Return a relative path as a URI reference; bytes that are no UTF-8 are kept as bytes."""
    whole = _NOT_A_BYTE.sub("\N{REPLACEMENT CHARACTER}", clip(path, DATA_LIMIT))
    return quote(whole.encode("utf-8", "surrogateescape"), safe="/")


def _escaped(char: str) -> str:
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if code <= 0xFF:  # noqa: PLR2004  # the widths of Python's own escapes
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004  # as above


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1] if match[0] != "\x7f" else "\\u007f"


def _unicode_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _entity(match: re.Match[str]) -> str:
    return f"&#{ord(match[0])};"

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from npugate import escape
from tests.sample_report import HOSTILE


@pytest.mark.parametrize(
    ("function", "raw", "expected"),
    [
        (escape.visible, "onnx::Conv_12 [1, 2]", "onnx::Conv_12 [1, 2]"),
        (escape.visible, "a\nb\tc\r\x1b[0m\x85", "a\\nb\\tc\\r\\x1b[0m\\x85"),
        (escape.visible, "\u202ex\ud800\U000e0001", "\\u202ex\\ud800\\U000e0001"),
        (escape.visible, "\u6a21\u578b \u00e9", "\u6a21\u578b \u00e9"),
        (escape.xml, "]]>\0\uffff", "]]>\\x00\\uffff"),
        (escape.log_document, "::error::x\n  ::y\na::b", "\\x3a:error::x\n  \\x3a:y\na::b"),
        (escape.log_document, "a ##[group] ##vso[x] # ## [", "a #\\x23[group] #\\x23vso[x] # ## ["),
        (escape.log_document, "####[x", "###\\x23[x"),
        (escape.xml_document, "<a>::x ##[y</a>\n ::z", "<a>::x #&#35;[y</a>\n &#58;:z"),
        (
            escape.markdown,
            "a|b `c` <d> @e #1 *f*",
            "a&#124;b &#96;c&#96; &#60;d&#62; &#64;&#8203;e &#35;&#8203;1 &#42;f&#42;",
        ),
        (
            escape.markdown,
            "https://e.example www.e.example GH-3",
            "https&#58;&#8203;//e.example www&#8203;.e.example GH-&#8203;3",
        ),
        (escape.markdown, "rank 6 > 5, so 1e-3 is 100%", "rank 6 &#62; 5, so 1e-3 is 100%"),
        (
            escape.markdown_code,
            "@a`b`|</code>",
            "<code>&#64;a&#96;b&#96;&#124;&#60;/code&#62;</code>",
        ),
        (
            escape.markdown_code,
            "a@b.c x@w @jit.s",
            "<code>a&#64;&#8203;b.c x&#64;w &#64;jit.s</code>",
        ),
        (escape.markdown_code, "WWW.e", "<code>www&#46;e</code>"),
        (escape.sarif_message, "[a](0) {0} {x} @b", "[a] (0) {{0}} {x} @\u200bb"),
        (escape.sarif_message, "shape [1, 2] a @ b", "shape [1, 2] a @ b"),
        (escape.uri, "a b/\u00e9#?%:.onnx", "a%20b/%C3%A9%23%3F%25%3A.onnx"),
        (escape.uri, "raw\udcffbyte\ud800", "raw%FFbyte%EF%BF%BD"),
    ],
)
def test_each_sink_gets_text_it_shows_as_it_is(function, raw, expected):
    assert function(raw) == expected


def test_a_long_text_keeps_its_beginning_and_its_end():
    raw = "a" * 500_000 + "b" * 500_000
    assert escape.clip(raw, 30) == f"{'a' * 20}...(999970 more characters)...{'b' * 10}"
    assert escape.clip("abc", 3) == "abc"


@pytest.mark.parametrize("attack", HOSTILE)
def test_visible_text_is_one_printable_line(attack):
    assert escape.visible(HOSTILE[attack]).isprintable()


@pytest.mark.parametrize(
    "value", ["\ud83d\ude00", "\U0001f600\x7f\u202e", "##[x ###vso[", '\\##"', "a\x1b\0\n"]
)
def test_json_is_ascii_and_gives_back_the_same_text(value):
    document = escape.json_document({value: [value]})
    same = "".join("\ufffd" if 0xD800 <= ord(char) <= 0xDFFF else char for char in value)
    assert json.loads(document) == {same: [same]}
    assert "##" not in document
    assert document.replace("\n", "").isascii()
    assert document.replace("\n", "").isprintable()


def test_an_xml_document_with_references_reads_the_same():
    document = "<a b='##[x'>::y\n::z ###vso[</a>"
    before, after = ET.fromstring(document), ET.fromstring(escape.xml_document(document))  # noqa: S314  # our own text
    assert (after.attrib, after.text) == (before.attrib, before.text)

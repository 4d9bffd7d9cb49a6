"""Amounts as people write them: sizes, times, budgets."""

import pytest

from npugate.units import Budget, parse_budget, parse_size, parse_time, show_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1.8 MiB", 1_887_437), ("512KiB", 524_288), ("64 kB", 65_536), (" 100 b ", 100)],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1", "-1 KiB", "0 MiB", "1e9 B", "nan B", "1 GiB", "1 MiB x"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="must be a size such as"):
        parse_size(text)


def test_budgets_lie_on_top_of_one_another():
    base = parse_budget({"ram": "2 MiB", "latency": "15 ms"})
    assert base == Budget(ram=2 << 20, latency=15_000.0)
    assert parse_budget({"ram": "1 MiB"}).over(base) == Budget(1 << 20, None, 15_000.0)
    assert parse_time("2 s") == 2e6
    assert [show_size(x) for x in (65, 12_800, 3 << 20)] == ["65 B", "12.5 KiB", "3.00 MiB"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"rom": "1 KiB"}, "unknown key 'rom'"),
        ({"ram": 5}, "'ram' must be a string"),
        ({"latency": "5 MiB"}, "'latency' must be a time"),
    ],
)
def test_a_budget_that_says_nothing_is_refused(rows, words):
    with pytest.raises(ValueError, match=words):
        parse_budget(rows)

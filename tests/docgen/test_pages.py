"""What is generated besides the pages of the targets: counts, and the list of addresses."""

import io

import pytest

from npugate.docgen import pages
from npugate.rules import registry
from npugate.target import profiles


@pytest.fixture(scope="module")
def generated():
    return pages.pages()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Lay out a repository whose only generated files are those of the test."""

    def lay_out(wanted, **there):
        for name, text in there.items():
            path = tmp_path / "docs" / name.replace("__", "/").replace("_", "-")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".md").write_text(text, encoding="utf-8")
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / "addresses.txt").write_text(wanted, encoding="utf-8")
        monkeypatch.setattr(pages, "ROOT", tmp_path)
        monkeypatch.setattr(pages, "_ADDRESSES", tmp_path / "docs" / "addresses.txt")
        monkeypatch.setattr(pages, "pages", lambda: {tmp_path / "docs/addresses.txt": wanted})
        return tmp_path / "docs"

    return lay_out


def run(*arguments):
    out = io.StringIO()
    return pages.main(arguments, out), out.getvalue()


def test_every_rule_and_repair_has_an_address_and_a_page_there(generated):
    listed = generated[pages.ROOT / "docs/addresses.txt"].split()
    names = [f"rules/{rule.name}" for rule in registry.rules().values()]
    names += [f"repairs/{name}" for name in registry.repairs()]
    assert set(names) <= set(listed)
    assert [name for name in names if pages.ROOT / f"docs/{name}.md" not in generated] == []


def test_the_readme_counts_the_rules(generated):
    assert f"[{len(registry.rules())} rules]" in generated[pages.ROOT / "README.md"]


def test_the_index_of_the_targets_has_each_with_its_toolchains(generated):
    text = generated[pages.ROOT / "docs/targets/README.md"]
    for name in profiles.names():
        target = profiles.load(name)
        versions = ", ".join(row.version for row in target.toolchains)
        assert f"| [{name}]({name}.md) | {target.title} | {versions} |" in text


def test_an_address_is_never_dropped():
    text = pages.addresses("rules/old\nrules/one\n", ["one", "two"], ["mend"])
    assert text.split() == ["repairs/mend", "rules/old", "rules/one", "rules/two"]


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_a_page_that_reports_link_to_and_that_is_gone_is_asked_for(folder, arguments):
    folder("rules/old\n")
    code, said = run(*arguments)
    assert code == 1
    assert "docs/rules/old.md is gone: reports link to it" in said


def test_the_generated_page_of_a_rule_that_went_is_removed_and_asked_for(folder):
    docs = folder("rules/old\n", rules__old=f"{pages._GENERATED}\n# NPU199 old\n")
    assert run("--check")[0] == 1
    code, said = run()
    assert (code, (docs / "rules/old.md").exists()) == (1, False)
    assert "docs/rules/old.md is gone" in said


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_a_page_that_was_written_for_a_rule_that_went_is_kept(folder, arguments):
    docs = folder("rules/old\n", rules__old="# NPU199 old\n\nIt is part of NPU101 now.\n")
    assert run(*arguments)[0] == 0
    assert (docs / "rules/old.md").exists()


def test_a_page_that_nobody_links_to_and_nothing_makes_is_removed(folder):
    docs = folder("", rules__stray="# A stray page\n")
    assert run("--check")[0] == 1
    assert run()[0] == 0
    assert not (docs / "rules/stray.md").exists()

"""The image is built by importing what the code names: it must be locked, or left out."""

import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "image" / "precompile.py"


def precompile():
    spec = importlib.util.spec_from_file_location("precompile", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_module_that_the_code_names_is_in_the_image_or_left_out_by_name():
    tool = precompile()
    files = [path for top in ("npugate", "checks", "fixers") for path in (ROOT / top).rglob("*.py")]
    named = {name.partition(".")[0] for path in files for name in tool._names(path)}
    lock = (ROOT / "requirements" / "run.lock").read_text("utf-8")
    locked = {plain(name) for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    brought = {
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if locked & {plain(package) for package in packages}
    }
    assert named - set(sys.stdlib_module_names) - {"npugate"} - brought - tool.ABSENT == set()
    assert tool.ABSENT.isdisjoint(brought)


def test_modules_that_begin_with_an_extra_are_not_imported_in_the_image():
    tool = precompile()
    top = ROOT / "npugate"
    found = {tool._module(p, top) for p in top.rglob("*.py") if tool._needs_what_is_absent(p)}
    assert found == {"npugate.docgen.pictures", "npugate.export.pytorch"}

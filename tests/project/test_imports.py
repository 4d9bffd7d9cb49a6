"""Who may import whom, as docs/architecture.md says, and what a start costs in imports."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "tests/fixtures/models/rppg_4d_fp32.onnx"

# Who may import whom: a package imports itself and what stands above it in this list, nothing else;
# imports for annotations count. docs/architecture.md shows the same list.
ORDER = (
    "errors limits units operators sha256 escape log nesting streams console",
    "beneath atomic_write __init__",
    "findings",  # what a rule says
    "report",  # the outcome of a run, as values
    "sandbox",  # child processes
    "model",  # read and write files
    "repository",  # which files
    "facts",  # what is known of a graph
    "relations",  # of operands to each other
    "target",  # what a chip takes
    "surgery",  # edit a graph
    "estimate",  # the model of the compiler
    "rules",  # declare, load, run
    "api",  # what checks/ and fixers/ may name
    "settings",  # of a run
    "proof",  # compare the numbers of two models
    "repair",  # apply, check, keep
    "compilers",  # of vendors
    "calibration",
    "int8",
    "evaluation",
    "export",
    "deploy",
    "reporters",
    "snapshot",
    "run",  # the straight line
    "github",
    "docgen",
    "commands",
    "cli __main__",
)
RANK = {name: rank for rank, row in enumerate(ORDER) for name in row.split()}
# Rows that say more than the list does: all that these may import of ours.
ONLY = {
    "checks.*": {"npugate.api"},
    "fixers.*": {"npugate.api", "npugate.surgery"},
    "npugate.reporters.*": {
        "npugate.deploy.values",
        "npugate.escape",
        "npugate.evaluation.values",
        "npugate.export.values",
        "npugate.findings",
        "npugate.int8.values",
        "npugate.report",
        "npugate.reporters",
        "npugate.sha256",
    },
    "entrypoint": {"npugate.cli"},
}
HEAVY = {"onnx", "numpy", "google"}
LIGHT = (
    "npugate.cli",
    "npugate.commands.arguments",
    "npugate.commands.deployment_arguments",
    "npugate.commands.parser",
    "npugate.compilers.*",
    "npugate.console",
    "npugate.findings.*",
    "npugate.github.*",
    "npugate.report.*",
    "npugate.reporters.*",
    "npugate.sandbox.*",
)
EDGES = ("npugate.cli", "npugate.github.*", "npugate.commands.*")


def modules():
    for folder in ("npugate", "checks", "fixers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), path
    yield "entrypoint", ROOT / "entrypoint.py"


MODULES = dict(modules())
# A rule or a repair is imported as npugate.checks.… where it is installed.
CHILD = {f"npugate.{m}": m for m in MODULES if m.startswith(("checks.", "fixers."))}


def imported(path):
    """Every module that a file names in an import; ``from a import b`` is a.b where that is one."""
    yield from _named_in(ast.parse(path.read_text("utf-8")), path)


def imported_at_run(path):
    """The same without what is imported for annotations only."""
    tree = ast.parse(path.read_text("utf-8"))
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    yield from _named_in(tree, path)


def _named_in(tree, path):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def covers(pattern, name):
    return name == pattern or (pattern.endswith(".*") and name.startswith(pattern[:-1]))


def package(name):
    return name.split(".")[1] if "." in name else "__init__"


def offences(name, path):
    ours = {m for m in imported(path) if m.partition(".")[0] in {"npugate", "checks", "fixers"}}
    row = next((only for pattern, only in ONLY.items() if covers(pattern, name)), None)
    if row is not None:
        return {m for m in ours if not any(m == a or m.startswith(a + ".") for a in row)}
    own = RANK[package(name)]
    return {m for m in ours if m.partition(".")[0] != "npugate" or RANK[package(m)] > own}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_what_stands_before_it_only(name):
    assert not name.startswith("npugate") or package(name) in RANK, f"{name} is not in ORDER"
    assert offences(name, MODULES[name]) == set()


def test_the_list_fits_on_a_screen_and_names_what_is_there():
    assert len(ORDER) <= 40
    assert len(RANK) == sum(len(row.split()) for row in ORDER), "a package stands there twice"
    there = {package(name) for name in MODULES if name.startswith("npugate")}
    assert there == set(RANK)


def test_the_architecture_page_shows_the_same_list():
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    shown = page.partition("<!-- import order -->\n```\n")[2].partition("\n```")[0].splitlines()
    assert [line.partition("  ")[0].strip() for line in shown] == list(ORDER)


def test_no_modules_import_each_other_in_a_circle():
    """Imports for annotations and inside functions count."""
    edges = {
        name: {m for m in (CHILD.get(m, m) for m in imported(path)) if m in MODULES and m != name}
        for name, path in MODULES.items()
    }
    TopologicalSorter(edges).prepare()  # its CycleError names the circle


def test_an_import_upwards_would_be_seen(tmp_path):
    path = tmp_path / "rule.py"
    path.write_text("from npugate.cli import main\n")
    assert offences("checks.rule", path) == {"npugate.cli"}
    assert offences("npugate.facts.graph", path) == {"npugate.cli"}
    path.write_text("from npugate.run import pipeline\n")
    assert offences("npugate.reporters.json", path) == {"npugate.run.pipeline"}
    assert offences("npugate.model.reader", path) == {"npugate.run.pipeline"}
    path.write_text("from npugate.findings import values\n")
    assert offences("npugate.model.reader", path) == set()


def test_only_commands_github_and_the_generated_pages_know_the_reporters():
    users = {
        package(name)
        for name, path in MODULES.items()
        if any(m.startswith("npugate.reporters") for m in imported(path))
    }
    assert users <= {"reporters", "commands", "github", "docgen"}


@pytest.mark.parametrize("name", [n for n in MODULES if any(covers(p, n) for p in LIGHT)])
def test_what_must_start_quickly_names_neither_onnx_nor_numpy(name):
    assert not HEAVY & {module.partition(".")[0] for module in imported_at_run(MODULES[name])}


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith(("checks", "fixers"))])
def test_a_rule_imports_of_others_only_onnx_and_numpy(name):
    others = {module.partition(".")[0] for module in imported_at_run(MODULES[name])}
    assert others - sys.stdlib_module_names <= {"npugate", "onnx", "numpy"}


def test_onnxruntime_has_two_importers():
    """One runs models; the other is the library's own quantiser, which nothing else needs."""
    users = {
        name
        for name, path in MODULES.items()
        if any(m.partition(".")[0] == "onnxruntime" for m in imported(path))
    }
    assert users == {"npugate.proof.sessions", "npugate.int8.scheme"}


def test_torch_has_one_importer_which_is_loaded_in_the_child_only():
    users = {
        name
        for name, path in MODULES.items()
        if any(m.partition(".")[0] in {"torch", "onnxscript"} for m in imported(path))
    }
    assert users == {"npugate.export.pytorch"}
    tops = {
        name
        for name, path in MODULES.items()
        for node in ast.parse(path.read_text("utf-8")).body
        if "npugate.export.pytorch" in set(_named_in(ast.Module([node], []), path))
        and not isinstance(node, ast.FunctionDef | ast.If)
    }
    assert tops == set()


def test_nothing_that_the_action_runs_can_run_the_users_code():
    users = {
        name
        for name, path in MODULES.items()
        if any(covers("npugate.export.*", m) for m in imported(path))
        and not covers("npugate.export.*", name)
    }
    assert users == {"npugate.commands.export", "npugate.reporters.exported"}


def test_only_the_edges_read_the_environment():
    readers = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
    }
    assert {n for n in readers if not any(covers(edge, n) for edge in EDGES)} == set()


def loaded(cwd, *arguments):
    """Run the program in a process of its own and return its status and what it has imported."""
    code = (
        "import sys\nfrom npugate.cli import main\n"
        f"status = main({list(arguments)!r})\n"
        "tops = {m.partition('.')[0] for m in sys.modules}\n"
        "ours = {m for m in sys.modules if m.startswith('npugate.')}\n"
        "sys.stderr.write(' '.join(tops | ours))\n"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, set(done.stderr.split())


@pytest.mark.usefixtures("uncovered")
@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["check", "--help"], ["completion", "bash"]]
)
def test_a_question_to_the_program_loads_nothing_heavy(arguments, tmp_path):
    status, found = loaded(tmp_path, *arguments)
    assert status == 0
    assert "npugate" in found
    assert not found & {"onnx", "numpy", "onnxruntime", "onnx_graphsurgeon", "tqdm", "junit_xml"}


@pytest.mark.usefixtures("uncovered")
def test_a_check_loads_no_runtime(tmp_path):
    status, found = loaded(tmp_path, "check", str(FIXTURE), "--quiet", "--fail-on", "never")
    assert status == 0
    assert "onnx" in found
    assert not found & {"onnxruntime", "onnx_graphsurgeon", "torch", "shtab", "tqdm"}
    assert not found & {"npugate.compilers.stedgeai.driver", "npugate.github", "npugate.deploy"}
    assert not found & {"logging", "traceback", "difflib"}, "they cost a check half a megabyte"


@pytest.mark.usefixtures("uncovered")
def test_what_has_the_token_loads_nothing_that_reads_models(tmp_path):
    status, found = loaded(tmp_path, "comment")
    assert status == 0
    assert "urllib" in found
    assert not found & {"onnx", "numpy", "google", "onnxruntime", "onnx_graphsurgeon"}

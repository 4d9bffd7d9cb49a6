"""Who may import whom, as docs/architecture.md says, and what a start costs in imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FIXTURE = ROOT / "tests/fixtures/models/rppg_4d_fp32.onnx"

# Layers from the bottom up; a module may import its own layer and those below it.
LAYERS = (
    (
        "npugate",
        "npugate.digest",
        "npugate.errors",
        "npugate.heap",
        "npugate.log",
        "npugate.sketch",
        "npugate.text",
        "npugate.targets",
        "npugate.wire",
    ),
    ("npugate.types",),
    ("npugate.estimate", "npugate.estimate.values", "npugate.graphview"),
    ("npugate.estimate.sizes",),
    ("npugate.estimate.boards",),
    ("npugate.estimate.mpool",),
    ("npugate.stedgeai", "npugate.stedgeai.values"),
    ("npugate.report", "npugate.files", "npugate.fingerprint", "npugate.isolate"),
    ("npugate.sketching",),
    ("npugate.stedgeai.*",),
    ("npugate.payload", "npugate.survey", "npugate.filekind", "npugate.external"),
    ("npugate.wirefault", "npugate.model"),
    ("npugate.facts", "npugate.facts.*"),
    ("npugate.weights", "npugate.snapshot"),
    ("npugate.predicates", "npugate.predicates.*", "npugate.constraints"),
    ("npugate.targetrows", "npugate.targetfile", "npugate.target"),
    ("npugate.surgery", "npugate.surgery.*"),
    ("npugate.estimate.lives", "npugate.estimate.parameters", "npugate.estimate.planner"),
    ("npugate.estimate.plain",),
    ("npugate.estimate.memory",),
    ("npugate.figures",),
    ("npugate.estimate.integers", "npugate.estimate.lowering", "npugate.estimate.counting"),
    ("npugate.estimate.placement",),
    ("npugate.estimate.chip",),
    ("npugate.estimate.convolution",),
    ("npugate.estimate.timing",),
    ("npugate.estimate.assemble",),
    ("npugate.api",),
    ("npugate.proof", "npugate.proof.*", "npugate.storage", "npugate.graphdiff"),
    ("npugate.registry", "npugate.check", "npugate.gitfiles", "npugate.selection"),
    ("npugate.discover", "npugate.options", "npugate.sources", "npugate.base", "npugate.baseline"),
    ("npugate.config", "npugate.suppress", "npugate.testing"),
    ("npugate.surgery", "npugate.surgery.*"),
    ("npugate.proof", "npugate.proof.*", "npugate.graphdiff", "npugate.storage", "npugate.bench"),
    ("npugate.repair",),
    ("npugate.int8.values", "npugate.evaluation.values", "npugate.export.values"),
    ("npugate.calibration", "npugate.calibration.*", "npugate.modelfiles", "npugate.apart"),
    ("npugate.int8", "npugate.int8.*", "npugate.evaluation", "npugate.evaluation.*"),
    ("npugate.export", "npugate.export.*"),
    ("npugate.worker",),
    ("npugate.opinion",),
    ("npugate.pipeline",),
    ("npugate.arguments", "npugate.cli"),
    ("npugate.github", "npugate.github.*"),
    ("npugate.docs_targets", "npugate.docs_pictures", "npugate.docs"),
    ("npugate.deploy", "npugate.deploy.*"),
    ("npugate.commands", "npugate.commands.*", "npugate.__main__"),
)
# Rows that say more than the layer does: all that these may import of ours.
ONLY = {
    "checks.*": {"npugate.api"},
    "fixers.*": {"npugate.api", "npugate.surgery"},
    "npugate.reporters": {
        "npugate.estimate.values",
        "npugate.report",
        "npugate.reporters",
        "npugate.stedgeai.values",
        "npugate.types",
    },
    "npugate.reporters.*": {
        "npugate.deploy.values",
        "npugate.digest",
        "npugate.evaluation.values",
        "npugate.export.values",
        "npugate.int8.values",
        "npugate.estimate.values",
        "npugate.graphview",
        "npugate.report",
        "npugate.reporters",
        "npugate.sketch",
        "npugate.stedgeai.values",
        "npugate.types",
    },
    "npugate.report": {
        "npugate.estimate.values",
        "npugate.graphview",
        "npugate.stedgeai.values",
        "npugate.types",
    },
    "npugate.errors": set(),
    "entrypoint": {"npugate.cli"},
}
# Imports against the layers, each inside the function or for annotations that need it.
EXCEPTIONS = {
    ("npugate.estimate.boards", "npugate.estimate.mpool"),  # in the function that reads one
    ("npugate.types", "npugate.facts"),  # annotations of Check
    ("npugate.types", "npugate.target"),
    ("npugate.types", "npugate.surgery.draft"),  # annotations of a repair
    ("npugate.types", "npugate.surgery.shelf"),
    ("npugate.constraints", "npugate.target"),  # annotations
}
HEAVY = {"onnx", "numpy", "google"}
LIGHT = (
    "npugate",
    "npugate.types",
    "npugate.sketch",
    "npugate.errors",
    "npugate.report",
    "npugate.cli",
)
LIGHT += (
    "npugate.estimate",
    "npugate.estimate.values",
    "npugate.graphview",
    "npugate.stedgeai.*",
    "npugate.reporters",
    "npugate.reporters.*",
    "npugate.github.*",
    "npugate.isolate",
)
EDGES = ("npugate.cli", "npugate.github.*", "npugate.commands.*")


def modules():
    for folder in ("npugate", "checks", "fixers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), path
    yield "entrypoint", ROOT / "entrypoint.py"


MODULES = dict(modules())


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


def layer(name):
    found = [n for n, row in enumerate(LAYERS) if any(covers(pattern, name) for pattern in row)]
    return found[0] if found else None


def offences(name, path):
    ours = {m for m in imported(path) if m.partition(".")[0] in {"npugate", "checks", "fixers"}}
    row = next((only for pattern, only in ONLY.items() if covers(pattern, name)), None)
    if row is not None:
        return {m for m in ours if not any(m == a or m.startswith(a + ".") for a in row)}
    own = layer(name)
    return {
        m
        for m in ours
        if (name, m) not in EXCEPTIONS
        and not m.startswith("npugate.reporters")
        and (layer(m) is None or layer(m) > own)
    }


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_downwards_only(name):
    ruled = any(covers(pattern, name) for pattern in ONLY)
    assert ruled or layer(name) is not None, f"{name} has no row in this table"
    assert offences(name, MODULES[name]) == set()


def test_an_import_upwards_would_be_seen(tmp_path):
    path = tmp_path / "rule.py"
    path.write_text("from npugate.cli import main\n")
    assert offences("checks.rule", path) == {"npugate.cli"}
    assert offences("npugate.facts.graph", path) == {"npugate.cli"}
    path.write_text("from npugate import pipeline\n")
    assert offences("npugate.reporters.json", path) == {"npugate.pipeline"}
    assert offences("npugate.model", path) == {"npugate.pipeline"}


ESCAPED = ("npugate.snapshot", "npugate.baseline", "npugate.calibration.sidecar")


def test_only_commands_and_github_and_the_table_itself_know_the_reporters():
    users = {
        name.rpartition(".")[0]
        for name, path in MODULES.items()
        if any(m.startswith("npugate.reporters") for m in imported(path))
        # The pages say what the reports say; what is written beside a model is escaped as they are.
        and name not in {"npugate.docs_pictures", *ESCAPED}
    }
    for name in ESCAPED:
        used = {m for m in imported(MODULES[name]) if m.startswith("npugate.reporters.")}
        assert used == {"npugate.reporters.escape"}, name
    assert users <= {"npugate.reporters", "npugate.commands", "npugate.github"}
    assert "npugate.reporters" not in set(imported(MODULES["npugate.pipeline"]))


def test_an_exception_that_nothing_needs_any_more_is_removed():
    used = {(name, m) for name, path in MODULES.items() for m in imported(path)}
    there = {(name, m) for name, m in EXCEPTIONS if m in MODULES}
    assert used >= there


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
    assert not found & {"npugate.stedgeai.consult", "npugate.github", "npugate.deploy"}
    assert not found & {"logging", "traceback", "difflib"}, "they cost a check half a megabyte"


@pytest.mark.usefixtures("uncovered")
def test_what_has_the_token_loads_nothing_that_reads_models(tmp_path):
    status, found = loaded(tmp_path, "comment")
    assert status == 0
    assert "urllib" in found
    assert not found & {"onnx", "numpy", "google", "onnxruntime", "onnx_graphsurgeon"}

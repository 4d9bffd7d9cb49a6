"""Compile what a run imports, inside the image while it is built.

Every run starts in a fresh container, whose file system is thrown away or read-only: a module
without bytecode is compiled again each time. Compiling everything there is would add 20 MB that
no run reads, so the modules are found by importing what the commands import.
"""

from __future__ import annotations

import importlib
import importlib.util
import py_compile
import sys
from pathlib import Path

# What the commands import late, each from its own place in the code.
ENTRANCES = (
    "argparse", "concurrent.futures", "csv", "glob", "http.client", "importlib.metadata",
    "importlib.resources", "logging", "multiprocessing", "pickle", "tempfile", "tomllib",
    "traceback", "typing", "urllib.request", "xml.etree.ElementTree",
    "junit_xml", "numpy", "numpy.lib.format", "onnx", "onnx.checker", "onnx.compose",
    "onnx.external_data_helper", "onnx.helper", "onnx.inliner", "onnx.numpy_helper",
    "onnx.parser", "onnx.printer", "onnx.shape_inference", "onnx.version_converter",
    "onnx_graphsurgeon", "onnxruntime", "shtab", "tqdm",
)  # fmt: skip


def main() -> None:
    """Import the entrances and all of npugate, and compile what came with them."""
    for name in ENTRANCES:
        importlib.import_module(name)
    spec = importlib.util.find_spec("npugate")
    if spec is None or spec.origin is None:
        raise SystemExit("npugate is not installed")
    package = Path(spec.origin).parent
    wanted = set(package.rglob("*.py")) | set(_imported())
    for path in sorted(wanted):
        py_compile.compile(
            str(path),
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    sys.stdout.write(f"{len(wanted)} modules compiled\n")


def _imported() -> list[Path]:
    origins = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return [Path(name) for name in origins if name and name.endswith(".py")]


if __name__ == "__main__":
    main()

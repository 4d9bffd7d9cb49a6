"""The options of ``export``, ``quantize`` and ``evaluate``; loads nothing heavy."""

from __future__ import annotations

import argparse
from typing import Final

_FORMATS: Final = ("text", "json", "markdown")
_GRADES: Final = ("EXCELLENT", "GOOD", "FAIR")
_QUANTIZE: Final = (
    "Quantise a float model to int8 in ST's scheme: QDQ, weights symmetric and per channel, "
    "activations asymmetric and per tensor. The result is checked, and written only when it is "
    "what was asked for, with MODEL.calibration.json beside it, which lists the samples used."
)
_EVALUATE: Final = (
    "Hold an int8 model against its float original on samples that it was not calibrated with. "
    "Exit status 1 when a threshold fails."
)
_EXPORT: Final = (
    "Export a PyTorch module: static shapes, batch 1, in the operator set that the target's vendor "
    "recommends; repaired where needed, and written only when it computes what PyTorch computes. "
    "This runs the code of MODULE. Exit status 1 when errors are left in the model."
)
_EXPORTER: Final = "auto tries both and takes the better model"
_DATA: Final = (
    "a .npz with an array for each input, a .npy, or a folder of images or arrays, whose "
    "sub-folders are labels"
)
_LABELS: Final = "a .npy, .npz or .csv file, or the name of an array in the data's .npz"
_PREPROCESS: Final = "a TOML file, or key=value: resize, colour, source, layout, scale, mean, std, "


def add_export(command: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate export``."""
    command.description = _EXPORT
    add = command.add_argument
    add("entry", metavar="MODULE:CALLABLE", help="or FILE.py:CALLABLE; returns (module, inputs)")
    add("--output", required=True, metavar="FILE", help="where the ONNX model goes")
    add("--weights", metavar="FILE", help="a state dict for the module; no code of it is run")
    add("--exporter", choices=("auto", "dynamo", "torchscript"), default="auto", help=_EXPORTER)
    add("--input-name", action="append", metavar="NAME", help="of an input, in order; repeatable")
    add("--output-name", action="append", metavar="NAME", help="of an output, in order; repeatable")
    add("--seeds", type=int, default=3, metavar="N", help="of the inputs for the comparison (3)")
    add("--no-repair", action="store_true", help="keep the graph as the exporter wrote it")
    add("--target", default="stm32n6", help="by which rules the result is judged (stm32n6)")
    add("--toolchain", help="version of the target's compiler")
    add("--timeout", type=float, default=900.0, metavar="S", help="seconds for all of it (900)")
    _add_reports(command)


def add_quantize(command: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate quantize``."""
    command.description = _QUANTIZE
    add = command.add_argument
    add("model", metavar="MODEL", help="a float model")
    add("--output", required=True, metavar="FILE", help="where the int8 model goes")
    add("--calibration", metavar="DATA", help=_DATA)
    add("--random-calibration", action="store_true", help="no data; the accuracy is unknown then")
    add("--labels", metavar="LABELS", help=f"cover every label evenly: {_LABELS}")
    add("--samples", type=int, default=200, metavar="N", help="most that are used (200)")
    add("--method", choices=("minmax", "entropy", "percentile"), default="minmax")
    add("--percentile", type=float, default=99.999, metavar="P", help="of the values kept (99.999)")
    add("--exclude", action="append", metavar="NODE", help="leave it in float; repeatable")
    add("--target", default="stm32n6", help="by which rules the result is judged (stm32n6)")
    add("--toolchain", help="version of the target's compiler")
    _add_both(command)


def add_evaluate(command: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate evaluate``."""
    command.description = _EVALUATE
    add = command.add_argument
    add("float_model", metavar="FLOAT", help="the float model")
    add("int8_model", metavar="INT8", help="what npugate quantize made of it")
    add("--data", required=True, metavar="DATA", help=_DATA)
    add("--labels", metavar="LABELS", help=f"the truth: {_LABELS}")
    add("--samples", type=int, default=0, metavar="N", help="most that are used (all)")
    add(
        "--metric",
        action="append",
        metavar="METRIC",
        help="mae, rmse, accuracy, top-K, agreement, miou, cosine, sqnr, nrmse, max-error or "
        "module:callable (runs that code); repeatable, the first one grades",
    )
    add("--unit", default="", metavar="UNIT", help="of the output, for example BPM")
    add("--output-name", default="", metavar="NAME", help="which output the metrics read (first)")
    add("--layers", type=int, default=16, metavar="N", help="samples to compare layers on; 0: none")
    add("--plots", metavar="DIR", help="write pictures; needs matplotlib")
    add("--allow-overlap", action="store_true", help="samples of the calibration are no error")
    _add_limits(command)
    _add_both(command)


def _add_limits(command: argparse.ArgumentParser) -> None:
    limits = command.add_argument_group("thresholds (exit status 1 when one fails)")
    add = limits.add_argument
    for flag, text in (
        ("--max-mae-increase", "of the mean absolute error, int8 over float, against labels"),
        ("--max-rmse-increase", "the same of the root mean square error"),
        ("--max-accuracy-drop", "of the share of right classes, 0 to 1"),
        ("--max-miou-drop", "of the mean overlap, 0 to 1"),
        ("--min-accuracy", "of the int8 model, 0 to 1"),
        ("--min-agreement", "share of samples with the same class as the float model's"),
        ("--min-miou", "of the int8 model, 0 to 1"),
        ("--min-sqnr", "centred signal to noise in dB"),
        ("--min-cosine", "of int8 and float outputs"),
        ("--max-nrmse", "error by the spread of the float output"),
        ("--max-error", "largest difference of any number"),
    ):
        add(flag, type=float, metavar="X", help=text)
    add("--max-loss", action="append", metavar="METRIC=X", help="of any metric; repeatable")
    add("--max-value", action="append", metavar="METRIC=X", help="of the int8 model; repeatable")
    add("--min-value", action="append", metavar="METRIC=X", help="of the int8 model; repeatable")
    add("--min-grade", choices=_GRADES, help="see docs/evaluate.md for the limits")


def _add_both(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--preprocess", action="append", metavar="TOML", help=f"{_PREPROCESS}limits; repeatable")
    add("--seed", type=int, default=0, metavar="N", help="of the choice of samples (0)")
    add("--timeout", type=float, default=3600.0, metavar="S", help="seconds for all of it (3600)")
    _add_reports(command)


def _add_reports(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--format", choices=_FORMATS, default="text", help="of standard output")
    add("--report", action="append", metavar="FORMAT=FILE", help="also write a report; repeatable")
    add("--quiet", action="store_true", help="no report on standard output")


_DEPLOY: Final = (
    "Take a model to the board: repair it or take a clean one, diagnose, quantise, evaluate, run, "
    "diagnose again, estimate, and write a deployment report. Each step is a command of npugate; a "
    "step is done again only when something that decides it has changed. Without arguments on a "
    "terminal, it asks; [deploy] of npugate.toml is read, too."
)


def add_deploy(command: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate deploy``."""
    command.description = _DEPLOY
    add = command.add_argument
    add(
        "--plan", choices=("fix", "clean", "both"), help="repair a model, take a clean one, or both"
    )
    add("--model", metavar="MODEL", help="the model to repair")
    add("--clean", metavar="MODEL|MODULE:CALLABLE", help="a clean model, or what makes the network")
    add("--weights", metavar="FILE", help="a state dict for MODULE:CALLABLE")
    add("--calibration", metavar="DATA", help=_DATA)
    add("--data", metavar="DATA", help="other samples, to evaluate on")
    add("--labels", metavar="LABELS", help=_LABELS)
    add("--preprocess", action="append", metavar="TOML", help=f"{_PREPROCESS}limits; repeatable")
    add("--samples", type=int, metavar="N", help="most that are used to calibrate (200)")
    add("--metric", metavar="METRIC", help="see npugate evaluate")
    add("--unit", metavar="UNIT", help="of the output, for example BPM")
    add("--limit", action="append", dest="limits", metavar="ARGUMENT", help=_LIMIT)
    add("--expect-range", metavar="LEAST:MOST", help="that every output must keep to")
    add("--output-dir", metavar="DIR", help="of everything that is made (npugate-deploy)")
    add("--target", help="by which rules the models are judged")
    add("--toolchain", help="version of the target's compiler")
    add("--board", help="whose memories to fill")
    add("--config", metavar="FILE", help="instead of the nearest npugate.toml or pyproject.toml")
    add("--stedgeai", metavar="WHERE", help="also ask ST's compiler, see npugate stedgeai")
    add("--stedgeai-accept-license", action="store_true", help="you accept ST's licence of it")


_LIMIT: Final = "a threshold of npugate evaluate, --limit=--max-mae-increase=1.5; repeatable"


def add_verify(command: argparse.ArgumentParser) -> None:
    """Add the options of ``npugate verify``."""
    command.description = (
        "Run a model in ONNX Runtime on samples, fed in float and rounded to its own integers. "
        "Exit status 1 when an output is not finite, not in the range, or differs between the two."
    )
    add = command.add_argument
    add("model", metavar="MODEL", help="an int8 model, or a float one")
    add("--data", metavar="DATA", help=f"{_DATA}; random numbers without")
    add("--samples", type=int, default=50, metavar="N", help="most that are run (50)")
    add("--expect-range", metavar="LEAST:MOST", help="that every output must keep to")
    _add_both(command)

"""The vendor's compiler on the command line: settings in, the back end opened."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from npugate.compilers.stedgeai import driver
from npugate.compilers.stedgeai.driver import OFF, Compiler, Settings
from npugate.compilers.stedgeai.invocation import SECONDS, Shape
from npugate.errors import UsageError
from npugate.settings.options import Options


def applied(
    options: Options, chosen: argparse.Namespace, environment: Mapping[str, str]
) -> Options:
    """Return the options with the compiler that the arguments ask for, as ``opened`` finds it."""
    tool = opened(chosen, environment)
    if tool is None:
        return options
    # Without the compiler there is one notice for the run and no word about each model.
    if tool.missing:
        return replace(options, remarks=(*options.remarks, tool.missing))
    return replace(options, ask=tool.ask)


def opened(chosen: argparse.Namespace, environment: Mapping[str, str]) -> Compiler | None:
    """Return the compiler that the arguments ask for; None when they ask for none.

    Raises:
        UsageError: the arguments are wrong, or what they name is not there.
    """
    choice = getattr(chosen, "stedgeai", None) or OFF
    replay = getattr(chosen, "replay", None)
    if choice == OFF and not replay:
        return None
    return driver.open_compiler(_settings(chosen, choice, replay), environment)


def _settings(chosen: argparse.Namespace, choice: str, replay: str | None) -> Settings:
    seconds = chosen.stedgeai_timeout
    if seconds is not None and seconds <= 0:
        raise UsageError(f"--stedgeai-timeout {seconds:g}: give seconds, more than 0")
    if chosen.record_raw and not chosen.record:
        raise UsageError("--record-raw goes with --record")
    return Settings(
        choice,
        chosen.stedgeai_accept_license,
        chosen.stedgeai_profile or "",
        Shape(
            chosen.input_data_type or "",
            chosen.output_data_type or "",
            chosen.inputs_ch_position or "",
            chosen.outputs_ch_position or "",
        ),
        seconds or SECONDS,
        Path(chosen.record) if chosen.record else None,
        chosen.record_raw,
        Path(replay) if replay else None,
    )

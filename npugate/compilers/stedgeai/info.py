"""Read ``network_c_info.json`` (schema 2.0) and the older ``network_report.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from npugate.errors import NpugateError
from npugate.report.compiled import (
    CompiledEpoch,
    CompiledPool,
    CompiledRun,
    EpochCounts,
    Failure,
    Timing,
)

JSON_BYTES: Final = 256 * 1024 * 1024
"""Largest file that is read; the largest real one known has 2.4 MB."""

_KINDS: Final = {"NODE_HW": "HW", "NODE_EC": "EC", "NODE_SW": "SW", "NODE_SW_HW": "HYBRID"}
_EPOCH: Final = re.compile(r"^epoch_(\d+)$")
_KIND: Final = "Node kind="
_ENDS: Final = frozenset({"Param", "Return"})  # what holds the weights, and the end of the network

Table = Mapping[str, object]


class InfoError(NpugateError):
    """A JSON file of the compiler is not what it should be."""


def read(data: bytes) -> CompiledRun:
    """Read one file of either form.

    Raises:
        InfoError: it is no JSON, too large, or of neither form.
    """
    if len(data) > JSON_BYTES:
        raise InfoError(f"a JSON file of the compiler has {len(data)} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InfoError(f"a JSON file of the compiler cannot be read: {error}") from error
    if isinstance(found, dict) and "json_schema_version" in found:
        return _info(found)
    if isinstance(found, dict) and "report_version" in found:
        return _report(found)
    raise InfoError(
        "a JSON file of the compiler has neither json_schema_version nor report_version"
    )


def _info(data: Table) -> CompiledRun:
    tools = _tables(_table(data.get("environment")).get("tools"))
    front = next((tool for tool in tools if tool.get("name") == "ST.EdgeAI.Core"), {})
    back = next((tool for tool in tools if "ATONN" in _text(tool.get("name")).upper()), {})
    size = _table(data.get("memory_footprint"))
    rows = tuple(_epochs(data))
    network = _table(front.get("input_model"))
    cycles = [row.cycles for row in rows if row.cycles is not None]
    return CompiledRun(
        command=_text(front.get("arguments")).strip().partition(" ")[0],
        version=_text(front.get("version")),
        compiler=_text(back.get("version")).partition(" ")[0],
        model=_text(network.get("name")),
        parameters=_count(network.get("n_params")) or None,
        weights=_count(size.get("weights")),
        activations=_count(size.get("activations")),
        pools=tuple(_pools(data)),
        counts=_counts(rows),
        epochs=rows,
        cycles=sum(cycles) if cycles else None,
        timing=_timing(data),
    )


def _pools(data: Table) -> Iterator[CompiledPool]:
    """Yield the memories; a pool made of others is left out, it would count them twice."""
    for pool in _tables(data.get("memory_pools")):
        address = _address(pool.get("address"))
        if address is None or pool.get("subpools"):
            continue
        used = _count(pool.get("used_size_bytes"))
        is_flash = pool.get("rights") == "ACC_READ"
        yield CompiledPool(
            _text(pool.get("name")),
            address,
            _count(pool.get("size_bytes")),
            used,
            used if is_flash else None,
            0 if is_flash else None,
            is_exact=True,
            is_writable=not is_flash,
        )


def _address(value: object) -> int | None:
    """Return an address, which is a number, a decimal string or a hexadecimal one."""
    try:
        return value if isinstance(value, int) else int(_text(value), 0)
    except ValueError:
        return None


def _epochs(data: Table) -> Iterator[CompiledEpoch]:
    cycles = {
        row.get("node_id"): _count(row.get("max_cycles"))
        for row in _tables(data.get("power_estimates"))
    }
    graphs = _tables(data.get("graphs"))
    for node in _tables(graphs[0].get("nodes")) if graphs else ():
        match = _EPOCH.match(_text(node.get("name")))
        if match is None:  # a network for the Cortex-M alone has layers, no epochs
            continue
        parts = _tables(node.get("subgraph_nodes"))
        kinds = [_text(part.get("description")).removeprefix(_KIND) for part in parts]
        operators = tuple(kind for kind in kinds if kind not in _ENDS)
        if not operators:
            continue
        number, kind = int(match[1]), _text(node.get("mapping"))
        yield CompiledEpoch(
            number,
            number,
            _KINDS.get(kind, kind.removeprefix("NODE_")),
            operators,
            _count(node.get("macc")) or None,
            cycles.get(node.get("id")),
        )


def _counts(rows: Sequence[CompiledEpoch]) -> EpochCounts | None:
    if not rows:
        return None
    kinds = [row.kind for row in rows]
    hardware = kinds.count("HW") + kinds.count("EC")
    return EpochCounts(len(rows), kinds.count("SW"), kinds.count("HYBRID"), hardware)


def _timing(data: Table) -> Timing | None:
    rows = _tables(data.get("aton_execution_time"))
    times = [value for row in rows if (value := _real(row.get("duration_ms"))) is not None]
    if not rows or len(times) != len(rows):
        return None
    device = _text(_table(data.get("environment")).get("device"))
    return Timing(sum(times), cpu_cycles=_counters(rows), device=device)


def _counters(rows: Sequence[Table]) -> tuple[int, int, int] | None:
    found = [row.get("counters") for row in rows]
    triples = [c for c in found if isinstance(c, list) and len(c) == 3]  # noqa: PLR2004 - before, in, after
    if len(triples) != len(rows) or not all(isinstance(n, int) for c in triples for n in c):
        return None
    before, core, after = (sum(column) for column in zip(*triples, strict=True))
    return before, core, after


def _report(data: Table) -> CompiledRun:
    failure = None
    if data.get("error"):
        texts = data.get("error_str")
        lines = [_text(line) for line in texts] if isinstance(texts, list) else [_text(texts)]
        failure = Failure("", " ".join(lines).strip() or f"error {data['error']}")
    return CompiledRun(
        command=_text(data.get("exec_cmd")),
        version=_text(data.get("cli_version_str")),
        model=_text(data.get("model_name")),
        macs=_count(data.get("rom_n_macc")) or None,
        parameters=_count(data.get("model_n_params")),
        weights=_count(data.get("rom_size")),
        activations=_count(data.get("ram_size")),
        failure=failure,
        seconds=_real(data.get("exec_duration")) or None,
    )


def _table(value: object) -> Table:
    return value if isinstance(value, dict) else {}


def _tables(value: object) -> Sequence[Table]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

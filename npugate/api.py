"""The names a rule or repair file may import; nothing else of npugate is theirs."""

from npugate.estimate.assemble import board_of, memory, operators, timed
from npugate.facts import Array, Dim, Facts, Graph, Node, Shape, Tensor
from npugate.facts.control import settled
from npugate.facts.elements import readers
from npugate.facts.quantization import dequantize, weight, weight_source
from npugate.facts.scales import scale_axis, scale_positions
from npugate.findings.values import Hit, Location, Problem, Severity
from npugate.operators import (
    BATCHED,
    CONVERSIONS,
    CONVOLUTIONS,
    RESHAPES,
    VIEWS,
    WEIGHTED,
    WINDOW_POOLS,
)
from npugate.relations import contradictions, explained
from npugate.report.estimate import Fit, Interval, Memory, OperatorPlace, Place
from npugate.report.values import InterfaceChange
from npugate.rules.values import Example, Repair, Rule
from npugate.surgery.results import Applied, Declined, RepairOptions, RepairResult, Skipped
from npugate.target.constraints import acts_on_batch, broken
from npugate.target.rows import Constraint, Limit, Operator, Trap
from npugate.target.values import Target
from npugate.units import show_size

__all__ = [
    "BATCHED",
    "CONVERSIONS",
    "CONVOLUTIONS",
    "RESHAPES",
    "VIEWS",
    "WEIGHTED",
    "WINDOW_POOLS",
    "Applied",
    "Array",
    "Constraint",
    "Declined",
    "Dim",
    "Example",
    "Facts",
    "Fit",
    "Graph",
    "Hit",
    "InterfaceChange",
    "Interval",
    "Limit",
    "Location",
    "Memory",
    "Node",
    "Operator",
    "OperatorPlace",
    "Place",
    "Problem",
    "Repair",
    "RepairOptions",
    "RepairResult",
    "Rule",
    "Severity",
    "Shape",
    "Skipped",
    "Target",
    "Tensor",
    "Trap",
    "acts_on_batch",
    "board_of",
    "broken",
    "contradictions",
    "dequantize",
    "explained",
    "memory",
    "operators",
    "readers",
    "scale_axis",
    "scale_positions",
    "settled",
    "show_size",
    "timed",
    "weight",
    "weight_source",
]

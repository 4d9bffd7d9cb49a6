"""The names a rule or repair file may import; nothing else of npugate is theirs."""

from npugate.constraints import acts_on_batch, broken
from npugate.estimate.assemble import board_of, memory, timed
from npugate.estimate.sizes import show_size
from npugate.estimate.values import Fit, Interval, Memory
from npugate.facts import Array, Dim, Facts, Graph, Node, Shape, Tensor
from npugate.facts.control import settled
from npugate.facts.quantization import (
    VIEWS,
    WEIGHTED,
    dequantize,
    float_groups,
    weight,
    weight_source,
)
from npugate.target import Constraint, Limit, Operator, Target, Trap
from npugate.types import (
    Applied,
    Declined,
    Example,
    Hit,
    InterfaceChange,
    Location,
    Problem,
    Repair,
    RepairOptions,
    RepairResult,
    Rule,
    Severity,
    Skipped,
)

__all__ = [
    "VIEWS",
    "WEIGHTED",
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
    "dequantize",
    "float_groups",
    "memory",
    "settled",
    "show_size",
    "timed",
    "weight",
    "weight_source",
]

"""The names of the rules that the core itself reports under.

A fault that is met on the way to the facts belongs to a rule by name, and a misspelt name was a
fault that was never reported. So no other module of the core writes one out (a test reads the
code), and ``rules.registry`` refuses to start when one of these names no rule.
"""

from __future__ import annotations

from typing import Final

ANALYSIS_LIMIT: Final = "analysis-limit"
COMPILER_REFUSED: Final = "compiler-refused"
CPU_OPERATOR: Final = "cpu-operator"
DUPLICATE_NAME: Final = "duplicate-name"
DUPLICATE_NODE_NAME: Final = "duplicate-node-name"
EINSUM: Final = "einsum"
FLOAT_MODEL: Final = "float-model"
INITIALIZER_NOT_INPUT: Final = "initializer-not-input"
INVALID_MODEL: Final = "invalid-model"
LFS_POINTER: Final = "lfs-pointer"
MISSING_EXTERNAL_DATA: Final = "missing-external-data"
MISSING_OPSET_IMPORT: Final = "missing-opset-import"
OPERATOR_CONSTRAINT: Final = "operator-constraint"
OPERATOR_NOT_IN_OPSET: Final = "operator-not-in-opset"
OUTPUT_WITHOUT_SHAPE: Final = "output-without-shape"
RESHAPE_RANK: Final = "reshape-rank"
RESHAPE_WILDCARD: Final = "reshape-wildcard"
RULE_CRASHED: Final = "rule-crashed"
SHAPE_INFERENCE_FAILED: Final = "shape-inference-failed"
TENSOR_DATA_MISMATCH: Final = "tensor-data-mismatch"
TENSOR_RANK: Final = "tensor-rank"
UNDEFINED_VALUE: Final = "undefined-value"
UNNAMED_GRAPH: Final = "unnamed-graph"
UNREADABLE_MODEL: Final = "unreadable-model"
UNSAFE_EXTERNAL_DATA: Final = "unsafe-external-data"
UNTRACKED_EXTERNAL_DATA: Final = "untracked-external-data"
UNSORTED_NODES: Final = "unsorted-nodes"

ALL: Final = frozenset(v for k, v in globals().items() if k.isupper() and isinstance(v, str))
"""Every name above."""

FILE_FAULTS: Final = frozenset(
    {
        INVALID_MODEL,
        UNDEFINED_VALUE,
        DUPLICATE_NAME,
        TENSOR_DATA_MISMATCH,
        OPERATOR_NOT_IN_OPSET,
        SHAPE_INFERENCE_FAILED,
    }
)
"""Names of the rules whose findings say that a file is no valid model: it may lack anything."""

"""Which operators are a layer, weighted, batched, pooled, fused: the one table of kinds.

Names are ONNX operators of the standard domain; ``BATCHED`` and what it is made of hold full names,
domain first. Every part of npugate that asks "is this a convolution?" asks here. What is only the
algebra of one repair (which operators a permutation passes, say) stays with that repair.
"""

from __future__ import annotations

from typing import Final

CONVOLUTIONS: Final = frozenset({"Conv", "ConvTranspose"})
"""Sums over a window of space, with weights (ONNX operator specification)."""
WINDOW_POOLS: Final = frozenset({"MaxPool", "AveragePool", "LpPool"})
GLOBAL_POOLS: Final = frozenset({"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"})
POOLS: Final = WINDOW_POOLS | GLOBAL_POOLS
LAYERS: Final = CONVOLUTIONS | POOLS
"""What works over space, one sample at a time: axis 0 is the batch (ONNX specification)."""
OTHER_LAYERS: Final = frozenset(
    {"ConvInteger", "DeformConv", "QLinearConv"}
    | {"com.microsoft.QLinearAveragePool", "com.microsoft.QLinearGlobalAveragePool"}
)
"""Layers, too, for which no repair of the batch has a form; two of onnxruntime's own operators."""
BATCHED: Final = LAYERS | OTHER_LAYERS
"""By full name: the compiler takes these with a batch of 1 only (table of operators, Core 2.1)."""

MATRIX_PRODUCTS: Final = frozenset({"Gemm", "MatMul"})
WEIGHTED: Final = CONVOLUTIONS | MATRIX_PRODUCTS
"""Multiply what they read with their second operand: weights, where it is constant."""
RECURRENT: Final = frozenset({"LSTM", "GRU", "RNN"})
MULTIPLYING: Final = (
    WEIGHTED | RECURRENT | frozenset({"QLinearConv", "MatMulInteger", "QLinearMatMul"})
)
"""Have multiply-accumulates of their own."""
COMPILED_TO_CONV: Final = frozenset({"Conv", "Gemm", "MatMul", "QLinearConv"})
"""The compiler's reports call each of them Conv (Core 2.1 to 4.0)."""
WINDOWED: Final = WEIGHTED | frozenset(
    {"QLinearConv", "MaxPool", "AveragePool", "QLinearAveragePool"}
    | {"GlobalAveragePool", "GlobalMaxPool"}
)
"""Have a window, or weights, by which the time of an epoch is reckoned."""

RESHAPES: Final = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
VIEWS: Final = RESHAPES | {"Transpose", "Identity"}
"""Give the same elements another shape; all but Transpose keep their order in memory, too."""
CONVERSIONS: Final = frozenset({"QuantizeLinear", "DequantizeLinear"})
VANISHING: Final = frozenset({"Dropout", "Constant", "Shape"})
"""Nothing of them is left in a compiled network of static shapes."""

GATES: Final = frozenset({"Sigmoid", "HardSigmoid"})
"""With a product they make ``x * gate(x)``, the swish functions."""
FUSED: Final = GATES | frozenset({"Relu", "Clip", "LeakyRelu", "HardSwish", "Tanh", "Elu", "Selu"})
"""Activation functions that are computed together with the operator before them, in integers; on
the CPU they work in place. PRelu is none: 33 of 33 were epochs of their own (Core 2.1)."""
SUMMED: Final = COMPILED_TO_CONV - {"QLinearConv"} | {"Mul"}
"""An addition to the result of one of these is computed in its epoch (Core 2.2, 4.0)."""
RESIZES: Final = frozenset({"Resize", "Upsample"})
MOVED: Final = RESIZES | frozenset(
    {"Concat", "Split", "Slice", "Transpose", "DepthToSpace", "SpaceToDepth", "MaxPool", "Pad"}
    | {"Gather", "Tile", "Expand", "GlobalMaxPool", "ReduceMax"}
)
"""Their results are elements of what they read: the type is that of the elements."""
ARITHMETIC: Final = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "PRelu"})
"""Elementwise over two operands, of which a constant one needs a scale, too."""

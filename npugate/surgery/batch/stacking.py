"""Put a planned stack of samples in place of a region; see ``spatial``."""

from __future__ import annotations

import numpy as np
from msgspec import Struct, field
from onnx import helper

from npugate.surgery.again import again
from npugate.surgery.batch.regions import is_read_outside
from npugate.surgery.batch.spatial import Layout, Plan, total_rows, window_of
from npugate.surgery.draft import Draft
from npugate.surgery.node import Node, Value


def apply(draft: Draft, chosen: Plan) -> None:
    """Put the planned form in place."""
    draft.rewrite(_Work(draft, chosen).change)


class _Work(Struct):
    draft: Draft
    plan: Plan
    stacked: dict[str, Value] = field(default_factory=dict)
    cleaned: dict[str, Value] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Number of samples in the stack."""
        return self.plan.region.samples

    def change(self, node: Node) -> bool:
        """Put the stacked form of one node in place."""
        if id(node) not in self.plan.nodes:
            return False
        result = node.outputs[0]
        is_needed = is_read_outside(self.draft, result, self._reads_stack)
        self.stacked[result.name] = self._emit(node)
        if is_needed:
            self._leave(result)
        return True

    def _reads_stack(self, node: Node, position: int) -> bool:
        return id(node) in self.plan.nodes and position in self.plan.region.batched[id(node)]

    def _emit(self, node: Node) -> Value:
        if node.is_a("Conv", "MaxPool", "AveragePool"):
            return self._window(node)
        if node.is_a("GlobalAveragePool", "GlobalMaxPool"):
            return self._global_pool(node)
        batched = self.plan.region.batched[id(node)]
        inputs = [
            self._enter(value) if at in batched else (None if value.is_empty() else value)
            for at, value in enumerate(node.inputs)
        ]
        return again(self.draft, node, inputs, self._dims(node.outputs[0]))

    def _dims(self, value: Value) -> tuple[int, ...]:
        _, channels, _, width = self.draft.dims(value)
        return (1, channels, self.samples * self.plan.layouts[value.name].pitch, width)

    def _enter(self, value: Value) -> Value:
        """Return the stacked form of a value; stack it when it comes from outside."""
        if value.name in self.stacked:
            return self.stacked[value.name]
        count, channels, height, width = self.draft.dims(value)
        dtype, pitch = self.draft.dtype(value), self.plan.layouts[value.name].pitch
        made = self.draft.reshape(value, (1, count, channels, height * width))
        shape = (1, channels, count, height * width)
        made = self.draft.emit("Transpose", [made], shape, dtype, perm=[0, 2, 1, 3])
        if pitch > height:
            made = self.draft.reshape(made, (1, channels * count, height, width))
            pads = self.draft.int64([0, 0, 0, 0, 0, 0, pitch - height, 0], "pads")
            shape = (1, channels * count, pitch, width)
            made = self.draft.emit("Pad", [made, pads], shape, dtype)
        self.stacked[value.name] = self.draft.reshape(made, self._dims(value))
        return self.stacked[value.name]

    def _clean(self, value: Value) -> Value:
        """Return the stacked form of a value with zeros between the samples."""
        made = self._enter(value)
        layout = self.plan.layouts[value.name]
        if layout.clean or layout.pitch == layout.rows:
            return made
        if value.name not in self.cleaned:
            dtype = self.draft.dtype(value)
            mask = np.zeros((self.samples, layout.pitch), helper.tensor_dtype_to_np_dtype(dtype))
            mask[:, : layout.rows] = 1
            factor = self.draft.constant(mask.reshape(1, 1, -1, 1), "mask")
            masked = self.draft.emit("Mul", [made, factor], self._dims(value), dtype)
            self.cleaned[value.name] = masked
        return self.cleaned[value.name]

    def _window(self, node: Node) -> Value:
        value, result = node.inputs[0], node.outputs[0]
        window, layout = window_of(self.draft, node), self.plan.layouts[value.name]
        data = self._clean(value) if window.above or window.below else self._enter(value)
        others = [node.input(position) for position in range(1, len(node.inputs))]
        rows = total_rows(layout, window, self.samples)
        _, channels, wanted, width = self._dims(result)
        pads = [window.above, window.left, window.surplus, window.right]
        shape = (1, channels, rows, width)
        made = again(self.draft, node, [data, *others], shape, pads=pads, auto_pad=None)
        if rows == wanted:
            return made
        return self._rows(made, wanted, result)

    def _rows(self, made: Value, count: int, result: Value) -> Value:
        """Cut the first rows."""
        bounds = [self.draft.int64([number], "bound") for number in (0, count, 2)]
        _, channels, _, width = self.draft.dims(made)
        dtype = self.draft.dtype(result)
        return self.draft.emit("Slice", [made, *bounds], (1, channels, count, width), dtype)

    def _global_pool(self, node: Node) -> Value:
        value, result = node.inputs[0], node.outputs[0]
        layout: Layout = self.plan.layouts[value.name]
        width = self.draft.dims(value)[3]
        op_type = "AveragePool" if node.op == "GlobalAveragePool" else "MaxPool"
        return self.draft.emit(
            op_type,
            [self._enter(value)],
            self._dims(result),
            self.draft.dtype(result),
            kernel_shape=[layout.rows, width],
            strides=[layout.pitch, width],
        )

    def _leave(self, result: Value) -> None:
        """Make the value as it was."""
        count, channels, height, width = self.draft.dims(result)
        dtype, pitch = self.draft.dtype(result), self.plan.layouts[result.name].pitch
        made = self.stacked[result.name]
        if pitch > height:
            made = self.draft.reshape(made, (1, channels * count, pitch, width))
            made = self._rows(made, height, result)
        made = self.draft.reshape(made, (1, channels, count, height * width))
        shape = (1, count, channels, height * width)
        made = self.draft.emit("Transpose", [made], shape, dtype, perm=[0, 2, 1, 3])
        self.draft.reshape(made, (count, channels, height, width), result)

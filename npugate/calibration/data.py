"""Samples for a model, from ``.npz``, ``.npy``, or a folder of images or arrays.

Every returned sample has the type and shape of the model's inputs and holds finite numbers;
anything else is an error that names the sample and what to change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from msgspec import Struct
from onnx import helper

from npugate.calibration import preprocessing
from npugate.calibration.arrays import StoredArray, stored
from npugate.calibration.preprocessing import Preprocessing
from npugate.errors import UsageError
from npugate.facts.graph import Array
from npugate.proof.samples import Port, Sample

_IMAGES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
_ARRAYS: Final = frozenset({".npy", ".npz"})
_DIGEST_HEX: Final = 32  # 128 bits: two samples never share it by chance


class _Source(Protocol):
    """Raw samples, before any preprocessing."""

    @property
    def count(self) -> int:
        """Number of samples."""

    @property
    def folders(self) -> tuple[str, ...]:
        """The sub-folder of each sample, which labels it; else empty."""

    def raw(self, index: int) -> tuple[Mapping[str, Array], bool, str]:
        """Return a sample's arrays by input name, whether they are an image, and the sample's name.

        Args:
            index: from 0 to ``count - 1``.

        Returns:
            For each input uint8[H, W, C] of an image, or any[...] as the file holds it.
        """


class Dataset(Struct, frozen=True):
    """Samples by index; open files stay open as long as it lives.

    Attributes:
        place: file or folder, as given.
        ports: the model's inputs.
        how: what is done with each sample.
    """

    place: str
    ports: Sequence[Port]
    how: Preprocessing
    source: _Source

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.source.count

    @property
    def folders(self) -> tuple[str, ...]:
        """The sub-folder of each sample of a folder of folders, else empty."""
        return self.source.folders

    def sample(self, index: int) -> Sample:
        """Read one sample.

        Args:
            index: from 0 to ``count - 1``.

        Returns:
            For each port T[*dims] of the port's type and dimensions.

        Raises:
            UsageError: it does not fit the model, or holds NaN or infinity.
        """
        arrays, is_image, name = self.source.raw(index)
        feeds = {
            port.name: _fitted(
                preprocessing.apply(
                    _unbatched(arrays[port.name], port), self.how, is_image=is_image, where=name
                ),
                port,
                self.how,
                name,
            )
            for port in self.ports
        }
        return Sample(name, feeds)


def digest(sample: Sample) -> str:
    """Return what identifies a sample: a hash of the numbers that the model reads.

    Args:
        sample: feeds any[...] by input name; type, shape and elements count.

    Returns:
        32 hex digits.
    """
    made = hashlib.sha256()
    for name in sorted(sample.feeds):
        array = sample.feeds[name]
        made.update(f"{array.dtype.str} {array.shape} ".encode())
        made.update(np.ascontiguousarray(array).tobytes())
    return made.hexdigest()[:_DIGEST_HEX]


def open_data(path: Path, ports: Sequence[Port], how: Preprocessing) -> Dataset:
    """Open samples for a model.

    Args:
        path: a ``.npz`` with an array for each input, stacked along axis 0; a ``.npy`` for a model
            with one input; a folder of images, ``.npy`` or ``.npz`` files, a sample each, whose
            sub-folders, if any, are labels.
        ports: the model's inputs.
        how: what is done with each sample.

    Raises:
        UsageError: there is nothing there, or nothing that fits.
    """
    if path.is_dir():
        source: _Source = _folder(path, ports, how)
    elif path.suffix.lower() in _ARRAYS and path.is_file():
        source = _stacked(path, ports)
    else:
        why = "there is no such file or folder" if not path.exists() else "no data of a known kind"
        raise UsageError(f"{path}: {why}; give a .npz, a .npy, or a folder of images or arrays")
    if not source.count:
        raise UsageError(f"{path}: there is not one sample in it")
    return Dataset(str(path), ports, how, source)


class _Stacked(Struct):
    arrays: Mapping[str, StoredArray]
    path: Path
    count: int
    folders: tuple[str, ...] = ()

    def raw(self, index: int) -> tuple[Mapping[str, Array], bool, str]:
        rows = {name: array.row(index) for name, array in self.arrays.items()}
        return rows, False, f"{self.path}, sample {index}"


def _stacked(path: Path, ports: Sequence[Port]) -> _Stacked:
    found = _named(stored(path), ports, str(path))
    counts = {name: array.shape[0] if array.shape else 0 for name, array in found.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UsageError(f"{path}: the inputs have different numbers of samples: {told}")
    return _Stacked(found, path, next(iter(counts.values())))


def _named(
    arrays: Mapping[str, StoredArray], ports: Sequence[Port], where: str
) -> Mapping[str, StoredArray]:
    """Return the array of each input; the only array of a file serves the only input."""
    if len(ports) == 1 and ports[0].name not in arrays and len(arrays) == 1:
        return {ports[0].name: next(iter(arrays.values()))}
    for port in ports:
        if port.name not in arrays:
            there = ", ".join(name or "one without a name" for name in arrays)
            raise UsageError(f"{where}: no array for the input {port.name!r}; there are: {there}")
    return {port.name: arrays[port.name] for port in ports}


class _Files(Struct):
    """A file for each sample."""

    files: Sequence[Path]
    ports: Sequence[Port]
    how: Preprocessing
    folders: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.files)

    def raw(self, index: int) -> tuple[Mapping[str, Array], bool, str]:
        file = self.files[index]
        if file.suffix.lower() in _IMAGES:
            pixels = preprocessing.image(file, self.how)
            return {self.ports[0].name: pixels}, True, str(file)
        found = _named(stored(file), self.ports, str(file))
        return {name: array.whole() for name, array in found.items()}, False, str(file)


def _folder(path: Path, ports: Sequence[Port], how: Preprocessing) -> _Files:
    files = sorted(file for file in path.rglob("*") if file.is_file() and _is_sample(file))
    kinds = {file.suffix.lower() in _IMAGES for file in files}
    if len(kinds) > 1:
        raise UsageError(f"{path}: images and arrays are mixed; give one kind")
    if kinds == {True} and len(ports) != 1:
        raise UsageError(f"{path}: the model has {len(ports)} inputs, an image is one; use .npz")
    places = [file.relative_to(path).parts[:-1] for file in files]
    labelled = bool(files) and all(places)
    folders = tuple(parts[0] for parts in places) if labelled else ()
    return _Files(files, ports, how, folders)


def _is_sample(file: Path) -> bool:
    return file.suffix.lower() in _IMAGES | _ARRAYS and not file.name.startswith(".")


def _unbatched(array: Array, port: Port) -> Array:
    """Drop a leading batch axis of 1, so that the other axes mean what they are named.

    Args:
        array: any[1, *dims] or any[*dims].
        port: the input, of the dimensions [1, *dims].

    Returns:
        any[*dims], a view.
    """
    return array[0] if array.shape == port.dims and port.dims[:1] == (1,) else array


def _fitted(array: Array, port: Port, how: Preprocessing, where: str) -> Array:
    """Return a sample as the model reads it.

    Args:
        array: any[*dims], with or without a leading batch axis of 1.
        port: the input.
        how: declares the limits.
        where: names the sample in an error.

    Returns:
        T[*port.dims] of the port's type.

    Raises:
        UsageError: the type or shape does not fit, or a number is not finite or beyond the limits.
    """
    wanted = helper.tensor_dtype_to_np_dtype(port.dtype)
    if array.dtype != wanted and not np.can_cast(array.dtype, wanted, "same_kind"):
        raise UsageError(f"{where}: input {port.name!r} wants {wanted}, the data is {array.dtype}")
    if array.dtype.kind in "iub" and wanted.kind == "f":
        raise UsageError(
            f"{where}: the data is {array.dtype}, input {port.name!r} wants {wanted}: say how the "
            "model was trained, for example --preprocess scale=0.00392156862745098, or scale=1"
        )
    if array.shape != port.dims:
        array = _shaped(array, port, where)
    typed: Array = array.astype(wanted)
    if wanted.kind == "f" and not np.isfinite(typed).all():
        raise UsageError(f"{where}: input {port.name!r} has NaN or infinite values; leave it out")
    _check_limits(typed, how, port, where)
    return typed


def _shaped(array: Array, port: Port, where: str) -> Array:
    if port.dims[:1] == (1,) and array.shape == port.dims[1:]:
        return array[None]
    raise UsageError(
        f"{where}: input {port.name!r} wants {list(port.dims)}, the sample is {list(array.shape)}"
        + ("; an image gets its size by --preprocess resize=[H,W]" if array.ndim > 1 else "")
    )


def _check_limits(array: Array, how: Preprocessing, port: Port, where: str) -> None:
    if how.limits is None or not array.size:
        return
    lowest, highest = float(array.min()), float(array.max())
    if lowest < how.limits[0] or highest > how.limits[1]:
        raise UsageError(
            f"{where}: input {port.name!r} holds {lowest:g} to {highest:g}, outside of the "
            f"declared limits {how.limits[0]:g} to {how.limits[1]:g}"
        )


def random_sample(ports: Sequence[Port], seed: int, index: int) -> Sample:
    """Draw a random sample: normal floats, and integers below each port's bound.

    Args:
        ports: what to feed.
        seed: of the random numbers.
        index: of the sample; each has numbers of its own.

    Returns:
        For each port T[*dims] of the port's type and dimensions.
    """
    rng = np.random.default_rng([seed, index])
    feeds: dict[str, Array] = {}
    for port in ports:
        wanted = helper.tensor_dtype_to_np_dtype(port.dtype)
        is_whole = wanted.kind in "iub"
        drawn = rng.integers(0, port.bound, port.dims) if is_whole else rng.normal(size=port.dims)
        feeds[port.name] = drawn.astype(wanted)
    return Sample(f"random {index}", feeds)

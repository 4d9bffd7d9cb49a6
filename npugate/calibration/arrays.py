"""Read one sample of a stored array at a time; a pickled object is never loaded.

An array in a compressed archive can only be read from its beginning, so samples
are read in ascending order; reading backwards is allowed and slow.
"""

from __future__ import annotations

import weakref
import zipfile
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import IO, Final

import numpy as np

from npugate.errors import UsageError
from npugate.facts.graph import Array

_HEADER_BYTES: Final = 10_000
_WHOLE_BYTES: Final = 1 << 30  # largest array that is read at once


class StoredArray:
    """An array in a file, read by its leading axis.

    Attributes:
        shape, dtype: as the header says.
        name: for errors.
    """

    def __init__(self, file: IO[bytes], name: str, length: int) -> None:
        """Read the header.

        Args:
            file: at the beginning of the ``.npy`` data; must be seekable.
            name: for errors.
            length: bytes of the file.

        Raises:
            UsageError: it is no array, one of Python objects, or larger than its file.
        """
        self.name = name
        self._file = file
        weakref.finalize(self, file.close)  # one a sample in a folder of many
        try:
            version = np.lib.format.read_magic(file)
            reader = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            self.shape, self._is_fortran, self.dtype = reader(file, max_header_size=_HEADER_BYTES)
            self._start = file.tell()
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UsageError(f"{name}: no array that can be read: {error}") from error
        if self.dtype.hasobject:
            raise UsageError(
                f"{name}: it holds Python objects, which are not loaded; store numbers"
            )
        if self._start + prod(self.shape) * self.dtype.itemsize > length:
            raise self._cut_short()

    def row(self, index: int) -> Array:
        """Return ``array[index]``.

        Returns:
            T[*shape[1:]] of the stored type.

        Raises:
            UsageError: the file ends early or cannot be read.
        """
        if self._is_fortran and len(self.shape) > 1:
            raise UsageError(f"{self.name}: store it in C order (numpy.ascontiguousarray)")
        return self._read(index * self._row_bytes, self.shape[1:])

    def whole(self) -> Array:
        """Return the whole array.

        Returns:
            T[*shape] of the stored type.

        Raises:
            UsageError: it is larger than 1 GiB, ends early or cannot be read.
        """
        if prod(self.shape) * self.dtype.itemsize > _WHOLE_BYTES:
            raise UsageError(f"{self.name}: larger than 1 GiB; store it as samples along axis 0")
        if not self._is_fortran:
            return self._read(0, self.shape)
        return self._read(0, self.shape[::-1]).transpose()

    @property
    def _row_bytes(self) -> int:
        return prod(self.shape[1:]) * self.dtype.itemsize

    def _read(self, start: int, shape: tuple[int, ...]) -> Array:
        size = prod(shape) * self.dtype.itemsize
        try:
            self._file.seek(self._start + start)
            data = self._file.read(size)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UsageError(f"{self.name}: cannot be read: {error}") from error
        if len(data) != size:
            raise self._cut_short()
        array: Array = np.frombuffer(data, self.dtype).reshape(shape)
        return array

    def _cut_short(self) -> UsageError:
        return UsageError(f"{self.name}: the file ends before its array does; copy it again")


def stored(path: Path) -> Mapping[str, StoredArray]:
    """Open the arrays of a ``.npy`` or ``.npz`` file by name; one in a ``.npy`` has the name "".

    Raises:
        UsageError: the file cannot be read or holds no array.
    """
    try:
        if path.suffix.lower() == ".npy":
            return {"": StoredArray(path.open("rb"), str(path), path.stat().st_size)}
        archive = zipfile.ZipFile(path)
        found: dict[str, StoredArray] = {}
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name != entry.filename:
                found[name] = StoredArray(archive.open(entry), f"{path}, {name}", entry.file_size)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{path}: no file of arrays that can be read: {error}") from error
    if not found:
        raise UsageError(f"{path}: there is no array in it")
    return found

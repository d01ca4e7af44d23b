"""What a stored trace declares, checked before anything is inflated or decoded.

zarr and xarray follow any codec, dtype and attribute that a file names, even one that inflates to
gigabytes, changes the byte order or rescales the values. We read only what
`workbench.trace.storage` writes, and no more than fits into memory.
"""

from __future__ import annotations

import math
import stat
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.files import LIMIT, open_regular, parse_json
from workbench.limits import refuse_beyond_memory

METADATA = "zarr.json"
DTYPES = frozenset(
    ["bool", "float32", "float64", "fixed_length_utf32"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)
CHANGING = ("scale_factor", "add_offset", "missing_value", "_Unsigned", "calendar", "dtype")
"""Attributes that make xarray change the stored values (CF conventions)."""
NAN = ("AAAAAAAA+H8=", "NaN")
"""How xarray records that missing values are NaN, which changes nothing."""
SMALL = 1024
"""Bytes that a single number may take on disk, where zarr compresses it differently."""
BLOSC_HEADER, CRC = 16, 4
"""Bytes that Blosc and the checksum add to a chunk; Blosc copies what it cannot compress."""


class Stored:
    """The files of a trace by key, with their sizes, whether in a zip file or in a folder.

    Raises WorkbenchError: a file is not regular, its compression is unusual for zip files, or
    metadata are too large, nested too deeply or not JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.archive: zipfile.ZipFile | None = None
        self.sizes: dict[str, int] = {}
        with ExitStack() as opened:
            if path.is_dir():
                self._of_folder()
            else:
                file = opened.enter_context(open_regular(path))
                self.archive = opened.enter_context(zipfile.ZipFile(file))
                self._of_archive(self.archive)
            # here, because zarr reads several at once and prints all failures but the first
            for key, size in self.sizes.items():
                if key.rpartition("/")[2] == METADATA:
                    if size > LIMIT:
                        raise self.refused(f"{key} of {size:,} bytes", f"at most {LIMIT:,} bytes")
                    parse_json(self.beginning(key, size), what=f"{key} in {path}")
            self._opened = opened.pop_all()

    def _of_folder(self) -> None:
        for file in sorted(self.path.rglob("*")):
            found = file.stat()
            if stat.S_ISREG(found.st_mode):
                self.sizes[file.relative_to(self.path).as_posix()] = found.st_size
            elif not stat.S_ISDIR(found.st_mode):
                raise self.refused(f"{file.name}, which is not a regular file", "files alone")

    def _of_archive(self, archive: zipfile.ZipFile) -> None:
        for info in archive.infolist():
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                given = f"{info.filename} in compression {info.compress_type}"
                raise self.refused(given, "members that are stored or deflated")
            self.sizes[info.filename] = info.file_size

    def close(self) -> None:
        """Close the zip file."""
        self._opened.close()

    def beginning(self, key: str, size: int) -> bytes:
        """Return the first bytes of a file, or nothing if it does not exist."""
        if key not in self.sizes:
            return b""
        file = self.archive.open(key) if self.archive else open_regular(self.path / key)
        with file:
            return file.read(size)

    def chunks(self, array: str) -> list[str]:
        """Return the keys of an array's chunks."""
        prefix = f"{array}/c"
        return [key for key in self.sizes if key.startswith(prefix)]

    def refused(self, given: str, expected: str) -> WorkbenchError:
        """Return the error for content that a trace never has."""
        return WorkbenchError(
            f"{self.path} has {given}", expected, "save it again with workbench.trace.save_trace"
        )


def check_declared(
    stored: Stored, arrays: Mapping[str, Any], examples: slice | np.ndarray | None
) -> None:
    """Check what a trace's arrays declare: dtypes, codecs, attributes and sizes.

    `stored`: the files. `arrays`: the arrays; only their metadata are read. `examples`: the ones to
    read. Raises WorkbenchError: an array declares something that `save_trace` does not write, or
    does not fit into memory.
    """
    total = largest = 0
    for name, array in arrays.items():
        about = array.metadata.to_dict()
        _check_kind(stored, name, about)
        itemsize = array.dtype.itemsize
        chunk = math.prod(array.chunks) * itemsize
        largest = max(largest, chunk)
        shape = list(array.shape)
        if examples is not None and (about.get("dimension_names") or [None])[0] == dims.EXAMPLE:
            shape[0] = _chosen(shape[0], examples)
        total += math.prod(shape) * itemsize
    what = f"the trace {stored.path}"
    refuse_beyond_memory(total + largest, what, "read some examples: load_trace(examples=)")
    for name, array in arrays.items():
        _check_chunks(stored, name, array)


def _check_kind(stored: Stored, name: str, about: Mapping[str, Any]) -> None:
    kind = about["data_type"]
    kind = kind["name"] if isinstance(kind, Mapping) else kind
    if about.get("zarr_format") != 3 or kind not in DTYPES or about.get("storage_transformers"):
        raise stored.refused(f"{name} of dtype {kind!r}", "bools, integers, floats or plain text")
    if not _known_codecs(about["codecs"], scalar=not about["shape"]):
        listed = ", ".join(_codec(codec) for codec in about["codecs"])
        raise stored.refused(f"{name} in the codecs {listed}", "little-endian bytes in Blosc")
    if about["chunk_key_encoding"]["name"] != "default":  # `Stored.chunks` knows no other keys
        raise stored.refused(f"{name} with chunks of other names", "those of zarr's default")
    for key, value in about["attributes"].items():
        if key in CHANGING or (key == "_FillValue" and value not in NAN):
            given = f"{name} with the attribute {key} = {value!r:.40}"
            raise stored.refused(given, "values as they were recorded")


def _known_codecs(codecs: Iterable[Mapping[str, Any]], *, scalar: bool) -> bool:
    first, *rest = codecs
    how = first.get("configuration") or {}
    if first["name"] != "bytes" or how.get("endian") not in (None, "little"):
        return False
    names = [codec["name"] for codec in rest]
    return names in ([], ["blosc"], ["crc32c"], ["blosc", "crc32c"]) or scalar and names == ["zstd"]


def _codec(codec: Mapping[str, Any]) -> str:
    endian = (codec.get("configuration") or {}).get("endian")
    return codec["name"] + (f" ({endian}-endian)" if endian else "")


def _chosen(count: int, examples: slice | np.ndarray) -> int:
    if isinstance(examples, slice):
        return len(range(*examples.indices(count)))
    chosen = np.asarray(examples)
    return int(chosen.sum()) if chosen.dtype == bool else chosen.size


def _check_chunks(stored: Stored, name: str, array: Any) -> None:
    """Check that each chunk inflates to the size of a chunk: Blosc trusts the size a chunk states.

    The zip file may deflate chunks too, so their stored size is checked as well.
    """
    codecs = [codec["name"] for codec in array.metadata.to_dict()["codecs"]]
    wanted = math.prod(array.chunks) * array.dtype.itemsize
    most = SMALL if "zstd" in codecs else wanted + BLOSC_HEADER + CRC
    for key in stored.chunks(name):
        if stored.sizes[key] > most:
            raise stored.refused(f"{key} of {stored.sizes[key]:,} bytes", f"at most {most:,} bytes")
        if "blosc" in codecs:
            header = stored.beginning(key, BLOSC_HEADER)
            size = int.from_bytes(header[4:8], "little")
            if len(header) == BLOSC_HEADER and size != wanted:
                raise stored.refused(f"{key} that inflates to {size:,} bytes", f"{wanted:,} bytes")

"""Traces on disk: zarr, as one file ``NAME.zarr.zip`` or a folder ``NAME.zarr``.

Written aside and then renamed, so that nothing half-written is read as whole. Reading counts the
chunks of a folder, since a missing one would read as empty. Large variables have one chunk per
(example, window, layer), with all passes and heads. Nothing is pickled.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError, one_line
from workbench.files import folder_aside, written_aside
from workbench.paths import bundled_traces
from workbench.sleep import SleepingModel
from workbench.trace.declared import Stored, check_declared
from workbench.trace.recorder import recorded_parts
from workbench.trace.schema import EARLIER, GROUPS, SCHEMA, upgraded, validate_trace
from workbench.training.checkpoints import Checkpoint, read_provenance
from workbench.training.places import WEIGHTS, find_checkpoint

ZIPPED, FOLDER = ".zarr.zip", ".zarr"
TOGETHER = 64
"""Examples that one chunk of a small variable holds."""

LARGE = ("fast_weight", "write_key", "write_value", "residual")
"""Variables with a chunk for each (example, window, layer); `PER_EXAMPLE` have one each."""
PER_EXAMPLE = ("beta", "log_decay")


def save_trace(tree: xr.DataTree, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a trace, with all groups that instruments attached; return where it was written.

    `tree`: a trace of the schema ``sleep-trace/2``. `path`: ``NAME.zarr.zip`` for one file,
    ``NAME.zarr`` for a folder. `overwrite`: replace what is there. Raises WorkbenchError: the tree
    is not a trace, the name has another ending, or the file exists.
    """
    validate_trace(tree)
    return _write([tree], Path(path), overwrite)


def record_to(
    path: str | Path,
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    overwrite: bool = False,
    **options: Any,
) -> Path:
    """Record a trace to disk, holding `batch_size` examples of it in memory at a time.

    Arguments as in `workbench.trace.record`; path, return value and errors as in `save_trace`.
    """
    parts = recorded_parts(model, batch, sleep, **options)
    return _write(parts, Path(path), overwrite)


def load_trace(
    name_or_path: str | Path,
    *,
    examples: slice | np.ndarray | None = None,
    checkpoint: Checkpoint | str | Path | None = None,
) -> xr.DataTree:
    """Read a trace into memory, whole or some examples of it; the file is closed again.

    `name_or_path`: the name of a bundled trace, or what `save_trace` wrote. `examples`: read only
    these, by position; a large trace then need not fit into memory. `checkpoint`: refuse a trace
    that was recorded from another checkpoint. Raises WorkbenchError: the trace does not exist, is
    truncated, damaged or half-written, or has another schema or checkpoint.
    """
    import zarr

    path = find_trace(name_or_path)
    groups: dict[str, xr.Dataset] = {}
    with _opened(path) as (stored, store):
        root = zarr.open_group(store, mode="r", use_consolidated=False)
        attributes, (arrays, paths) = dict(root.attrs), _members(root)
        _check_schema(path, attributes)
        if checkpoint is not None:
            _check_checkpoint(path, attributes, checkpoint)
        with _without_warnings():
            check_declared(stored, arrays, examples)
            _check_complete(path, arrays)
            for group in paths:
                groups[f"/{group}"] = _read(store, group, examples)
    tree = xr.DataTree.from_dict(upgraded(groups))
    try:
        validate_trace(tree)
    except WorkbenchError as error:
        raise WorkbenchError(f"{path}: {error.given}", error.expected, error.fix) from None
    return tree


def find_trace(name_or_path: str | Path) -> Path:
    """Return the path of a trace; see `load_trace`."""
    bundled, path = bundled_traces(), Path(name_or_path)
    if isinstance(name_or_path, str) and name_or_path in bundled:
        return bundled[name_or_path]
    if not path.exists():
        raise WorkbenchError(
            f"no trace {str(name_or_path)!r}",
            f"a bundled name ({', '.join(bundled) or 'none found'}), NAME{ZIPPED} or NAME{FOLDER}",
            "record one with `workbench trace CHECKPOINT`",
        )
    return path


def check_target(path: Path, overwrite: bool) -> None:
    """Check that a trace may be written to `path`.

    Raises WorkbenchError: the name has another ending, or the file exists.
    """
    if not path.name.endswith((ZIPPED, FOLDER)):
        raise WorkbenchError(
            f"a trace named {path.name!r}",
            f"NAME{ZIPPED} or NAME{FOLDER}",
            "use one of these endings",
        )
    if path.exists() and not overwrite:
        raise WorkbenchError(
            f"{path} is there already", "a name that is free", "choose another, or overwrite it"
        )
    zipped = path.name.endswith(ZIPPED)
    if path.exists() and zipped != path.is_file():
        raise WorkbenchError(
            f"{path} is a {'file' if path.is_file() else 'folder'}",
            f"a file NAME{ZIPPED} or a folder NAME{FOLDER}",
            "move it out of the way",
        )


# --- writing -------------------------------------------------------------------------------------


def _write(parts: Iterable[xr.DataTree], path: Path, overwrite: bool) -> Path:
    check_target(path, overwrite)
    try:
        if path.name.endswith(FOLDER):
            with folder_aside(path) as folder:

                def put(key: str, data: bytes) -> None:
                    file = folder / key
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(data)

                _write_parts(parts, put)
        else:
            with written_aside(path) as file, zipfile.ZipFile(file, "w") as archive:
                # ZipInfo's date is always the same one: equal traces are equal files
                _write_parts(parts, lambda key, data: archive.writestr(zipfile.ZipInfo(key), data))
    except OSError as error:
        raise WorkbenchError(
            f"{path} cannot be written ({error.strerror or error})",
            "a folder that can be written to, with room enough",
            "name another place",
        ) from error
    return path


def _write_parts(parts: Iterable[xr.DataTree], put: Callable[[str, bytes], None]) -> None:
    """Encode the parts in turn; large variables are written at once, the rest at the end."""
    from zarr.storage import MemoryStore

    held: dict[str, Any] = {}
    store = MemoryStore(held)
    for number, part in enumerate(parts):
        for node in part.subtree:
            _write_group(node, store, append=number > 0)
        for key in sorted(held):
            array, _, chunk = key.partition("/c.")
            if chunk and array.rpartition("/")[2] in LARGE + PER_EXAMPLE:
                put(key, held.pop(key).to_bytes())
    for key in sorted(held):
        put(key, held[key].to_bytes())


def _write_group(node: xr.DataTree, store: Any, *, append: bool) -> None:
    found = node.to_dataset(inherit=False).drop_encoding()
    how: dict[str, Any] = {"append_dim": dims.EXAMPLE}
    if not append:
        how = {"encoding": {name: _encoding(name, v) for name, v in found.variables.items()}}
    with _without_warnings():
        found.to_zarr(
            store,
            group=node.path.strip("/") or None,
            mode="a",
            consolidated=False,
            zarr_format=3,
            write_empty_chunks=True,  # so that a missing chunk means a lost one
            **how,
        )


def _encoding(name: Any, variable: xr.Variable) -> dict[str, Any]:
    """Return chunks and compression; float32 in shuffled bytes takes half its size."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    single: tuple[str, ...] = ()
    if name in LARGE:
        single = (dims.EXAMPLE, dims.WINDOW, dims.LAYER)
    elif name in PER_EXAMPLE:
        single = (dims.EXAMPLE,)
    chunks = []
    for axis, size in variable.sizes.items():
        most = TOGETHER if axis == dims.EXAMPLE else size
        chunks.append(1 if axis in single else max(most, 1))
    codec = BloscCodec(
        cname="zstd", clevel=5, shuffle="shuffle", typesize=max(variable.dtype.itemsize, 1)
    )
    flat = {"name": "default", "separator": "."}  # a folder of files, not folders in folders
    checked = (codec, Crc32cCodec())  # Blosc alone does not notice a truncated chunk
    encoding = {"chunks": tuple(chunks), "compressors": checked, "chunk_key_encoding": flat}
    return encoding if variable.dims else {}


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence zarr on text of fixed length, which its specification does not cover yet.

    Its warnings about foreign objects are not needed: the schema check reports what is missing.
    """
    from zarr.errors import UnstableSpecificationWarning, ZarrUserWarning

    with warnings.catch_warnings():
        for category in (UnstableSpecificationWarning, ZarrUserWarning):
            warnings.simplefilter("ignore", category)
        yield


# --- reading -------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Stored, Any]]:
    """Give the files of a trace and zarr's store of them; any failure becomes one clear error."""
    from zarr.storage import LocalStore, ZipStore

    store: Any = None
    stored: Stored | None = None
    try:
        stored = Stored(path)
        store = LocalStore(path, read_only=True) if path.is_dir() else ZipStore(path, mode="r")
        yield stored, store
    except WorkbenchError:
        raise
    except Exception as error:  # a damaged file can fail in any codec, or in zarr itself
        line = one_line(f"{type(error).__name__}: {error}", 200)
        raise WorkbenchError(
            f"{path} cannot be read ({line})",
            "a whole trace",
            "it is truncated, damaged or of another kind: record it again",
        ) from error
    finally:
        if stored is not None:
            stored.close()
        if store is not None:
            store.close()


def _members(root: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the arrays of a store by path, and the paths of its groups; the root's is empty."""
    import zarr

    with _without_warnings():
        found = dict(root.members(max_depth=None))
    arrays = {path: member for path, member in found.items() if isinstance(member, zarr.Array)}
    return arrays, ["", *sorted(found.keys() - arrays.keys())]


def _check_schema(path: Path, attributes: Mapping[str, Any]) -> None:
    found = attributes.get("schema")
    if found not in (SCHEMA, EARLIER):
        raise WorkbenchError(
            f"{path} has schema {found!r}",
            f"{SCHEMA}, or the earlier {EARLIER}",
            "record it again with this version",
        )


def _check_checkpoint(
    path: Path, attributes: Mapping[str, Any], checkpoint: Checkpoint | str | Path
) -> None:
    if isinstance(checkpoint, Checkpoint):
        provenance = checkpoint.provenance
    else:
        provenance = read_provenance(find_checkpoint(checkpoint))
    found, wanted = attributes.get("checkpoint_sha256"), provenance["hashes"][WEIGHTS]
    if found != wanted:
        named = attributes.get("checkpoint") or "a model without a name"
        raise WorkbenchError(
            f"{path} was recorded from {named}, weights {str(found)[:12] or 'unknown'}",
            f"{provenance['name']}, weights {str(wanted)[:12]}",
            "load the checkpoint that it was recorded from, or record it again",
        )


def _check_complete(path: Path, arrays: Mapping[str, Any]) -> None:
    """Count the chunks: one that is missing would read as empty."""
    for name, array in arrays.items():
        missing = array.nchunks - array.nchunks_initialized
        if missing:
            raise WorkbenchError(
                f"{path} lacks {missing} of the {array.nchunks} chunks of {name}",
                "a whole trace",
                "it is half-written or damaged: record or copy it again",
            )


def _read(store: Any, group: str, examples: slice | np.ndarray | None) -> xr.Dataset:
    with xr.open_zarr(
        store,
        group=group or None,
        consolidated=False,
        chunks=None,
        mask_and_scale=False,  # values are read as they were stored
        decode_times=False,
        decode_timedelta=False,
    ) as found:
        if examples is not None:
            found = found.isel({dims.EXAMPLE: examples}, missing_dims="ignore")
        found = found.load().drop_encoding()
    for values in found.variables.values():
        values.attrs.pop("_FillValue", None)  # NaN; xarray adds it when it writes
    return found


def groups_of(tree: xr.DataTree) -> dict[str, int]:
    """Return the bytes in memory of each group of a trace, by path."""
    core = [name for name in GROUPS if name in tree.children]
    names = core + [name for name in tree.children if name not in core]
    return {
        name: sum(v.nbytes for node in tree[name].subtree for v in node.data_vars.values())
        for name in names
    }

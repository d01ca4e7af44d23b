"""Traces that were altered, or declare more than they may, are refused before they are inflated."""

import gc
import json
import os
import shutil
import tracemalloc
import zipfile

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from workbench import limits
from workbench.errors import WorkbenchError
from workbench.trace import load_trace, save_trace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saved(recorded, tmp_path_factory):
    return save_trace(recorded, tmp_path_factory.mktemp("saved") / "one.zarr")


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of a trace saved as a folder, to be altered."""
    return shutil.copytree(saved, tmp_path / "one.zarr")


def zipped(folder, how=zipfile.ZIP_STORED):
    """Return the same trace as one file, with checksums that fit."""
    path = folder.with_name("one.zarr.zip")
    with zipfile.ZipFile(path, "w", how) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return path


def edit(folder, array, change):
    """Change the metadata of an array, or of the root."""
    path = folder / array / "zarr.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))


def refused(folder, match, *, as_file=True):
    """Check that loading fails in one line; the folder alone, or also as one file."""
    for path in (folder, zipped(folder)) if as_file else (folder,):
        with pytest.raises(WorkbenchError, match=match) as caught:
            load_trace(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_unaltered_it_is_read_in_every_form(folder, small_trace, how):
    for path in (folder, zipped(folder, how)):
        found = load_trace(path)
        for node in small_trace.subtree:
            expected = node.to_dataset(inherit=False)
            xr.testing.assert_identical(found[node.path].to_dataset(inherit=False), expected)


@pytest.mark.parametrize(
    ("array", "name", "value"),
    [
        ("states/norm", "scale_factor", 2.0), ("inputs/tokens", "add_offset", 1),
        ("readout/rank", "missing_value", 3), ("example", "_Unsigned", "true"),
        ("states/norm", "_FillValue", "AAAAAAAA8D8="), ("inputs/tokens", "_FillValue", 0),
        ("readout/rank", "calendar", "noleap"), ("example", "dtype", "bool"),
    ],
)  # fmt: skip
def test_attributes_that_change_values(folder, array, name, value):
    edit(folder, array, lambda about: about["attributes"].update({name: value}))
    refused(folder, f"{array} with the attribute {name} = ", as_file=array == "example")


@pytest.mark.parametrize("value", ["seconds since 1970-01-01", "hours", "days"])
def test_a_unit_of_time_changes_no_value(folder, small_trace, value):
    edit(folder, "readout/rank", lambda about: about["attributes"].update(units=value))
    found = load_trace(folder)["readout"]["rank"]
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found.values, small_trace["readout"]["rank"].values)


@pytest.mark.parametrize("array", ["states/norm", "example"])
def test_another_byte_order(folder, array):
    def swap(about):
        about["codecs"][0]["configuration"]["endian"] = "big"

    edit(folder, array, swap)
    refused(folder, rf"{array} in the codecs bytes \(big-endian\), blosc, crc32c; expected little")


OTHER_CODECS = {
    "zstd": [{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 0, "checksum": False}}],
    "gzip": [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 5}}],
    "transposed": [
        {"name": "transpose", "configuration": {"order": [2, 1, 0]}},
        {"name": "bytes", "configuration": {"endian": "little"}},
    ],
    "sharded": [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [1, 1, 1],
                "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
                "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
                "index_location": "end",
            },
        }
    ],
    "text": [{"name": "vlen-utf8"}],
    "unheard of": [{"name": "bytes"}, {"name": "unheard-of"}],
}


@pytest.mark.parametrize("codecs", OTHER_CODECS.values(), ids=OTHER_CODECS)
def test_other_codecs(folder, codecs):
    edit(folder, "inputs/valid", lambda about: about.update(codecs=codecs))
    refused(folder, "inputs/valid in the codecs|cannot be read", as_file=False)


@pytest.mark.parametrize(
    "kind",
    ["string", "complex64", "float16", "r16", "int3",
     {"name": "null_terminated_bytes", "configuration": {"length_bytes": 8}},
     {"name": "numpy.datetime64", "configuration": {"unit": "s", "scale_factor": 1}}],
    ids=str,
)  # fmt: skip
def test_other_dtypes(folder, kind):
    def change(about):
        about.update(data_type=kind, fill_value="" if kind == "string" else 0)
        if kind == "string":
            about["codecs"] = [{"name": "vlen-utf8"}]

    edit(folder, "inputs/tokens", change)
    refused(folder, "inputs/tokens of dtype|cannot be read", as_file=False)


def peak(read):
    """Return the most bytes that Python and NumPy held while something was read."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_chunk_that_inflates_to_more_than_a_chunk(folder):
    """A Blosc chunk says its own size, and is believed: 64 MB of zeros here take some kB."""
    bomb = folder.with_name("bomb")
    codecs = (BloscCodec(cname="zstd", clevel=9), Crc32cCodec())
    whole = {"shape": (2**26,), "chunks": (2**26,), "dtype": np.uint8, "compressors": codecs}
    zarr.create_array(bomb, **whole, config={"write_empty_chunks": True})[:] = 0
    chunk = next(folder.glob("states/norm/c.*"))
    chunk.write_bytes((bomb / "c" / "0").read_bytes())
    assert chunk.stat().st_size < 2**20
    assert peak(lambda: refused(folder, "c.0.0.0.0.0 that inflates to 67,108,864 bytes")) < 2**25


def test_a_chunk_whose_member_inflates_to_more_than_a_chunk(folder):
    """The zip file deflates it, and what Blosc says of its own size is true."""
    chunk = next(folder.glob("states/norm/c.*"))
    chunk.write_bytes(chunk.read_bytes() + bytes(2**26))
    path = zipped(folder, zipfile.ZIP_DEFLATED)

    def read():
        with pytest.raises(WorkbenchError, match="c.0.0.0.0.0 of 67,.* bytes; expected at most"):
            load_trace(path)

    assert peak(read) < 2**25


def test_chunks_under_other_names(folder):
    def change(about):
        about["chunk_key_encoding"] = {"name": "v2", "configuration": {"separator": "."}}

    edit(folder, "states/norm", change)
    refused(folder, "states/norm with chunks of other names")


@pytest.mark.parametrize("text", [b"[" * 100_000, b"9" * 5_000, b'{"zarr_format": NaN}', b"\xff"])
def test_metadata_that_are_not_json(folder, text, caplog):
    """Of several arrays at a time, of which zarr reads some together; none is a stray message."""
    for file in folder.glob("states/*/zarr.json"):
        file.write_bytes(text)
    refused(folder, "zarr.json in .* is not valid JSON", as_file=text == b"\xff")
    gc.collect()
    assert not caplog.records


def test_several_damaged_members(folder, caplog):
    """Their checksums in the zip file are wrong; each failure is reported once, in the error."""
    path = zipped(folder)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"zarr_format"', b'"Zarr_format"'))
    with pytest.raises(WorkbenchError, match="Bad CRC-32") as caught:
        load_trace(path)
    del caught
    gc.collect()
    assert not caplog.records


@pytest.mark.parametrize(
    ("part", "size"), [("shape", 10**6), ("shape", 2**40), ("chunk_shape", 10**9)]
)
def test_what_declares_more_than_memory(folder, part, size, monkeypatch):
    monkeypatch.setattr(limits, "available_memory", lambda: 2**20)

    def change(about):
        whole = about if part == "shape" else about["chunk_grid"]["configuration"]
        whole[part] = [size, *whole[part][1:]]

    edit(folder, "states/norm", change)
    refused(folder, "the trace .* needs at least .*; expected at most 1.0 MB")


def test_of_a_trace_that_is_larger_than_memory_only_what_is_read_counts(folder, monkeypatch):
    needed = []
    name = "workbench.trace.declared.refuse_beyond_memory"
    monkeypatch.setattr(name, lambda size, *rest: needed.append(size))
    tree = load_trace(folder)
    found = [v for n in tree.subtree for v in n.to_dataset(inherit=False).variables.values()]
    for some in (slice(0, 1), np.array([2]), np.array([False, True, False])):
        load_trace(folder, examples=some)
    two_of_three = sum(2 * v.nbytes // 3 for v in found if "example" in v.dims)
    assert needed[0] > sum(v.nbytes for v in found)
    assert needed[1:] == [needed[0] - two_of_three] * 3


def test_a_member_in_another_compression(folder):
    path = zipped(folder, zipfile.ZIP_BZIP2)
    with pytest.raises(WorkbenchError, match="compression 12; expected members that are stored"):
        load_trace(path)


def test_pipes_are_refused_without_waiting(folder):
    os.mkfifo(folder / "states" / "norm" / "pipe")
    with pytest.raises(WorkbenchError, match="pipe, which is not a regular file"):
        load_trace(folder)
    os.mkfifo(folder.with_name("pipe.zarr.zip"))
    with pytest.raises(WorkbenchError, match="is not a regular file"):
        load_trace(folder.with_name("pipe.zarr.zip"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_sleep", 10**9), ("n_sleep", 3), ("n_sleep", 0), ("n_sleep", "2"), ("n_sleep", 2.0),
        ("window_size", 5), ("window_size", 0), ("seed", -2),
        ("sequence_length", 10**9), ("sequence_length", 0), ("sequence_length", 8),
        ("isolated", 10**9), ("isolated", -2), ("isolated", 0), ("isolated", "x"),
        ("isolated", 2.0), ("isolated", True),
    ],
)  # fmt: skip
def test_numbers_of_the_root_that_do_not_fit_the_arrays(folder, name, value):
    edit(folder, "", lambda about: about["attributes"].update({name: value}))
    refused(folder, "a trace that has", as_file=False)


@pytest.mark.parametrize(
    ("array", "value"),
    [
        ("n_passes", 10**9), ("n_passes", 3), ("n_passes", 0), ("inputs/tokens", -1),
        ("inputs/answer_of", 10**6), ("inputs/answer_of", -2), ("inputs/difficulty", -2),
        ("readout/rank", -2),
    ],
)  # fmt: skip
def test_values_that_cannot_be(folder, array, value):
    found = zarr.open_array(folder / array, mode="r+")
    found[(0,) * found.ndim] = value
    refused(folder, "a trace that has", as_file=False)


def test_a_vocabulary_that_lacks_a_token(folder):
    edit(folder, "", lambda about: about["attributes"].update(vocabulary_json='["a", "b"]'))
    refused(folder, "/inputs/tokens from 0 to 6; expected 0 to 1", as_file=False)


@pytest.mark.parametrize("text", ["[" * 100_000, "{"])
def test_settings_that_are_not_json(folder, text):
    edit(folder, "", lambda about: about["attributes"].update(config_json=text))
    refused(folder, "config_json that is not JSON", as_file=False)

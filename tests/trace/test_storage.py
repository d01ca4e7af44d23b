"""A trace comes back as it was, or not at all."""

import zipfile

import numpy as np
import pytest
import xarray as xr
import zarr

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.trace import groups_of, load_trace, origin_of, record, record_to, save_trace

NAMES = ("one.zarr.zip", "one.zarr")
each_name = pytest.mark.parametrize(
    "name", [NAMES[0], pytest.param(NAMES[1], marks=pytest.mark.slow)]
)
SLEEP = SleepConfig(window=4, passes=2)


@each_name
def test_it_comes_back_with_what_was_attached(small_trace, tmp_path, name):
    probes = xr.Dataset(
        {
            "accuracy": (("baseline", "seed"), np.ones((2, 3))),
            "seconds": ("seed", np.arange(3), {"units": "seconds"}),
        },
        coords={"baseline": ["majority", "zweitbeste Lösung"]},
        attrs={"fold": "test", "examples": 12},
    )
    small_trace["probes/successor"] = xr.DataTree(probes)
    assert save_trace(small_trace, tmp_path / name) == tmp_path / name
    found = load_trace(tmp_path / name)
    xr.testing.assert_identical(found, small_trace)
    assert found["inputs"]["valid"].dtype == bool
    assert found["states"]["fast_weight"].dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing is left beside it"
    save_trace(found, tmp_path / f"again.{name}")  # what was read can be written
    xr.testing.assert_identical(load_trace(tmp_path / f"again.{name}"), found)


@each_name
def test_recording_to_disk_is_the_same_in_parts(tiny_model, make_batch, tmp_path, name):
    model, batch = tiny_model(), make_batch(pads=(0, 1, 0, 2, 0))
    options = {"keep": ("states", "writes", "hidden"), "batch_size": 2}
    path = record_to(tmp_path / name, model, batch, SLEEP, **options)
    found, whole = load_trace(path), record(model, batch, SLEEP, **options)
    found.attrs.pop("created_at"), whole.attrs.pop("created_at")
    xr.testing.assert_identical(found, whole)


def test_some_examples_can_be_read(small_trace, tmp_path):
    path = save_trace(small_trace, tmp_path / "one.zarr.zip")
    found = load_trace(path, examples=slice(1, None))
    xr.testing.assert_identical(found, small_trace.isel(example=slice(1, None)))
    assert load_trace(path, examples=np.array([2, 0]))["example"].values.tolist() == [2, 0]


def test_equal_traces_are_equal_files(small_trace, tmp_path):
    first, second = (save_trace(small_trace, tmp_path / f"{i}.zarr.zip") for i in range(2))
    assert first.read_bytes() == second.read_bytes()


def test_what_is_large_has_a_chunk_for_each_example_window_and_layer(tmp_path, small_trace):
    root = zarr.open_group(save_trace(small_trace, tmp_path / "one.zarr"), mode="r")
    chunks = {name: array.chunks for name, array in root.members(max_depth=None)
              if isinstance(array, zarr.Array)}  # fmt: skip
    assert chunks["states/fast_weight"] == (1, 1, 3, 1, 2, 4, 3)
    assert chunks["writes/write_key"] == (1, 1, 2, 1, 2, 4, 4)
    assert chunks["writes/beta"] == (1, 3, 2, 1, 2, 4)
    assert chunks["states/norm"] == (64, 3, 3, 1, 2)


def test_bytes_by_group(small_trace):
    small_trace["probes/one"] = xr.DataTree(xr.Dataset({"a": ("x", np.zeros(3))}))
    sizes = groups_of(small_trace)
    assert list(sizes) == ["inputs", "states", "writes", "readout", "probes"]
    assert sizes["probes"] == 24


# --- refused -------------------------------------------------------------------------------------


def refused(message, path, **options):
    with pytest.raises(WorkbenchError, match=message) as error:
        load_trace(path, **options)
    assert "\n" not in str(error.value)


def test_nothing_there(tmp_path):
    refused("no trace 'never-recorded'", "never-recorded")
    refused("no trace", tmp_path / "none.zarr.zip")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file(small_trace, tmp_path, share):
    path = save_trace(small_trace, tmp_path / "one.zarr.zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused("cannot be read .* whole trace", path)


def test_a_damaged_file(small_trace, tmp_path):
    path = save_trace(small_trace, tmp_path / "one.zarr.zip")
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("states/fast_weight/c.0.0.0.0.0.0.0")
    data = bytearray(path.read_bytes())
    data[entry.header_offset + 80] ^= 0xFF
    path.write_bytes(data)
    refused("cannot be read", path)


@each_name
def test_something_else(tmp_path, name):
    path = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "no trace")
    else:
        path.mkdir()
    refused("cannot be read", path)


@each_name
def test_another_schema(tmp_path, name):
    xr.Dataset(attrs={"schema": "sleep-trace/9"}).to_zarr(tmp_path / "x.zarr", consolidated=False)
    path = tmp_path / "x.zarr"
    if name.endswith("zip"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "x.zarr" / "zarr.json", "zarr.json")
    refused("schema 'sleep-trace/9'; expected sleep-trace/2", path)


HALVES = {
    "a chunk of states": ("states/fast_weight/c.1.0.0.0.0.0.0", "lacks 1 of the 9 chunks"),
    "a chunk of bools": ("inputs/valid/c.0.0.0", "lacks 1 of the 1 chunks"),
    "a variable": ("states/norm/zarr.json", "/states without norm"),
    "a group": ("readout/zarr.json", "no group /readout"),
    "the root": ("zarr.json", "cannot be read"),
}


@pytest.mark.parametrize(("gone", "message"), HALVES.values(), ids=HALVES)
def test_a_half_written_folder(small_trace, tmp_path, gone, message):
    path = save_trace(small_trace, tmp_path / "one.zarr")
    (path / gone).unlink()
    refused(message, path)


def test_a_cut_off_chunk(small_trace, tmp_path):
    path = save_trace(small_trace, tmp_path / "one.zarr")
    chunk = path / "writes/write_key/c.0.0.0.0.0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    refused("cannot be read", path)


def test_another_checkpoint(tmp_path):
    import workbench
    from workbench.tasks import batch_generator

    checkpoint = workbench.load("depo-n8-any")
    batch = checkpoint.task.sample(1, batch_generator(0, 0, "trace"))
    sleep = checkpoint.sleep.with_passes(1)
    origin = origin_of(checkpoint)
    path = record_to(
        tmp_path / "one.zarr.zip", checkpoint.model, batch, sleep, keep=(), origin=origin
    )
    load_trace(path, checkpoint=checkpoint)
    load_trace(path, checkpoint="depo-n8-any")
    refused("recorded from depo-n8-any, .* expected depo-n8-n4", path, checkpoint="depo-n8-n4")


def test_names_and_what_is_there_already(small_trace, tmp_path):
    for name, message in [
        ("one.nc", "a trace named 'one.nc'"),
        ("one.zip", "a trace named 'one.zip'"),
    ]:
        with pytest.raises(WorkbenchError, match=message):
            save_trace(small_trace, tmp_path / name)
    for name in NAMES:
        path = save_trace(small_trace, tmp_path / name)
        with pytest.raises(WorkbenchError, match="is there already"):
            save_trace(small_trace, path)
        save_trace(small_trace, path, overwrite=True)
        load_trace(path)
    (tmp_path / "file.zarr").write_text("mine")
    (tmp_path / "folder.zarr.zip").mkdir()
    for name in ("file.zarr", "folder.zarr.zip"):
        with pytest.raises(WorkbenchError, match=rf"{name} is a (file|folder)"):
            save_trace(small_trace, tmp_path / name, overwrite=True)


@each_name
def test_cut_off_while_recording_nothing_is_there(tiny_model, make_batch, tmp_path, name):
    def interrupt(_):
        raise KeyboardInterrupt

    before = record_to(tmp_path / name, tiny_model(), make_batch(), SLEEP)
    content = load_trace(before)
    with pytest.raises(KeyboardInterrupt):
        record_to(
            before, tiny_model(seed=1), make_batch(), SLEEP,
            batch_size=1, on_progress=interrupt, overwrite=True,
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == [name]
    xr.testing.assert_identical(load_trace(before), content)


def test_no_trace_is_not_saved(small_trace, tmp_path):
    del small_trace["states"]
    with pytest.raises(WorkbenchError, match="no group /states"):
        save_trace(small_trace, tmp_path / "one.zarr")
    assert not list(tmp_path.iterdir())


@each_name
def test_where_nothing_can_be_written(small_trace, tmp_path, name):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(WorkbenchError, match="cannot be written"):
        save_trace(small_trace, tmp_path / "file" / name)

"""What sessions share: each checkpoint is loaded once, and again when its files change."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.paths import bundled_checkpoints
from workbench.training.checkpoints import load_checkpoint, save_checkpoint
from workbench.views.site.services import Services

BUNDLED = Path(__file__).resolve().parents[3] / "data" / "checkpoints"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with one checkpoint, and one that is still being written."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    source = next(path for path in sorted(BUNDLED.iterdir()) if path.is_dir())
    shutil.copytree(source, tmp_path / "checkpoints" / "whole")
    shutil.copytree(source, tmp_path / "checkpoints" / ".whole.123.tmp")
    return tmp_path / "checkpoints"


def test_a_checkpoint_is_loaded_once(data):
    shared, loaded = Services(), []
    assert shared.names() == ["whole"], "what is still being written is no checkpoint"
    threads = [
        threading.Thread(target=lambda: loaded.append(shared.checkpoint("whole"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 4 and len({id(one) for one in loaded}) == 1


def another(folder):
    """Turn a checkpoint into another one, whole as well: its weights shifted by one."""
    found = load_checkpoint(folder)
    for weight in found.model.parameters():
        weight.add_(1)
    told = {key: value for key, value in found.provenance.items() if key != "name"}
    save_checkpoint(folder, "another", found.model, found.experiment, told)


def test_one_that_is_replaced_is_loaded_again_and_one_that_is_removed_is_gone(data):
    shared = Services()
    before = shared.checkpoint("whole")
    another(data / "whole")
    after = shared.checkpoint("whole")
    assert (after.name, before.name != "another") == ("another", True)
    shift = after.model.head.weight - before.model.head.weight
    assert torch.allclose(shift, torch.ones_like(shift), atol=1e-5)
    assert after.identity != before.identity
    assert shared.checkpoint("whole") is after
    shutil.rmtree(data / "whole")
    with pytest.raises(WorkbenchError, match="no checkpoint 'whole'"):
        shared.checkpoint("whole")


@pytest.mark.parametrize("file", ["model.safetensors", "config.toml", "provenance.json"])
def test_one_that_is_damaged_after_it_was_loaded_is_refused(data, file):
    shared = Services()
    shared.checkpoint("whole")
    (data / "whole" / file).write_bytes((data / "whole" / file).read_bytes()[:-9])
    with pytest.raises(WorkbenchError):
        shared.checkpoint("whole")
    (data / "whole" / file).unlink()
    with pytest.raises(WorkbenchError, match=f"lacks {file}|no checkpoint 'whole'"):
        Services().checkpoint("whole")


def test_only_so_many_are_kept(data, monkeypatch):
    monkeypatch.setattr("workbench.views.site.services.MODELS", 2)
    shared = Services()
    for name in ("a", "b"):
        shutil.copytree(data / "whole", data / name)
    first, other = shared.checkpoint("whole"), shared.checkpoint("a")
    assert shared.checkpoint("whole") is first
    shared.checkpoint("b")
    assert shared.checkpoint("whole") is first, "asked for last, it stays"
    assert shared.checkpoint("a") is not other, "the one asked for the longest ago went"


def test_finished_runs_are_listed_after_the_bundled_names(tmp_path):
    bundled = bundled_checkpoints()
    source = bundled["depo-n8-any"]
    shutil.copytree(source, tmp_path / "runs" / "mine" / "checkpoint")
    (tmp_path / "runs" / "unfinished").mkdir()
    (tmp_path / "outside").mkdir()
    shutil.copytree(source, tmp_path / "outside" / "checkpoint")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "outside")
    shelf = Services()
    assert shelf.names() == list(bundled), "none unless a server says so"
    shelf.runs = tmp_path / "runs"
    assert shelf.names() == [*bundled, "runs/mine"], "links lead out of the folder"
    assert shelf.checkpoint("runs/mine").task.name == "depo"
    for name in ("runs/link", "runs/../outside", "runs/unfinished"):
        with pytest.raises(WorkbenchError):
            shelf.checkpoint(name)


def test_an_address_names_no_path_and_no_hub_id(tmp_path, monkeypatch):
    """What a page's address names is looked up; a sound checkpoint elsewhere is not opened."""
    bundled = bundled_checkpoints()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(bundled["depo-n8-any"], elsewhere)
    shutil.copytree(bundled["depo-n8-any"], tmp_path / "runs" / "mine" / "checkpoint")
    monkeypatch.chdir(tmp_path)
    fetched = []
    monkeypatch.setattr("workbench.training.places.from_hub", lambda *given: fetched.append(given))
    shelf = Services()
    shelf.runs = tmp_path / "runs"
    names = [
        str(elsewhere),
        "elsewhere",
        "./elsewhere",
        "runs/../elsewhere",
        "runs/mine/checkpoint",
    ]
    names += ["runs/mine/", "runs//mine", "mine", str(tmp_path / "runs" / "mine"), "", ".", "\0"]
    names += ["hf://owner/name", "depo-n8-any/", "../checkpoints/depo-n8-any", "x" * 10_000]
    for name in names:
        with pytest.raises(WorkbenchError, match="no checkpoint") as refused:
            shelf.checkpoint(name)
        assert "\n" not in str(refused.value)
    assert not fetched
    assert shelf.checkpoint("runs/mine").task.name == "depo"
    (tmp_path / "runs" / "young").mkdir()
    with pytest.raises(WorkbenchError, match="the run young has not finished"):
        shelf.checkpoint("runs/young")


@pytest.mark.process
def test_what_two_threads_must_not_import_at_once_is_there_before_they_begin():
    there = (
        "import sys\nfrom importlib.util import find_spec\n"
        "from workbench.views.site import server\n"
        "server.import_rest_of_xarray()\n"
        "assert ('dask.base' in sys.modules) == (find_spec('dask') is not None)"
    )
    subprocess.run([sys.executable, "-c", there], check=True)

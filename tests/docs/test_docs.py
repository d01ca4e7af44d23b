"""What the documents say runs: every Python block, every command line, every link."""

import re
import shlex
from pathlib import Path

import pytest

from workbench.cli import build_parser

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```python(?: raises=(\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path) -> list[tuple[str, str]]:
    """Return the Python blocks of a document as (error expected or "", code)."""
    return FENCE.findall(path.read_text(encoding="utf-8"))


def commands(path: Path) -> list[str]:
    """Return the lines that call `workbench` or `run.py`, without comments."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"(?: {4}|\$ )(?:\$ )?((?:workbench|python3 run\.py) .*)", line):
            lines.append(match[1].partition("#")[0].strip())
    return lines


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_python_blocks_run_in_order(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "document"}
    for number, (raises, code) in enumerate(blocks(path), 1):
        compiled = compile(code, f"{path.name}, Python block {number}", "exec")
        if not raises:
            exec(compiled, names)
            continue
        with pytest.raises(Exception) as caught:
            exec(compiled, names)
        assert type(caught.value).__name__ == raises, f"block {number}: {caught.value!r}"


def test_the_gotchas_are_many_and_run():
    text = (ROOT / "docs" / "gotchas.md").read_text(encoding="utf-8")
    sections = text.split("\n### ")[1:]
    assert len(sections) >= 8
    for section in sections:
        assert "**Symptom.**" in section and "**Cause.**" in section, section[:60]
    assert len(blocks(ROOT / "docs" / "gotchas.md")) >= 20


OWN = ("test", "lab", "bench", "fuzz", "gpu-check", "lock")
"""Commands of `run.py` itself."""


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_commands_exist_and_take_these_arguments(path):
    for line in commands(path):
        words = shlex.split(line.removeprefix("python3 run.py").removeprefix("workbench"))
        words = [word for word in words if word != "--cpu"]
        if line.startswith("python3 run.py") and words[0] in OWN:
            assert f"\n  {words[0]} " in (ROOT / "run.py").read_text(encoding="utf-8")
            continue
        build_parser().parse_args(words)


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), f"{relative(path)} links to {target}"
        if anchor:
            assert anchor in headings(linked), f"{relative(path)} links to {target}"


def headings(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of a document's headings."""
    found = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_files_that_are_named_exist(path):
    """Paths in backquotes and in the trees of the documents."""
    text = path.read_text(encoding="utf-8")
    named = set(
        re.findall(r"`((?:docs|data|tests|workbench|notebooks|kernels|apps)/[\w./-]+)`", text)
    )
    missing = {name for name in named if not (ROOT / name).exists() and "NAME" not in name}
    assert not missing


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200

"""docs/findings.md says what the committed records say."""

import importlib.util
from pathlib import Path

import pytest

from workbench.lab.results import bundled

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def findings():
    spec = importlib.util.spec_from_file_location("findings", ROOT / "data" / "findings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_tables_are_those_of_the_records(findings):
    text = findings.DOCUMENT.read_text(encoding="utf-8")
    assert len(findings.MARK.findall(text)) >= 3
    assert findings.with_tables(text) == text, "python data/findings.py"


def test_the_one_line_answers_of_the_page_are_those_of_the_records(findings):
    written = bundled.answers()
    assert written == findings.answers(), "python data/findings.py"


def test_a_table_is_made_anew_and_the_words_around_it_stay(findings):
    text = "Words.\n\n<!-- depo-n8 equal_tokens -->\nold\n<!-- /depo-n8 equal_tokens -->\n\nMore.\n"
    made = findings.with_tables(text)
    assert made.startswith("Words.\n\n<!--") and made.endswith("-->\n\nMore.\n")
    assert "old" not in made and "| sleep | 4 |" in made


def test_every_record_is_written_about(findings):
    marks = findings.MARK.findall(findings.DOCUMENT.read_text(encoding="utf-8"))
    named = {one for record, _ in marks for one in record.partition("@")[0].split("+")}
    records = (ROOT / "data" / "results" / "sweeps").glob("*.json")
    assert {path.stem for path in records} <= named

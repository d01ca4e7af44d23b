"""Available memory, of the machine and of a container, and the refusal of more."""

import psutil
import pytest

from workbench import limits
from workbench.errors import WorkbenchError
from workbench.limits import available_memory, in_words, refuse_beyond_memory


@pytest.fixture
def container(tmp_path, monkeypatch):
    """Return the function that sets what a container says of its memory."""
    monkeypatch.setattr(limits, "CGROUP", tmp_path)

    def say(limit, current, stat="anon 5\ninactive_file 30\n"):
        for name, text in (("max", limit), ("current", current), ("stat", stat)):
            (tmp_path / f"memory.{name}").write_text(str(text))

    return say


def test_it_is_a_part_of_the_machines_memory():
    assert 2**20 < available_memory() <= psutil.virtual_memory().total


def test_a_container_has_what_is_left_of_its_limit(container):
    container(100, 80)
    assert available_memory() == 100 - 80 + 30
    container(100, 180, "anon 5")
    assert available_memory() == 0


@pytest.mark.parametrize(
    "said", [("max", 80), (10**18, 80), ("", ""), (100, 80, "anon x\ninactive_file y"), ("a", 1)]
)
def test_without_a_limit_the_machine_counts(container, said):
    container(*said)
    assert available_memory() > 2**20


def test_without_a_container_the_machine_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(limits, "CGROUP", tmp_path / "none")
    assert available_memory() > 2**20


def test_more_than_there_is_is_refused():
    refuse_beyond_memory(2**30, "it", "shrink it", room=2**30)
    with pytest.raises(WorkbenchError, match="^it needs at least 2.0 GB of memory; expected at"):
        refuse_beyond_memory(2**31, "it", "shrink it", room=2**30)


def test_sizes_in_words():
    assert [in_words(n) for n in (0, 2**9, 3 * 2**19, 2**30, 5 * 2**42)] == [
        "0.0 kB", "0.5 kB", "1.5 MB", "1.0 GB", "20.0 TB"
    ]  # fmt: skip

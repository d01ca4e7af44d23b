"""The process of a run: its low priority."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from workbench.lab.processes import BEHIND, step_back


@pytest.fixture
def sleeper():
    """A process in its own session, as runs are."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    yield process
    process.kill()
    process.wait()


@pytest.mark.skipif(os.name == "nt", reason="priorities there are classes")
def test_it_steps_back_in_its_session_and_with_its_session(sleeper):
    step_back(sleeper.pid)
    assert psutil.Process(sleeper.pid).nice() == BEHIND
    group = Path(f"/proc/{sleeper.pid}/autogroup")
    if group.exists():
        assert group.read_text(encoding="ascii").split()[-1] == str(BEHIND)


def test_one_that_has_ended_is_left_alone(sleeper):
    sleeper.kill()
    sleeper.wait()
    step_back(sleeper.pid)

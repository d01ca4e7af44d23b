"""The command in a process: signals, pipes, a broken installation, and what runs after it."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest
from waiting import LIMIT, until

pytestmark = pytest.mark.process


def python(*arguments, **options):
    """Run Python to its end and return how it ended, with its output."""
    command = [sys.executable, "-P", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_importing_it_is_quick_and_light():
    script = (
        "import sys; from workbench.cli import main\n"
        "try: main(['trace', '--help'])\n"
        "except SystemExit: print('heavy:', *{'torch', 'panel', 'numpy'} & set(sys.modules))"
    )
    found = python("-c", script)
    assert found.stdout.endswith("heavy:\n") and not found.stderr


def test_version_and_names():
    import workbench

    result = python("-m", "workbench.cli", "--version")
    assert result.stdout == f"sleep-workbench {workbench.__version__}\n"
    assert dir(workbench) == ["__version__", "load", "read", "record", "task", "theatre"]


@pytest.mark.parametrize("error", ["ImportError", "OSError"])
def test_a_torch_that_does_not_load_is_a_finding(error, tmp_path):
    """It is installed, so that only an import finds out."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(f"raise {error}('libtorch.so is broken')\n")
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from workbench.cli import main; main(['doctor'])"
    )
    found = python("-c", script, cwd=tmp_path)
    assert found.returncode == 1 and not found.stderr, found.stderr
    assert f"--  import torch: {error}: libtorch.so is broken" in found.stdout
    assert "browser tests" in found.stdout


def test_without_torch_samples_work_and_the_rest_says_so(tmp_path):
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from workbench.cli import main; main(sys.argv[1:])"
    )
    found = python("-c", script, "doctor", cwd=tmp_path)
    assert found.returncode == 1, "a finding, not a refusal"
    assert "--  import torch: not installed" in found.stdout and not found.stderr
    found = python("-c", script, "eval", "depo-n8-any")
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1)
    assert "'torch' is not installed" in found.stderr
    assert python("-c", script, "sample", "rule110").returncode == 0


def test_a_closed_pipe_is_no_error(tmp_path):
    command = f"{sys.executable} -m workbench.cli sample depo --count 500 --json | head -c 10"
    found = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, '{"task": "', "")


def test_interrupted_it_stops_cleanly_and_goes_on(run, config, tmp_path):
    folder = tmp_path / "run"
    options = [str(config), "--out", str(folder), "--set", "training.steps=60"]
    options += ["--set", "training.eval_every=0"]
    command = [sys.executable, "-m", "workbench.cli", "train", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        log = folder / "events.jsonl"
        while it.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 5):
            time.sleep(0.02)
        it.send_signal(signal.SIGINT)
        out, err = it.communicate(timeout=LIMIT)
    assert it.returncode == 130, err
    assert "stopping after this step" in err and "Traceback" not in err
    stopped = re.fullmatch(r"stopped at step (\d+) of 60; to continue, .* --resume\n", out)
    assert stopped and json.loads((folder / "status.json").read_text())["state"] == "stopped"
    code, _, err = run("train", *options, "--resume", "--json")
    assert code == 0, err
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(1, 61)) and int(stopped[1]) < 60


def test_python_says_no_more_of_it_as_it_ends():
    command = [sys.executable, "-P", "-m", "workbench.cli", "sample", "rule110"]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        done = subprocess.run([*command, "--count", "0"], stdout=full, stderr=full, check=False)
        assert done.returncode == 2, "standard error is full as well"


def test_a_measurement_in_the_background_is_found_again(tmp_path, monkeypatch):
    from workbench.measurements.catalogue import measurement
    from workbench.measurements.jobs import RESULT, Request, folder_of, progress_of, start
    from workbench.measurements.records import read_measurement
    from workbench.training.places import find_checkpoint

    monkeypatch.setattr("workbench.measurements.jobs.step_back", lambda pid: None)  # be quick
    provenance = json.loads((find_checkpoint("depo-n8-any") / "provenance.json").read_text())
    settings = measurement("lens").settings(examples=8, passes=2).model_dump(mode="json")
    sha256 = provenance["hashes"]["model.safetensors"]
    asked = Request(kind="lens", checkpoint="depo-n8-any", sha256=sha256, settings=settings)
    assert progress_of(folder_of(tmp_path, asked)).state == "new"
    folder = start(tmp_path, asked)
    until(lambda: progress_of(folder).state != "running")
    done = progress_of(folder)
    assert done.state == "done", done.message
    assert done.done == done.total == 3
    assert done.seconds == progress_of(folder).seconds, "the clock has stopped"
    result, _ = read_measurement(folder / RESULT)
    assert result.attrs["n_sleep"] == 2
    before = (folder / RESULT).stat().st_mtime_ns
    assert start(tmp_path, asked) == folder, "what is done is not done again"
    assert (folder / RESULT).stat().st_mtime_ns == before

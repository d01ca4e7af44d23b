"""run.py without installing anything: command lines, stamps, the lock, pins."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "run.py"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run.py as a module that believes it lies in an empty folder, with pip and venv recorded."""
    spec = importlib.util.spec_from_file_location("run_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "CONSTRAINTS", tmp_path / "constraints.txt")
    module.commands, module.compiled_by = [], []

    def call(command, what):
        module.commands.append([str(part) for part in command])
        if "venv" in module.commands[-1]:
            python = module.venv_python(module.VENV)
            python.parent.mkdir(parents=True)
            python.touch()

    monkeypatch.setattr(module, "call", call)
    module.compile_kernels_itself = module.compile_kernels
    monkeypatch.setattr(module, "compile_kernels", module.compiled_by.append)
    module.compile_modules_itself = module.compile_modules
    monkeypatch.setattr(module, "compile_modules", module.compiled_by.append)
    monkeypatch.setattr(module, "works", lambda python: python.exists())
    monkeypatch.setattr(module, "installed_torch", lambda python: None)
    return module


def stamp(run) -> dict:
    return json.loads((run.VENV / "workbench-stamp.json").read_text())


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )


# --- command lines -------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--fast", "serve"), ("Serve",), ("--cpu",), ("-x",)])
def test_bad_usage_is_one_line_and_code_2(arguments):
    result = script(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("run.py: ") and result.stderr.count("\n") == 1
    assert "--help" in result.stderr


def test_lock_refuses_what_it_does_not_know():
    result = script("lock", "--upgrade")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)


def test_help_names_every_command_and_exits_0():
    result = script("--help")
    assert result.returncode == 0
    for word in ("serve", "test", "lab", "bench", "lock", "--cpu"):
        assert word in result.stdout


def test_arguments_are_passed_on(run):
    assert run.parse(["serve", "--port", "5007"]) == (False, "serve", ["--port", "5007"])
    assert run.parse(["--cpu", "test", "-k", "x"]) == (True, "test", ["-k", "x"])
    assert run.parse(["test", "--cpu"]) == (True, "test", [])
    assert run.parse(["train", "--", "--cpu"]) == (False, "train", ["--", "--cpu"])


def test_other_commands_go_to_workbench(run, monkeypatch):
    handed = []
    monkeypatch.setattr(run, "hand_over", handed.append)
    python = str(run.venv_python(run.VENV))
    run.main(["train", "--seed", "3"])
    assert handed == [[python, "-P", "-m", "workbench.cli", "train", "--seed", "3"]]


def test_lab_calls_nobody(run):
    command = run.lab_command(Path("python"), ["--port", "9"])
    assert "--LabApp.news_url=None" in command
    opened = f"--LabApp.default_url=/lab/tree/{run.FIRST_NOTEBOOK}"
    assert opened in command, "a reader is shown the notebook, not the launcher"
    assert (Path(__file__).parents[1] / "notebooks" / run.FIRST_NOTEBOOK).is_file()
    assert command[-2:] == ["--port", "9"]


def test_lab_asks_nothing_and_keeps_what_its_user_has_set(run, monkeypatch):
    """The question about news is answered by a default, which a setting of the user's overrides."""
    folder = Path(__file__).parents[1] / "notebooks" / ".jupyter"
    text = (folder / "labconfig" / "default_setting_overrides.json").read_text(encoding="utf-8")
    (chosen,) = json.loads(text).values()
    assert chosen == {"checkForUpdates": False, "fetchNews": "false"}
    monkeypatch.delenv("JUPYTER_CONFIG_PATH", raising=False)
    assert run.lab_environment()["JUPYTER_CONFIG_PATH"] == str(run.LAB_DEFAULTS)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    paths = run.lab_environment()["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert paths == [str(run.LAB_DEFAULTS), "mine"]
    assert run.LAB_DEFAULTS == folder


def test_bench_lists_runs_and_refuses(run, capsys, monkeypatch):
    folder = run.ROOT / "benchmarks"
    folder.mkdir()
    (folder / "speed.py").write_text('"""How fast.\n\nMore.\n"""\n')
    for helper in ("_shared.py", "gpu_check.py"):
        (folder / helper).write_text("")
    assert run.bench(Path("python"), ["--list"]) == 0
    assert capsys.readouterr().out.split(maxsplit=1) == ["speed", "How fast.\n"]
    ran = []

    def fake(command, **options):
        ran.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(run.subprocess, "run", fake)
    assert run.bench(Path("python"), ["speed", "-q"]) == 1
    assert ran.pop()[2:] == [str(folder / "speed.py"), "-q"]
    assert run.bench(Path("python"), []) == 1
    assert [command[2] for command in ran] == [str(folder / "speed.py")]
    with pytest.raises(run.Trouble, match="expected one of: speed") as trouble:
        run.bench(Path("python"), ["sped"])
    assert trouble.value.code == 2


def test_gpu_check_installs_nothing_where_python_has_it_all(run, monkeypatch):
    calls = []

    def fake(command, **options):
        calls.append((command, options))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(run.subprocess, "run", fake)
    monkeypatch.setattr(run, "ensure", None)
    assert run.main(["gpu-check", "--minutes", "1"]) == 0
    command, options = calls[-1]
    assert command[0] == sys.executable and command[-2:] == ["--minutes", "1"]
    assert str(run.ROOT / "kernels") in options["env"]["PYTHONPATH"]
    assert run.main(["gpu-retrofit", "--toy"]) == 0
    assert calls[-1][0][-2:] == [str(run.ROOT / "benchmarks" / "gpu_retrofit.py"), "--toy"]


def test_old_pythons_can_read_the_script_as_far_as_the_complaint():
    """The check of the version comes before anything that needs a newer Python to run."""
    text = SCRIPT.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 7))
    kinds = [type(node).__name__ for node in tree.body]
    assert "sys.version_info < OLDEST" in text
    assert kinds.index("If") < kinds.index("ClassDef") and kinds.index("If") < kinds.index(
        "FunctionDef"
    )
    old = text.replace("OLDEST = (3, 11)", "OLDEST = (9, 0)")
    result = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True)
    assert result.returncode == 2
    assert "expected 3.11 or newer" in result.stderr and result.stderr.count("\n") == 1


def test_paths_on_windows(run):
    assert run.venv_python(Path(".venv"), "nt").as_posix() == ".venv/Scripts/python.exe"
    assert run.venv_python(Path(".venv"), "posix").as_posix() == ".venv/bin/python"


# --- installing once -----------------------------------------------------------------------------


def test_a_fresh_set_up_takes_torch_first_and_stamps_last(run):
    run.ensure(None, cpu=False)
    make, torch, project = run.commands
    assert make[1:3] == ["-m", "venv"]
    assert torch[-1] == f"torch=={run.pinned_torch()}"
    assert project[-2:] == ["--editable", str(run.ROOT)]
    for command in (torch, project):
        assert command[command.index("-c") + 1] == str(run.ROOT / "constraints.txt")
    assert run.compiled_by == [run.venv_python(run.VENV)] * 2, "modules and kernels"
    assert stamp(run)["extras"] == []
    assert [path.name for path in run.VENV.glob("*.tmp")] == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", "compiling kernels for this processor: done in 0 s"),
        ("exit 1", "PyTorch's slower ones are used instead; the lines above say why"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="the interpreter here is a shell script")
def test_kernels_are_compiled_or_it_is_said_why_not(run, tmp_path, capsys, script, said):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o700)
    run.compile_kernels_itself(python)
    assert said in capsys.readouterr().out


def test_what_was_installed_is_compiled_but_for_what_is_not_python(run, tmp_path):
    run.compile_modules_itself(Path(sys.executable))
    (command,) = run.commands
    (tmp_path / "sound.py").write_text("x = 1\n")
    (tmp_path / "other.py").write_text("print 1\n")
    code = command[2].replace("sysconfig.get_path('purelib')", repr(str(tmp_path)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not done.stdout + done.stderr
    assert [path.name.split(".")[0] for path in tmp_path.rglob("*.pyc")] == ["sound"]


def test_a_current_stamp_skips_everything(run):
    run.ensure("dev", cpu=False)
    run.commands.clear()
    for extra in ("dev", "notebooks", None):
        run.ensure(extra, cpu=False)
    assert run.commands == [] and len(run.compiled_by) == 2


def test_a_new_extra_is_added_to_those_there(run):
    run.ensure("notebooks", cpu=False)
    run.ensure("dev", cpu=False)
    assert run.commands[-1][-1] == f"{run.ROOT}[dev,notebooks]"
    assert stamp(run)["extras"] == ["dev", "notebooks"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_sets_up_again_with_the_same_extras(run, name):
    run.ensure("dev", cpu=False)
    run.commands.clear()
    with (run.ROOT / name).open("a") as file:
        file.write("# changed\n")
    run.ensure(None, cpu=False)
    assert run.commands[-1][-1] == f"{run.ROOT}[dev]"


def test_the_recipe_is_part_of_the_fingerprint(run, monkeypatch):
    before = run.fingerprint(run.ROOT)
    monkeypatch.setattr(run, "install_project", lambda python, *, extras, constraints: None)
    assert run.fingerprint(run.ROOT) != before


def test_an_interrupted_set_up_is_not_taken_as_complete(run, monkeypatch):
    def fail(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "install_project", fail)
        patch.setattr(run, "fingerprint", lambda root: "same")
        with pytest.raises(KeyboardInterrupt):
            run.ensure(None, cpu=False)
    assert not (run.VENV / "workbench-stamp.json").exists()
    run.commands.clear()
    run.ensure(None, cpu=False)
    assert run.commands[-1][-1] == str(run.ROOT)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"extras": 3}', '{"extras": []}'])
def test_a_broken_stamp_counts_as_none(run, text):
    path = run.ROOT / "stamp.json"
    path.write_text(text)
    assert run.read_stamp(path, "x") == (set(), False, False)


def test_cpu_takes_torch_alone_from_its_own_index_and_is_remembered(run, monkeypatch):
    monkeypatch.setattr(run.sys, "platform", "linux")
    run.ensure(None, cpu=False)
    run.commands.clear()
    monkeypatch.setattr(run, "installed_torch", lambda python: "2.13.0")
    run.ensure(None, cpu=True)
    (torch,) = (c for c in run.commands if c[-1].startswith("torch=="))
    assert "--no-deps" in torch and "--force-reinstall" in torch
    assert torch[torch.index("--index-url") + 1] == run.CPU_INDEX
    assert not any("--index-url" in c for c in run.commands if c is not torch)
    run.commands.clear()
    run.ensure(None, cpu=True)
    run.ensure(None, cpu=False)
    assert run.commands == []


def test_cpu_is_said_to_change_nothing_elsewhere(run, monkeypatch, capsys):
    monkeypatch.setattr(run.sys, "platform", "darwin")
    run.ensure(None, cpu=True)
    assert "changes nothing" in capsys.readouterr().out
    assert not any("--index-url" in command for command in run.commands)


def test_a_failing_step_is_named(run, tmp_path):
    spec = importlib.util.spec_from_file_location("fresh_run_script", SCRIPT)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    with pytest.raises(fresh.Trouble, match="making tea failed") as trouble:
        fresh.call([sys.executable, "-c", "raise SystemExit(3)"], "making tea")
    assert trouble.value.code == 3


# --- the lock ------------------------------------------------------------------------------------


def test_two_processes_do_not_hold_the_lock_together(run, tmp_path, capsys):
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys, time; sys.path.insert(0, {str(ROOT)!r}); import run, pathlib\n"
            f"with run.locked(pathlib.Path({str(path)!r})):\n"
            "    print('held', flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(run.Trouble, match="another run.py has held"),
            run.locked(path, timeout=0.3),
        ):
            pass
        assert "waiting for it to finish" in capsys.readouterr().out
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    start = time.monotonic()
    with run.locked(path, timeout=5):  # a killed holder leaves nothing behind
        assert time.monotonic() - start < 5


# --- constraints ---------------------------------------------------------------------------------


def test_pins_hold_on_every_platform(run):
    freeze = """\
-e git+ssh://host/repo@abc#egg=sleep_workbench
sleep-workbench==0.1.0
torch==2.13.0+cpu
Jinja2==3.1.6
tomli_w==1.2.0
triton==3.7.1
nvidia-cudnn-cu13==9.20.0.48
cuda-bindings==13.0
"""
    expected = ["jinja2==3.1.6", "tomli-w==1.2.0", "torch==2.13.0", "triton==3.7.1"]
    assert run.pins(freeze) == expected


def test_the_torch_of_the_constraints(run):
    assert run.pinned_torch("numpy==2.4\ntorch==2.13.0\n") == "2.13.0"
    with pytest.raises(run.Trouble, match="does not pin torch"):
        run.pinned_torch("torchvision==1\n")


@pytest.fixture
def checks(run, monkeypatch):
    """Return what `run.py test` called, in order, and the exit codes that its checks give."""
    calls, codes = [], {}

    class Started:
        def __init__(self, command, stdout=None, **options):
            self.returncode = codes.get(command[3], 0)
            calls.append(command[3:])
            if stdout is not None:
                stdout.write(f"{command[3]} says so\n")

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def wait(self):
            return self.returncode

    monkeypatch.setattr(run.subprocess, "run", Started)
    monkeypatch.setattr(run.subprocess, "Popen", Started)
    return calls, codes


def test_the_first_failure_counts_but_every_check_runs(run, checks, capfd):
    calls, codes = checks
    codes |= {"mypy": 3, "pytest": 5}
    assert run.test(Path("python"), []) == 3
    assert [call[0] for call in calls] == ["ruff", "ruff", "mypy", "pytest"]
    out = capfd.readouterr().out
    assert out.index("== pytest") < out.index("== mypy\nmypy says so\n== ruff check ok")
    assert out.endswith("mypy FAILED, pytest FAILED\n")
    codes["mypy"] = 0
    assert run.test(Path("python"), []) == 5


def test_arguments_are_for_pytest_alone(run, checks):
    calls, _ = checks
    assert run.test(Path("python"), ["-q"]) == 0
    assert run.test(Path("python"), ["--fast", "tests/model"]) == 0
    assert calls == [["pytest", "-q"], ["pytest", *run.FAST, "tests/model"]]


def test_fast_leaves_out_tests_by_markers_that_exist(run, checks):
    calls, _ = checks
    assert run.test(Path("python"), ["--fast"]) == 0
    assert [call[0] for call in calls] == ["ruff", "ruff", "mypy", "pytest"]
    assert calls[-1] == ["pytest", *run.FAST]
    left_out = set(re.findall(r"\w+", run.FAST[1])) - {"not", "or"}
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert left_out <= {line.partition(":")[0] for line in options["markers"]}

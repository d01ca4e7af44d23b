#!/usr/bin/env python3
"""Set up the workbench and start it: ``python3 run.py serve``, ``python3 run.py test``.

The first call makes ``.venv``, installs torch and then the project, both held to
``constraints.txt``, and stamps the result; later calls see the stamp and start at once. Only the
standard library is used. pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, ...) are left alone.
"""

import argparse
import contextlib
import hashlib
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

OLDEST = (3, 11)
if sys.version_info < OLDEST:
    sys.stderr.write(
        f"run.py: this is Python {sys.version.split()[0]}; expected 3.11 or newer; "
        "call it as python3.11 run.py ...\n"
    )
    sys.exit(2)

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / "constraints.txt"
PROJECT = "sleep-workbench"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
IMPLIED = {"dev": {"dev", "notebooks", "test"}}
"""Extras that bring others with them."""

FIRST_NOTEBOOK = "01_a_memory_you_can_write_to.ipynb"
LAB_DEFAULTS = ROOT / "notebooks" / ".jupyter"
"""JupyterLab's defaults, which a user's own settings override: no question about news."""
NEEDS = {"test": "dev", "lab": "notebooks", "bench": "bench"}
"""Extra a command needs; every other command runs on the base install."""

USAGE = """\
usage: python3 run.py [--cpu] COMMAND [ARGUMENTS ...]

  serve      the dashboards in a browser (--port, --address, --no-open, ...)
  test       ruff, mypy and pytest; with arguments, only pytest with them
             --fast leaves out the tests that need a browser, a notebook, the documents or other
             processes, and slow ones
  lab        JupyterLab on the notebooks
  bench      speed against peers, as a table and as JSON; bench NAME [ARGUMENTS ...] runs one of
             the benchmarks, bench --list names them
  fuzz       change files at random and read them (--count, --seed, --kind): no reader may fail
  gpu-check  on a machine with an NVIDIA GPU: whether the kernels are right there, and how fast
  gpu-retrofit  there too: what a retrofit of SmolLM2 reaches in minutes (--toy: on any CPU, tiny)
  lock       rewrite constraints.txt from a fresh environment (--torch VERSION to move torch)
  ...        any other command goes to `workbench`, such as train, eval, sample

  --cpu      on Linux without a GPU: take torch from PyTorch's CPU index (200 MB instead of
             several GB); the choice stays with .venv. Elsewhere torch is that build already.
"""


class Trouble(Exception):
    """A problem that the user can fix: printed as one line."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def say(text: str) -> None:
    """Print one line about what is happening."""
    print(f"run.py: {text}", flush=True)


def venv_python(venv: Path, platform: str = os.name) -> Path:
    """Return the interpreter of a virtual environment."""
    return venv / ("Scripts/python.exe" if platform == "nt" else "bin/python")


def code_of(command: Sequence[str | Path], **options: Any) -> int:
    """Run `command` in the root and return its exit code."""
    words = [str(part) for part in command]
    return subprocess.run(words, cwd=ROOT, check=False, **options).returncode


def call(command: Sequence[str | Path], what: str) -> None:
    """Run `command`, say what it does and how long it took; raise `Trouble` if it fails."""
    say(f"{what} ...")
    start = time.monotonic()
    code = code_of(command)
    if code:
        raise Trouble(f"{what} failed (exit code {code}); see the lines above", code)
    say(f"{what}: done in {time.monotonic() - start:.0f} s")


def write_aside(path: Path, text: str) -> None:
    """Write `text` to `path` completely or not at all."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


# --- installing ------------------------------------------------------------------------------


def pip(python: Path, *arguments: str | Path) -> list[str | Path]:
    """Return a pip install command, quiet unless standard output is a terminal."""
    command: list[str | Path] = [python, "-m", "pip", "install", "--no-input", "--no-compile"]
    command.append("--disable-pip-version-check")
    if not sys.stdout.isatty():
        command.append("--quiet")
    return [*command, *arguments]


def installed_torch(python: Path) -> str | None:
    """Return the version of torch in an environment, None without one."""
    probe = "import importlib.metadata as m; print(m.version('torch'))"
    result = subprocess.run([str(python), "-c", probe], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None


def works(python: Path) -> bool:
    """Whether an environment's interpreter runs and has pip."""
    probe = [str(python), "-m", "pip", "--version"]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def make_venv(venv: Path) -> Path:
    """Return the interpreter of `venv`, making the environment where there is no working one."""
    python = venv_python(venv)
    if not works(python):
        # Debian splits venv off; its own message then names the package to install.
        call([sys.executable, "-m", "venv", "--clear", venv], f"making {venv.name}")
    return python


def install_torch(python: Path, *, version: str, cpu: bool, constraints: Path | None) -> None:
    """Install torch on its own, from PyTorch's CPU index if `cpu`."""
    limits: list[str | Path] = ["-c", constraints] if constraints else []
    source: list[str | Path] = []
    if cpu:
        # Only torch itself: the index holds few versions of the packages torch depends on.
        source = ["--index-url", CPU_INDEX, "--no-deps"]
        present = installed_torch(python)
        if present and not present.endswith("+cpu"):
            source.append("--force-reinstall")
    call(pip(python, *limits, *source, f"torch=={version}"), f"installing torch {version}")


def install_project(python: Path, *, extras: set[str], constraints: Path | None) -> None:
    """Install the project in editable form with `extras`."""
    limits: list[str | Path] = ["-c", constraints] if constraints else []
    names = ",".join(sorted(extras))
    target = f"{ROOT}[{names}]" if extras else str(ROOT)
    what = f"installing the workbench ({names})" if extras else "installing the workbench"
    call(pip(python, *limits, "--editable", target), what)


def compile_modules(python: Path) -> None:
    """Compile what was installed on every core; pip takes one. Files of another Python stay."""
    code = "compileall.compile_dir(sysconfig.get_path('purelib'), quiet=2, workers=0)"
    call([python, "-c", f"import compileall, sysconfig; {code}"], "compiling Python modules")


def compile_kernels(python: Path) -> None:
    """Compile the C++ kernels now instead of at their first use; say so if that fails."""
    start = time.monotonic()
    say("compiling kernels for this processor ...")
    probe = "from sleep_kernels.native import library; raise SystemExit(bool(library.problem()))"
    if code_of([python, "-P", "-c", probe]):
        say("PyTorch's slower ones are used instead; the lines above say why")
    else:
        say(f"compiling kernels for this processor: done in {time.monotonic() - start:.0f} s")


# --- what is installed already ---------------------------------------------------------------


def fingerprint(root: Path) -> str:
    """Return a hash of everything an installation follows from."""
    digest = hashlib.sha256(str(root).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((root / name).read_bytes())
    for function in (pip, make_venv, install_torch, install_project):
        digest.update(inspect.getsource(function).encode())
    return digest.hexdigest()


def read_stamp(stamp: Path, wanted: str) -> tuple[set[str], bool, bool]:
    """Return what a stamp records: extras, whether torch is the CPU build, whether it is current.

    The extras of an outdated stamp are returned too, so that setting up again keeps them.
    """
    try:
        record = json.loads(stamp.read_text(encoding="utf-8"))
        return set(record["extras"]), bool(record["cpu"]), record["fingerprint"] == wanted
    except (OSError, ValueError, KeyError, TypeError):
        return set(), False, False


def ensure(extra: str | None, *, cpu: bool) -> Path:
    """Bring ``.venv`` up to date with at least `extra` and return its interpreter."""
    stamp = VENV / "workbench-stamp.json"
    if cpu and not sys.platform.startswith("linux"):
        say("--cpu changes nothing here: torch is the CPU build already")
        cpu = False
    wanted = fingerprint(ROOT)

    def missing() -> set[str] | None:
        extras, has_cpu, current = read_stamp(stamp, wanted)
        needed = extras | ({extra} if extra else set())
        covered = extras.union(*(IMPLIED.get(name, set()) for name in extras))
        complete = current and venv_python(VENV).exists() and needed <= covered
        return None if complete and (has_cpu or not cpu) else needed

    if missing() is None:
        return venv_python(VENV)
    with locked(ROOT / ".venv.lock"):
        extras = missing()  # another run.py may have done it while this one waited
        if extras is None:
            return venv_python(VENV)
        cpu = cpu or read_stamp(stamp, wanted)[1]
        start = time.monotonic()
        say("setting up .venv; the first time takes some minutes, later calls skip this")
        python = make_venv(VENV)
        install_torch(python, version=pinned_torch(), cpu=cpu, constraints=CONSTRAINTS)
        install_project(python, extras=extras, constraints=CONSTRAINTS)
        compile_modules(python)
        compile_kernels(python)
        record = {"fingerprint": wanted, "extras": sorted(extras), "cpu": cpu}
        write_aside(stamp, json.dumps(record, indent=1) + "\n")
        say(f"ready in {time.monotonic() - start:.0f} s")
    return python


@contextlib.contextmanager
def locked(path: Path, *, timeout: float = 3600.0) -> Iterator[None]:
    """Hold `path` as a lock between processes; say so while waiting for another one.

    The operating system releases it when the holder ends, however it ends.
    """
    with path.open("a+b") as file:
        deadline = time.monotonic() + timeout
        reported = False
        while not _try_lock(file.fileno()):
            if not reported:
                say(f"another run.py is setting up {path.parent}; waiting for it to finish")
                reported = True
            if time.monotonic() > deadline:
                raise Trouble(f"another run.py has held {path} for {timeout:.0f} s; end it first")
            time.sleep(0.2)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# --- constraints.txt -------------------------------------------------------------------------


def pinned_torch(constraints: str | None = None) -> str:
    """Return the version of torch that constraints.txt pins."""
    text = CONSTRAINTS.read_text(encoding="utf-8") if constraints is None else constraints
    match = re.search(r"^torch==([^\s;]+)", text, re.MULTILINE)
    if not match:
        raise Trouble(
            "constraints.txt does not pin torch; expected a line torch==VERSION; restore it"
        )
    return match.group(1)


def pins(freeze: str) -> list[str]:
    """Return the lines of ``pip freeze`` that hold on every platform.

    Left out: the project itself, and what belongs to torch's CUDA build (nvidia-*, cuda-*), which
    torch's own metadata pins. A local version such as ``+cpu`` is cut off.
    """
    found = []
    for line in freeze.splitlines():
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([^+\s]+)(\+\S+)?", line.strip())
        if not match:
            continue
        name = re.sub(r"[-_.]+", "-", match.group(1)).lower()
        if name != PROJECT and not re.match(r"(nvidia|cuda)-|pytorch-triton", name):
            found.append(f"{name}=={match.group(2)}")
    return sorted(found)


def lock(arguments: Sequence[str], *, cpu: bool) -> int:
    """Install everything in a new environment without constraints; write down the versions."""
    parser = Parser(prog="run.py lock")
    parser.add_argument("--torch", default=None, metavar="VERSION")
    torch = parser.parse_args(arguments).torch or pinned_torch()
    if sys.version_info[:2] != OLDEST:
        raise Trouble(
            "lock runs on the oldest supported Python, so that the pins hold on all; "
            "call it as python3.11 run.py lock",
            2,
        )
    with tempfile.TemporaryDirectory(prefix="sleep-workbench-lock-") as folder:
        python = make_venv(Path(folder) / "venv")
        held = Path(folder) / "torch.txt"
        held.write_text(f"torch=={torch}\n", encoding="utf-8")
        install_torch(python, version=torch, cpu=cpu, constraints=None)
        install_project(python, extras={"bench", "dev", "hf"}, constraints=held)
        freeze = subprocess.run(
            [str(python), "-m", "pip", "freeze"], capture_output=True, text=True, check=True
        ).stdout
    header = (
        "# Every package of the workbench with its extras, direct or not, at one version.\n"
        "# Written by `python3.11 run.py lock`; do not edit by hand. torch stays where it is,\n"
        "# unless `lock --torch VERSION` moves it; torch itself pins its CUDA packages.\n"
    )
    lines = pins(freeze)
    write_aside(CONSTRAINTS, header + "\n".join(lines) + "\n")
    say(f"constraints.txt: {len(lines)} pins")
    return 0


# --- commands --------------------------------------------------------------------------------


FAST = ["-m", "not (browser or notebook or document or process or slow)"]
FAST += ["--ignore=tests/ui", "--ignore=tests/docs", "-n", "2", "--dist", "loadfile"]
"""What pytest gets for ``test --fast``."""


def test(python: Path, arguments: Sequence[str]) -> int:
    """Check style, and types while the tests run; with other arguments, run pytest alone.

    Returns the exit code of the first that failed.
    """
    # -P keeps the repository root off sys.path, where tests/ and kernels/ would be importable.
    module = [str(python), "-P", "-m"]
    # Tests start many processes; without bytecode each would compile the whole project again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rest = [word for word in arguments if word != "--fast"]
    pytest = [*module, "pytest", *(FAST if len(rest) < len(arguments) else []), *rest]
    if rest:
        return code_of(pytest)
    codes = {}
    for name, command in {"ruff check": "check .", "ruff format": "format --check ."}.items():
        print(f"== {name}", flush=True)
        codes[name] = code_of([*module, "ruff", *command.split()])
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as report:
        with subprocess.Popen([*module, "mypy"], cwd=ROOT, stdout=report, stderr=report) as mypy:
            print("== pytest; mypy runs meanwhile and reports afterwards", flush=True)
            tests = code_of(pytest)
            codes["mypy"] = mypy.wait()
        report.seek(0)
        print(f"== mypy\n{report.read()}", end="")
    codes["pytest"] = tests
    print("== " + ", ".join(f"{name} {'FAILED' if code else 'ok'}" for name, code in codes.items()))
    return next((code for code in codes.values() if code), 0)


def benchmarks() -> dict[str, Path]:
    """Return the benchmarks that `bench` runs, by name."""
    found = sorted((ROOT / "benchmarks").glob("[!_]*.py"))
    return {path.stem: path for path in found if not path.stem.startswith("gpu_")}


def bench(python: Path, arguments: Sequence[str]) -> int:
    """Run one benchmark, or all in turn without arguments; ``--list`` names them."""
    found = benchmarks()
    if arguments and arguments[0] == "--list":
        for name, path in found.items():
            first = re.search(r'"""(.+?)("""|$)', path.read_text(encoding="utf-8"), re.MULTILINE)
            print(f"{name:24}{first.group(1) if first else ''}")
        return 0
    if arguments and arguments[0] not in found:
        known = ", ".join(found) or "none yet"
        raise Trouble(f"no benchmark {arguments[0]!r}; expected one of: {known}", 2)
    worst = 0
    for name in arguments[:1] or found:
        print(f"== {name}", flush=True)
        worst = max(worst, code_of([python, "-P", found[name], *arguments[1:]]))
    return worst


GPU_PROBE = "import jaxtyping, numpy, pydantic, torch, triton; assert torch.cuda.is_available()"
"""What they import, and the parts of the workbench that they train with."""
GPU_SCRIPTS = {"gpu-check": None, "gpu-retrofit": "hf"}  # and the extra that each needs


def gpu_script(command: str, arguments: Sequence[str], *, cpu: bool) -> int:
    """Run a script for a GPU: with this Python if it has all it needs, else with .venv."""
    python, extra = Path(sys.executable), GPU_SCRIPTS[command]
    probe = GPU_PROBE + ("; import accelerate, gguf, transformers" if extra else "")
    if code_of([python, "-c", probe], capture_output=True):
        python = ensure(extra, cpu=cpu)
    else:
        say(f"using {python}, which has torch with CUDA; nothing is installed")
    paths = filter(None, [str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    script = ROOT / "benchmarks" / f"{command.replace('-', '_')}.py"
    return code_of([str(python), "-P", str(script), *arguments], env=environment)


def lab_command(python: Path, arguments: Sequence[str]) -> list[str]:
    """Return the command of JupyterLab on the notebooks, with nothing that calls home."""
    settings = [
        f"--ServerApp.root_dir={ROOT / 'notebooks'}",
        f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    return [str(python), "-P", "-m", "jupyterlab", *settings, *arguments]


def lab_environment() -> dict[str, str]:
    """Return the environment variables that JupyterLab needs in addition."""
    paths = [str(LAB_DEFAULTS), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    return {"JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}


def hand_over(command: Sequence[str], **environment: str) -> NoReturn:
    """Replace this process by `command`, so that signals reach it; on Windows, run it and exit."""
    os.environ.update(environment)
    if os.name == "nt":
        sys.exit(subprocess.run(command, check=False).returncode)
    sys.stdout.flush()
    os.execv(command[0], list(command))


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Raise `Trouble` with exit code 2."""
        raise Trouble(f"{message}; python3 run.py --help lists the commands", 2)


def parse(arguments: Sequence[str]) -> tuple[bool, str, list[str]]:
    """Split a command line into --cpu (anywhere before ``--``), the command and its arguments."""
    rest = list(arguments)
    stop = rest.index("--") if "--" in rest else len(rest)
    cpu = "--cpu" in rest[:stop]
    rest = [word for word in rest[:stop] if word != "--cpu"] + rest[stop:]
    if not rest:
        raise Trouble("no command given; python3 run.py --help lists them", 2)
    if rest[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        raise SystemExit(0)
    if not re.fullmatch(r"[a-z][a-z0-9-]*", rest[0]):
        raise Trouble(f"{rest[0]!r} is not a command; python3 run.py --help lists them", 2)
    return cpu, rest[0], rest[1:]


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    cpu, command, rest = parse(arguments)
    if command == "lock":
        return lock(rest, cpu=cpu)
    if command in GPU_SCRIPTS:
        return gpu_script(command, rest, cpu=cpu)
    python = ensure(NEEDS.get(command), cpu=cpu)
    if command == "test":
        return test(python, rest)
    if command == "bench":
        return bench(python, rest)
    if command == "fuzz":
        fuzz = [str(python), "-P", str(ROOT / "tests" / "fuzz.py"), *rest]
        hand_over(fuzz, PYTHONPATH=str(ROOT / "tests" / "support"))
    if command == "lab":
        hand_over(lab_command(python, rest), **lab_environment())
    hand_over([str(python), "-P", "-m", "workbench.cli", command, *rest])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Trouble as trouble:
        sys.stderr.write(f"run.py: {trouble}\n")
        sys.exit(trouble.code)
    except KeyboardInterrupt:
        sys.stderr.write("run.py: stopped; the next call resumes an unfinished set-up\n")
        sys.exit(130)

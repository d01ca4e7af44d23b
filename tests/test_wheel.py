"""What a wheel brings: the workbench in an empty folder, with nothing of the checkout in reach."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request

import pytest
from house import ROOT
from waiting import LIMIT, until

pytestmark = pytest.mark.process

LARGEST = 20_000_000
"""Bytes of a wheel."""

BUILD = "import sys, setuptools.build_meta as b; print(getattr(b, 'build_' + sys.argv[1])('dist'))"


def called(*words, **options):
    words = [str(word) for word in words]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a source distribution, and that from what a commit would hold."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = called("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z").split("\0")
    for name in listed:
        if (ROOT / name).is_file():  # the last is empty, and one may have been deleted
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    sdist = called(sys.executable, "-c", BUILD, "sdist", cwd=source).splitlines()[-1]
    with tarfile.open(source / "dist" / sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.removesuffix(".tar.gz")
    name = called(sys.executable, "-c", BUILD, "wheel", cwd=unpacked).splitlines()[-1]
    return unpacked / "dist" / name


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Call a command of the installed wheel in an empty folder: its output."""
    site, here = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("empty")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    called(*pip, "--disable-pip-version-check", "--target", site, wheel)
    own = ("WORKBENCH_", "PYTHON")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    environment |= {"PYTHONPATH": str(site), "XDG_DATA_HOME": str(here / "home")}

    def call(*arguments, start=subprocess.run, **options):
        command = [sys.executable, "-m", "workbench.cli", *map(str, arguments)]
        if start is subprocess.Popen:
            return start(command, cwd=here, env=environment, text=True, **options)
        return called(*command, cwd=here, env=environment)

    script = "import workbench as w, sleep_course as c; print(w.__file__, c.__file__)"
    found = called(sys.executable, "-c", script, cwd=here, env=environment)
    assert found.count(str(site)) == 2
    call.folder = here
    return call


def test_one_wheel_holds_data_and_notebooks(wheel):
    assert wheel.stat().st_size < LARGEST


def test_every_bundled_model_is_there(installed):
    records = json.loads(installed("checkpoints", "--json"))
    names = {path.name for path in (ROOT / "data" / "checkpoints").iterdir()}
    assert {r["name"] for r in records} == names and not any("problem" in r for r in records)


def test_models_are_evaluated_and_exported(installed):
    found = json.loads(installed("eval", "depo-n8-n4", "--count", "64", "--seed", "7", "--json"))
    accuracy = found["passes"]["4"]["accuracy"]
    assert min(accuracy.values()) > 0.9  # as its card says, where a guess has 0.14
    installed("export", "depo-n8-n4", "--passes", "1,4", "--out", "sleep.html")
    text = (installed.folder / "sleep.html").read_text(encoding="utf-8")
    assert "theatre.render(" in text and not re.search(r'(src|href)="https?://', text)
    installed("measure", "lens", "depo-n8-n4", "--set", "examples=8", "--out", "lens.json")
    assert json.loads((installed.folder / "lens.json").read_text())["variables"]


def test_the_course_is_copied(installed):
    written = len(list((ROOT / "notebooks").glob("*.ipynb")))
    assert f"notebooks written: {written};" in installed("notebooks", "course")


def test_the_dashboards_open(installed):
    words = ("serve", "--no-open", "--port", "0")
    server = installed(*words, start=subprocess.Popen, stdout=subprocess.PIPE)
    try:
        address = until(lambda: re.search(r"http://\S+", server.stdout.readline()))[0]
        for page, word in (("", "sleep"), ("explore", "depo-n8-n4"), ("findings", "depo-n8")):
            with urllib.request.urlopen(f"{address.rstrip('/')}/{page}") as answer:
                assert word in answer.read().decode()
    finally:
        server.terminate()
        server.communicate(timeout=LIMIT)

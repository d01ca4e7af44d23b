"""The command called in this process, and a run that it has trained."""

import re

import pytest
from tiny import tiny_toml

from workbench.cli import main


@pytest.fixture
def run(capsys):
    """Run the command in this process; return exit code, standard output and standard error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        return stopped.value.code or 0, *capsys.readouterr()

    return call


@pytest.fixture
def refused(run):
    """Run the command; require exit code 2 and one line on standard error that matches."""

    def call(*arguments, match):
        code, out, err = run(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("workbench") and err.endswith("\n")
        assert re.search(match, err), err

    return call


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    """A configuration file that trains in a blink."""
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(tiny_toml(sleep={"passes": {"kind": "random", "low": 1, "high": 2}}))
    return path


@pytest.fixture(scope="session")
def trained(config, tmp_path_factory):
    """The folder of a run trained by the command."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(config), "--out", str(folder)])
    assert not stopped.value.code
    return folder

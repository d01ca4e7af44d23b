"""What is imported is declared, and what is declared is pinned and installed everywhere."""

from __future__ import annotations

import importlib.metadata
import runpy
import sys
import tomllib
from collections.abc import Iterator
from functools import cache

import yaml
from house import PACKAGES, ROOT, Source, imports, sources
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

DISTRIBUTIONS = {"fla": ["flash-linear-attention"]}
"""Import name -> distribution, where the extra that brings it is not part of `dev`."""

EXTRAS = ("bench", "cluster", "gpu", "hf", "parallel", "reasoning", "tracking")
"""Extras a user may choose; `notebooks` and `test` come with `dev`."""

OPT_IN = {"flash_attn"}
"""Packages installed by hand, which no extra may bring."""


def undeclared_complaints(source: Source, declared: set[str]) -> Iterator[str]:
    """Third-party packages that reach us only because something else installs them."""
    providers = distributions()
    for line, name in imports(source):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top in OPT_IN or top in PACKAGES:
            continue
        if source.module.startswith("benchmarks.") and (ROOT / "benchmarks" / f"{top}.py").exists():
            continue  # what benchmarks share
        if source.module.startswith("tests.") and (ROOT / "tests/support" / f"{top}.py").exists():
            continue  # what tests share
        if source.module.startswith("tests.") and top == "bokeh" and "panel" in declared:
            continue  # Panel is made of it, and says which version
        # A package that is not installed counts under its own name.
        names = {
            canonicalize_name(provider)
            for provider in providers.get(top, DISTRIBUTIONS.get(top, [top]))
        }
        if top and not names & declared:
            yield f"{source.module}:{line}: imports {top}, which pyproject.toml does not declare"


@cache
def distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def settings() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def project() -> dict:
    return settings()["project"]


def requirements(*extras: str) -> dict[str, SpecifierSet]:
    """Return what pyproject declares for the base install and `extras`, by canonical name."""
    table = project()
    lines = list(table["dependencies"])
    for extra in extras:
        lines += table["optional-dependencies"][extra]
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_package_is_installed_and_checked(monkeypatch):
    tools = settings()["tool"]
    folders = {name: (base / name).relative_to(ROOT).as_posix() for name, base in PACKAGES.items()}
    given = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("setuptools.setup", given.update)
    runpy.run_path(str(ROOT / "setup.py"))
    data = {"sleep_data": "data", "sleep_notebooks": "notebooks"}
    assert given["package_dir"] == folders | data
    assert set(given["packages"]) == {s.module for s in sources() if s.is_package} | set(data)
    assert tools["mypy"]["files"] == [*folders.values(), "run.py"]
    assert tools["ruff"]["lint"]["isort"]["known-first-party"] == list(PACKAGES)


def test_everything_imported_is_declared():
    base = set(requirements(*EXTRAS))
    notebook = base | set(requirements("notebooks"))  # what a kernel has
    everything = set(requirements(*EXTRAS, "notebooks", "test"))
    complaints = []
    for source in sources():
        outside = source.module.split(".")[0] in ("tests", "benchmarks", "notebooks")
        in_kernel = source.room in ("workbench.notebook", "sleep_course")
        in_kernel |= source.module == "workbench.theatre.notebook"
        inside = notebook if in_kernel else base
        complaints += undeclared_complaints(source, everything if outside else inside)
    assert not complaints


def test_environment_yml_agrees_with_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    lines = [line for line in pip if not line.startswith("-")]
    listed = {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}
    assert listed == requirements("notebooks", "test")
    assert len(lines) == len(listed), "a package is listed twice"
    assert [line for line in pip if line.startswith("-")] == ["-c constraints.txt", "-e ."]
    (python,) = (d for d in environment["dependencies"] if str(d).startswith("python="))
    assert python.removeprefix("python=") in SpecifierSet(project()["requires-python"])


def test_constraints_pin_everything_declared():
    pins = pinned()
    for name, allowed in requirements(*EXTRAS, "notebooks", "test").items():
        assert name in pins, f"{name} is not pinned; python3.11 run.py lock"
        assert pins[name] in allowed, f"{name}: {pins[name]} is not {allowed}"


def test_constraints_hold_on_every_platform():
    pins = pinned()
    assert not [version for version in pins.values() if "+" in version]
    assert not [name for name in pins if name.startswith(("nvidia-", "cuda-"))]
    assert "sleep-workbench" not in pins


def test_the_rule_can_fail():
    assert list(undeclared_complaints(Source("workbench.cli", "import hvplot"), {"numpy"}))
    assert not list(undeclared_complaints(Source("workbench.cli", "import yaml"), {"pyyaml"}))

"""The house rules, checked on every file: floors, sizes, what may be imported.

Each rule is a function from a source to complaints, so that it can be shown a violation
(`test_the_rules_can_fail`) as well as the house.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from house import FLOOR_OF, PACKAGES, ROOT, Source, imports, room_of, sources, within

LONGEST, LONGEST_FUNCTION, MOST_FILES = 500, 80, 20

TOO_LONG: set[str] = set()
"""Modules and functions that are still longer."""

CROWDED: set[str] = set()
"""Folders that still hold more files."""

BANNED = {
    "sleep_kernels": ("workbench",),
    "workbench.tasks": ("workbench.model", "workbench.sleep", "torch"),
    "workbench.figures": ("torch", "panel", "panel_material_ui"),
}
"""Rooms with rules of their own, beyond the floors."""

PANEL = ("panel", "panel_material_ui", "bokeh")

PANEL_ROOMS = ("workbench.views", "workbench.notebook", "apps")

PICKLES = ("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve")

LINKED_HOSTS = {"", "127.0.0.1", "localhost", "www.w3.org", "arxiv.org", "doi.org", "github.com"}
"""Hosts a page may name: itself, XML name spaces, and links a reader clicks. Never a CDN."""

RAW_READERS = {
    "sleep_course.changing": "the vocabulary of a trace whose reader has checked it",
    "workbench.files": "the readers themselves, and /proc/self/status",
    "workbench.lab.results": "the configuration in a record whose reader has parsed it",
    "workbench.limits": "/sys/fs/cgroup",
    "workbench.model.memory": "the header of a session, whose reader checks it",
    "workbench.training.checkpoints": "the headers of safetensors files",
    "workbench.training.provenance": "/proc/cpuinfo",
    "workbench.trace.schema": "the attributes of a trace, which it checks",
}
"""Modules that parse text or open files without `workbench.files`, and what it is they read."""


def floor_complaints(source: Source) -> Iterator[str]:
    """Imports from the same floor's other rooms, from above, or against a room's own rules."""
    room = source.room
    if room not in FLOOR_OF:
        yield f"{source.module}: no floor; place {room} in FLOORS of tests/support/house.py"
        return
    for line, name in imports(source):
        where = f"{source.module}:{line}: imports {name}"
        target = room_of(name)
        if any(within(name, banned) for banned in BANNED.get(room, ())):
            yield f"{where}, which {room} must not"
        elif any(within(name, part) for part in PANEL) and room not in PANEL_ROOMS:
            yield f"{where}; only {', '.join(PANEL_ROOMS)} import Panel"
        elif within(name, "apps") or within(name, "tests") or within(name, "benchmarks"):
            yield f"{where}; nothing imports from there"
        elif source.module == "workbench" or target == room:
            continue  # the front door may lead anywhere
        elif target in FLOOR_OF:
            ground = FLOOR_OF[target] == 0 and FLOOR_OF[room] == 0
            if FLOOR_OF[target] >= FLOOR_OF[room] and not ground:
                yield f"{where}, which is not on a floor below {room}"
        elif within(name, "workbench"):
            yield f"{where}, a room without a floor"


def pickle_complaints(source: Source) -> Iterator[str]:
    """Anything that reads or writes pickles."""
    for line, name in imports(source):
        if name.split(".")[0] in PICKLES:
            yield f"{source.module}:{line}: imports {name}; weights are safetensors, never pickle"
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and node.attr in ("load", "save"):
            if ast.unparse(node.value) == "torch":
                yield f"{source.module}:{node.lineno}: torch.{node.attr} is pickle; use safetensors"
        elif isinstance(node, ast.ImportFrom) and node.module == "torch":
            for alias in node.names:
                if alias.name in ("load", "save"):
                    yield f"{source.module}:{node.lineno}: torch.{alias.name} is pickle"
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                yield f"{source.module}:{node.value.lineno}: allow_pickle"


def length_complaints(source: Source) -> Iterator[str]:
    """A module or a function too long to be read in one sitting; Triton kernels are one piece."""
    length = len(source.text.splitlines())
    if length > LONGEST:
        yield f"{source.module}: {length} lines; at most {LONGEST}, so split it by concept"
    for node in source.nodes:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = node.end_lineno - node.lineno + 1
        kernel = any(ast.unparse(one).startswith("triton.") for one in node.decorator_list)
        if length > LONGEST_FUNCTION and not kernel:
            yield f"{source.module}.{node.name}: {length} lines; at most {LONGEST_FUNCTION}"


def crowd_complaints(files: Iterable[str]) -> Iterator[str]:
    """Folders with more files side by side than one takes in at a glance."""
    for folder, count in Counter(str(Path(name).parent) for name in files).items():
        if count > MOST_FILES:
            yield f"{folder}: {count} files side by side; at most {MOST_FILES}, so group them"


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules that import each other, directly or by way of others."""
    reach = {module: set(targets) for module, targets in graph.items()}
    for between in graph:
        for module in graph:
            if between in reach[module]:
                reach[module] |= reach[between]
    return sorted(module for module in graph if module in reach[module])


def import_graph(sources: list[Source]) -> dict[str, set[str]]:
    """Return what each module imports of the others, inside functions and for types as well."""
    known = {source.module for source in sources}
    graph: dict[str, set[str]] = {source.module: set() for source in sources}
    for source in sources:
        for node in source.nodes:
            if isinstance(node, ast.Import):
                graph[source.module] |= {alias.name for alias in node.names} & known
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    graph[source.module] |= {inner if inner in known else node.module} & known
        graph[source.module].discard(source.module)
    return graph


def host_complaints(name: str, text: str) -> Iterator[str]:
    """Hosts that a page would fetch from, or link to without being on the list."""
    for number, line in enumerate(text.splitlines(), 1):
        for host in re.findall(r"https?://([\w.-]*)", line):
            if host not in LINKED_HOSTS:
                yield f"{name}:{number}: names the host {host}; pages work offline"


def reader_complaints(source: Source) -> Iterator[str]:
    """Files read or parsed without the limits and the one-line errors of `workbench.files`."""
    if source.module in RAW_READERS or source.room == "sleep_kernels":
        return
    parsers = ("json.load", "json.loads", "tomllib.load", "tomllib.loads")
    asked = ("load", "loads", "read_text", "read_bytes")
    for node in source.nodes:
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") not in asked:
            continue
        called, where = ast.unparse(node.func), f"{source.module}:{node.lineno}"
        given = ast.unparse(node.args[0]) if node.args else ""
        if called in parsers and not given.endswith(".to_json()"):
            yield f"{where}: {called}; use parse_json, parse_toml, read_json or read_toml"
        ours = "__file__" in called or called.startswith(("HERE", "(HERE"))  # files of the package
        if node.func.attr in ("read_text", "read_bytes") and not ours:
            yield f"{where}: {called}; use read_text or read_bytes of workbench.files"


def docstring_complaints(source: Source) -> Iterator[str]:
    """A folder which does not say what lives there."""
    if source.is_package and not ast.get_docstring(source.tree):
        yield f"{source.module}: __init__.py without a docstring"


def with_floors() -> Iterator[Source]:
    return (s for s in sources() if s.module.split(".")[0] in (*PACKAGES, "apps"))


def test_every_file_imports_only_from_floors_below():
    assert not [c for source in with_floors() for c in floor_complaints(source)]


def test_no_module_imports_itself_by_way_of_others():
    floors = ("workbench", "sleep_kernels")
    shown = [s for s in sources() if s.module.split(".")[0] in floors]
    assert circles(import_graph(shown)) == []


def test_no_module_is_too_long():
    """Nor a function."""
    assert {c.partition(":")[0] for s in sources() for c in length_complaints(s)} <= TOO_LONG


def test_no_folder_is_crowded():
    files = [
        path.relative_to(ROOT).as_posix()
        for folder in ("workbench", "kernels", "notebooks/course", "tests")
        for path in (ROOT / folder).rglob("*.*")
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".pyc"
    ]
    assert {c.partition(":")[0] for c in crowd_complaints(files)} <= CROWDED


def test_nothing_is_pickled():
    shown = [s for s in sources() if not s.module.startswith("tests")]
    assert not [c for source in shown for c in pickle_complaints(source)]


def test_files_are_read_within_limits():
    assert not [c for source in with_floors() for c in reader_complaints(source)]
    known = {source.module for source in with_floors()}
    assert set(RAW_READERS) <= known, "an exception without its module"


def test_every_folder_says_what_lives_there():
    folders = {
        ".".join(path.parent.relative_to(base).parts)
        for name, base in PACKAGES.items()
        for path in (base / name).rglob("*.py")
    }
    packages = {source.module for source in sources() if source.is_package}
    assert folders - packages == set(), "folders without an __init__.py"
    assert not [c for source in sources() for c in docstring_complaints(source)]


def test_folders_around_packages_are_not_packages():
    assert not [base for base in PACKAGES.values() if (base / "__init__.py").exists()]


def test_pages_name_no_foreign_host():
    files = [
        path
        for folder in ("apps", "workbench/views", "workbench/figures")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".css", ".js", ".html", ".svg")
    ]
    assert not [
        complaint
        for path in files
        for complaint in host_complaints(
            str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        )
    ]


@pytest.mark.process
@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("workbench", ("torch", "panel", "plotly")),
        ("workbench.config", ("torch", "panel")),
        ("workbench.tasks", ("torch", "panel", "workbench.model", "workbench.sleep")),
        ("workbench.figures", ("torch", "panel")),
    ],
)
def test_importing_stays_light(module, absent):
    """Not by way of another room either: the dashboards start quickly because of it."""
    script = f"import sys, {module}; print(*(n for n in {absent!r} if n in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


@pytest.mark.process
def test_the_root_stays_off_the_path(tmp_path):
    script = (
        "import importlib.util as u, workbench, sleep_kernels\n"
        "inside = 'apps', 'benchmarks', 'course', 'kernels', 'notebooks', 'run', 'tests'\n"
        "print(*(n for n in inside if u.find_spec(n)))"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


VIOLATIONS = [
    (floor_complaints, "workbench.model.block", "import workbench.tasks"),
    (floor_complaints, "workbench.model.block", "def f():\n    from workbench import sleep"),
    (floor_complaints, "workbench.model.block", "from workbench import load"),
    (floor_complaints, "workbench.model.block", "from ..training import loop"),
    (floor_complaints, "workbench.sleep.loop", "import importlib\nimportlib.import_module('apps')"),
    (floor_complaints, "workbench.tasks.depo", "import torch.nn"),
    (floor_complaints, "workbench.tasks.depo", "from workbench.model import hybrid"),
    (
        floor_complaints,
        "workbench.tasks.depo",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch import Tensor",
    ),
    (floor_complaints, "workbench.figures.heat", "import panel as pn"),
    (floor_complaints, "workbench.figures.heat", "import torch"),
    (floor_complaints, "workbench.lab.jobs", "import panel_material_ui"),
    (floor_complaints, "workbench.config", "from workbench.model import hybrid"),
    (floor_complaints, "sleep_kernels.api", "from workbench import dims"),
    (floor_complaints, "workbench.cli", "from apps import home"),
    (floor_complaints, "workbench.views.home.page", "import workbench"),
    (floor_complaints, "workbench.cli", "from sleep_course import pictures"),
    (floor_complaints, "workbench.notebook.display", "import sleep_course.live"),
    (floor_complaints, "sleep_course.pictures", "import panel"),
    (floor_complaints, "workbench.attic", "import os"),
    (floor_complaints, "workbench.cli", "import workbench.attic"),
    (pickle_complaints, "workbench.training.save", "import pickle"),
    (pickle_complaints, "workbench.training.save", "import torch\ntorch.load('x')"),
    (pickle_complaints, "workbench.training.save", "from torch import save"),
    (
        pickle_complaints,
        "workbench.trace.store",
        "import numpy\nnumpy.load('x', allow_pickle=True)",
    ),
    (length_complaints, "workbench.config", "x = 1\n" * (LONGEST + 1)),
    (length_complaints, "workbench.config", "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION),
    (reader_complaints, "workbench.lab.jobs", "import json\njson.loads(path.read_text())"),
    (reader_complaints, "workbench.lab.jobs", "import json\njson.load(file)"),
    (reader_complaints, "workbench.lab.jobs", "import tomllib\ntomllib.loads(text)"),
    (reader_complaints, "workbench.lab.jobs", "(folder / 'x').read_bytes()"),
]

PERMITTED = [
    (floor_complaints, "workbench.config", "from workbench.errors import WorkbenchError"),
    (floor_complaints, "workbench.model.block", "from workbench import dims\nimport sleep_kernels"),
    (floor_complaints, "workbench.model.block", "from . import memory\nfrom .memory import x"),
    (floor_complaints, "workbench.training.loop", "from workbench.tasks import depo\nimport torch"),
    (floor_complaints, "workbench.views.home.page", "import panel as pn"),
    (
        floor_complaints,
        "apps.home",
        "import workbench\nfrom workbench.views.home import page",
    ),
    (floor_complaints, "sleep_course.live", "from workbench import cli, views"),
    (floor_complaints, "workbench", "def load():\n    from workbench.training import checkpoints"),
    (
        pickle_complaints,
        "workbench.trace.store",
        "import numpy\nnumpy.load('x', allow_pickle=False)",
    ),
    (length_complaints, "workbench.config", "x = 1\n" * LONGEST),
    (length_complaints, "workbench.config", "def f():\n" + "    x = 1\n" * (LONGEST_FUNCTION - 1)),
    (
        length_complaints,
        "sleep_kernels.k",
        "@triton.jit\ndef f():\n" + "    x = 1\n" * LONGEST_FUNCTION,
    ),
    (reader_complaints, "workbench.views.lab.page", "import json\njson.loads(figure.to_json())"),
    (reader_complaints, "workbench.views.lab.page", "CSS = (HERE / 'a.css').read_text()"),
    (reader_complaints, "workbench.views.lab.page", "Path(__file__).with_name('a').read_text()"),
    (reader_complaints, "workbench.lab.jobs", "read_text(path)\nread_json(path)"),
    (reader_complaints, "workbench.files", "import json\njson.loads(text)"),
]


@pytest.mark.parametrize(("rule", "module", "text"), VIOLATIONS)
def test_the_rules_can_fail(rule, module, text):
    assert list(rule(Source(module, text)))


@pytest.mark.parametrize(("rule", "module", "text"), PERMITTED)
def test_the_rules_allow_what_is_right(rule, module, text):
    assert not list(rule(Source(module, text, is_package=module == "workbench")))


def test_circles_are_found():
    lazy = Source("a", "def f():\n    from p import b")
    sources = [lazy, Source("p.b", "import c"), Source("c", "import a"), Source("d", "import a")]
    assert circles(import_graph(sources)) == ["a", "c", "p.b"]


def test_the_other_rules_can_fail():
    assert list(docstring_complaints(Source("workbench.model", "x = 1\n", is_package=True)))
    assert list(crowd_complaints([f"views/{i}.py" for i in range(MOST_FILES + 1)]))
    assert not list(crowd_complaints([f"views/{i}.py" for i in range(MOST_FILES)]))
    assert list(host_complaints("a.css", "@import url(https://fonts.googleapis.com/css)"))
    assert not list(host_complaints("a.py", "'http://127.0.0.1:5006 https://arxiv.org/abs/1'"))

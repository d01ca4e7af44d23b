"""The Python files of the house, as the tests of its rules see them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = {
    "workbench": ROOT,
    "sleep_kernels": ROOT / "kernels",
    "sleep_course": ROOT / "notebooks" / "course",
}
"""What is installed, and the folder each package stands in."""

FLOORS = (
    (
        "workbench.dims",
        "workbench.errors",
        "workbench.batch",
        "workbench.config",
        "workbench.files",
        "workbench.identity",
        "workbench.limits",
        "workbench.mixers",
        "workbench.once_cache",
        "workbench.paths",
        "workbench.progress",
        "workbench.registry",
        "workbench.retrofit_config",
        "workbench.signals",
        "workbench.task_config",
        "workbench.terminal",
        "workbench.validation",
    ),
    ("sleep_kernels",),
    ("workbench.model",),
    ("workbench.backbones",),
    ("workbench.sleep",),
    ("workbench.tasks",),
    ("workbench.training",),
    ("workbench.trace",),
    ("workbench.instruments",),
    ("workbench.lab",),
    ("workbench.figures",),
    ("workbench.measurements",),
    ("workbench.theatre",),
    ("workbench.views", "workbench.notebook"),
    ("workbench", "workbench.doctor"),
    ("workbench.cli", "apps"),
    ("sleep_course",),
)
"""From the ground up; ``workbench`` alone is the front door, ``workbench/__init__.py``."""

FLOOR_OF = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


@dataclass(frozen=True)
class Source:
    """A Python file: its dotted name as imports see it, and its syntax tree."""

    module: str
    text: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return nodes(self.text)[0]

    @property
    def nodes(self) -> tuple[ast.AST, ...]:
        return nodes(self.text)

    @property
    def room(self) -> str:
        """The part of the house the file is in: `workbench.model`, `sleep_kernels`, `apps`."""
        return room_of(self.module)


@cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    """Every node of a text's syntax tree, from the root."""
    return tuple(ast.walk(ast.parse(text)))


def room_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "workbench" else parts[0]


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Yield every import as line and dotted name; lazy and type-only imports count too."""
    package = source.module.split(".") if source.is_package else source.module.split(".")[:-1]
    for node in source.nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = package[: len(package) - node.level + 1] + base
            name = ".".join(base)
            for alias in node.names:
                # `from workbench import dims` means the module, `from workbench import load` the
                # front door; the table of floors distinguishes them.
                inner = f"{name}.{alias.name}"
                yield node.lineno, inner if name == "workbench" and inner in FLOOR_OF else name
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0]
            if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the house; tests, benchmarks and notebooks have no floor."""
    found = []
    for name, base in PACKAGES.items():
        for path in sorted((base / name).rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            found.append(Source(name, path.read_text(encoding="utf-8"), is_package))
    for folder in ("apps", "benchmarks", "tests", "notebooks/src"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found.append(Source(name, path.read_text(encoding="utf-8")))
    found.append(Source("run", (ROOT / "run.py").read_text(encoding="utf-8")))
    return tuple(found)

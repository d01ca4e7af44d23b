"""The command `notebooks`: a copy of the course to work in; a fresh one of any notebook."""

from __future__ import annotations

import argparse
import json
import shlex
from itertools import count
from pathlib import Path
from typing import Any

from workbench.cli.options import add_command
from workbench.cli.options import folder as folder_name
from workbench.errors import WorkbenchError
from workbench.files import read_json, write_text
from workbench.paths import notebooks_folder


def add_commands(commands: Any) -> None:
    """Add the command."""
    notebooks = add_command(
        commands,
        "notebooks",
        _notebooks,
        "copy the notebooks of the course into a folder of yours; what you changed there is kept",
        "workbench notebooks course",
    )
    notebooks.add_argument(
        "folder", type=folder_name, help="where to put them; made if it is missing"
    )
    notebooks.add_argument(
        "--reset",
        action="append",
        default=[],
        metavar="NUMBER",
        help="begin this notebook again; your copy of it stays as NAME.before-reset.ipynb",
    )


def _notebooks(options: argparse.Namespace) -> int:
    found = sorted(notebooks_folder().glob("[0-9]*.ipynb"))
    numbers = {path.name.split("_")[0]: path for path in found}
    fresh = {number.zfill(2) for number in options.reset}
    if unknown := fresh - set(numbers):
        raise WorkbenchError(
            f"no notebook {', '.join(sorted(unknown))}",
            f"one of {', '.join(numbers) or 'none: this installation has no notebooks'}",
            "give its number, as in --reset 3",
        )
    folder: Path = options.folder
    if folder.resolve() == notebooks_folder().resolve():
        raise WorkbenchError(
            f"{folder} is where the originals lie", "another folder", "name a new folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    kept = 0
    for number, path in numbers.items():
        mine = folder / path.name
        if mine.exists() and number not in fresh:
            kept += 1
            continue
        if mine.exists():
            mine.replace(_free(mine))
        notebook = read_json(path)
        notebook["metadata"].pop("jupytext", None)  # it would pair the copy with another file
        write_text(mine, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    print(f"{folder}: notebooks written: {len(numbers) - kept}; yours, kept: {kept}")
    print(f"open them with: jupyter lab {shlex.quote(str(folder))}")
    return 0


def _free(path: Path) -> Path:
    """Return a name for an earlier copy that no file has."""
    names = (path.with_suffix(f".before-reset{n or ''}.ipynb") for n in count())
    return next(name for name in names if not name.exists())

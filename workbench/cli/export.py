"""``workbench export``: a sleep as one HTML file that plays in any browser, without a server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.cli.options import add_command, add_json, loaded, seed, whole
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.theatre.asks import Asks, TraceAsks

LARGEST: Final = 64_000_000
"""Bytes of all scenes of a file; a browser would take long to open more."""


def add_commands(commands: Any) -> None:
    """Add the command."""
    export = add_command(
        commands,
        "export",
        _export,
        "write a sleep as one HTML file, which plays in any browser without a server",
        "workbench export depo-n8-any --examples 0,1,2 --passes 1,2,4 --out sleep.html",
    )
    export.add_argument(
        "target",
        nargs="?",
        metavar="CHECKPOINT|FILE",
        help="a bundled name, a folder, or hf://owner/name; or a recording, NAME.zarr.zip",
    )
    export.add_argument(
        "--story", action="store_true", help="the story in six scenes, instead of a checkpoint"
    )
    export.add_argument(
        "--out", type=Path, help="the file, NAME.html; default CHECKPOINT.html or story.html"
    )
    export.add_argument(
        "--examples", type=_list(whole("example", 0)), metavar="I,J", help="default 0"
    )
    export.add_argument(
        "--passes", type=_list(whole("number of passes")), metavar="N,M",
        help="one or more N; default the largest trained N",
    )  # fmt: skip
    export.add_argument("--seed", type=seed, help="draws the examples; default 0")
    export.add_argument("--input", help="your own input instead of examples")
    export.add_argument("--queries", help="queries for --input")
    export.add_argument("--force", action="store_true", help="replace a file of that name")
    add_json(export)


def _export(options: argparse.Namespace) -> int:
    from workbench.files import try_output, write_text
    from workbench.progress import progress_bar

    check_target(options)
    name = "story"
    if not options.story:
        name = Path(options.target).name.removesuffix(".zip").removesuffix(".zarr")
    path: Path = options.out or Path(f"{name}.html")
    check_output(path, options.force)
    try_output(path)
    asks, asked = _story() if options.story else _asks(options)
    for ask in asked:
        asks.check(ask)
    scenes: list[bytes] = []
    with progress_bar(len(asked), unit="scene") as bar:
        for ask in asked:
            scenes.append(asks.scene(ask))
            bar.update(1)
            if (total := sum(map(len, scenes))) > LARGEST:
                raise WorkbenchError(
                    f"scenes of {total:,} bytes", f"at most {LARGEST:,}", "export fewer of them"
                )
    from workbench.theatre.page import page_of
    from workbench.theatre.story import TITLE, story_data

    title = TITLE if options.story else f"{name}: a sleep, pass by pass"
    text = page_of(scenes, title, story=story_data() if options.story else ())
    write_text(path, text)
    size = len(text.encode())
    record = {"file": str(path), "bytes": size, "scenes": len(scenes)}
    if options.json:
        print(json.dumps(record))
    else:
        count = f"{len(scenes)} sleep{'' if len(scenes) == 1 else 's'}"
        print(f"{path}: {count}, {size / 1e6:.1f} MB; open it in a browser")
    return 0


def check_output(path: Path, force: bool) -> None:
    """Raise a WorkbenchError unless `path` names an HTML file in a folder that exists."""
    if path.suffix != ".html":
        fix = f"name it {path.with_suffix('.html')}" if path.name else "add a file name"
        raise WorkbenchError(f"--out {path}", "a file NAME.html", fix)
    if not path.parent.is_dir():
        raise WorkbenchError(
            f"no folder {path.parent}", "a folder that exists", "make it first, or name another"
        )
    if path.exists() and (path.is_dir() or not force):
        raise WorkbenchError(f"{path} exists", "a new file", "name another, or add --force")


def check_target(options: argparse.Namespace) -> None:
    """Raise a WorkbenchError unless either a target or the story is asked for."""
    own = _given(options, "examples", "passes", "seed", "input", "queries")
    wrong = [options.target] * (options.target is not None) + own
    if options.story and wrong:
        raise WorkbenchError(
            f"--story with {wrong[0]}", "--story alone: its sleeps are chosen", "leave one out"
        )
    if not options.story and options.target is None:
        raise WorkbenchError(
            "nothing to export", "a checkpoint, a recording or --story", "name one of them"
        )


def _given(options: argparse.Namespace, *names: str) -> list[str]:
    """Return those of the options that were given."""
    return [f"--{name}" for name in names if getattr(options, name) is not None]


def _story() -> tuple[Asks, list[dict[str, Any]]]:
    """Return who answers, and every sleep that the story shows or that its reader may try."""
    from workbench.theatre.asks import Asks
    from workbench.theatre.story import story_asks
    from workbench.training.checkpoints import load_checkpoint

    return Asks(load_checkpoint), story_asks()


def _asks(options: argparse.Namespace) -> tuple[Asks | TraceAsks, list[dict[str, Any]]]:
    """Return who answers, and the scenes to ask for."""
    own, drawn = _given(options, "input", "queries"), _given(options, "examples", "seed")
    if own and drawn:
        raise WorkbenchError(f"{own[0]} with {drawn[0]}", "one of them", "leave one out")
    if options.input is not None and not options.input.strip():
        raise WorkbenchError("--input without text", "text to read", "type it, or leave it out")
    examples = [0] if own else options.examples or [0]
    asked: list[dict[str, Any]] = [
        {"what": "scene", "example": example, "N": passes}
        for example in examples
        for passes in options.passes or [None]
    ]
    if options.target.endswith((".zarr.zip", ".zarr")):
        if wrong := _given(options, "input", "queries", "seed"):
            raise WorkbenchError(
                f"{wrong[0]} with the recording {options.target}",
                "--examples of those recorded",
                "name a checkpoint instead",
            )
        from workbench.theatre.asks import TraceAsks
        from workbench.trace import load_trace

        return TraceAsks(load_trace(options.target)), asked
    checkpoint = loaded(options.target)

    from workbench.theatre.asks import Asks

    given = {"name": checkpoint.name, "seed": options.seed or 0}
    given |= {name: getattr(options, name) or "" for name in ("input", "queries")}
    return Asks(lambda name: checkpoint), [ask | given for ask in asked]


def _list(each: Callable[[str], int]) -> Callable[[str], list[int]]:
    """Return what reads numbers separated by commas, each once."""

    def parse(text: str) -> list[int]:
        return list(dict.fromkeys(each(part) for part in text.split(",")))

    return parse

"""What the commands share: a parser whose errors are one line, options, and tables as text."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from workbench.terminal import printable

BAD_INPUT, INTERRUPTED = 2, 130
RUNS = Path("runs")
LARGEST = 10_000_000


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Write the line and exit with code 2."""
        sys.stderr.write(f"{self.prog}: {message}; see `{self.prog} --help`\n")
        raise SystemExit(BAD_INPUT)

    def format_help(self) -> str:
        """Return the help; the text that a default ``details`` returns goes before the example."""
        details, example = self.get_default("details"), self.epilog
        if details is not None:
            self.epilog = f"{details()}\n\n{example}"
        text = super().format_help()
        self.epilog = example
        return text


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], summary: str, example: str
) -> argparse.ArgumentParser:
    """Add a command to a parser's ``commands``; `run` returns the exit code."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary.capitalize() + ".", epilog=f"example: {example}"
    )
    parser.set_defaults(run=run)
    return parser


def add_json(parser: argparse.ArgumentParser, text: str = "print JSON") -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help=text)


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a checkpoint."""
    parser.add_argument("checkpoint", help="a bundled name, a folder, or hf://owner/name")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument("--device", default="cpu", help="cpu or cuda; default %(default)s")


def loaded(checkpoint: str, device: str = "cpu") -> Any:
    """Return a checkpoint by name; a missing one is reported before torch is loaded."""
    from workbench.training.places import find_checkpoint

    folder = find_checkpoint(checkpoint)

    from workbench.training.checkpoints import check_device, load_checkpoint

    check_device(device)
    return load_checkpoint(folder, device=device)


def add_drawing(parser: argparse.ArgumentParser, *, count: int) -> None:
    """Add --count and --seed, by which examples are drawn."""
    parser.add_argument(
        "--count", type=whole("count"), default=count, help="examples; default %(default)s"
    )
    parser.add_argument("--seed", type=seed, default=0, help="default %(default)s")


def add_set(parser: argparse.ArgumentParser, form: str, example: str) -> None:
    """Add --set, which may be given several times."""
    text = f"override a setting, for example {example}; may be given again"
    parser.add_argument("--set", action="append", default=[], metavar=form, help=text)


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add --runs."""
    parser.add_argument(
        "--runs", type=Path, default=RUNS, help="folder of the runs; default %(default)s"
    )


def whole(what: str, low: int = 1, high: int = LARGEST) -> Callable[[str], int]:
    """Return what reads a whole number, or says what it should have been."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a valid {what}; expected a whole number from {low} to {high}"
            )
        return value

    return parse


def folder(text: str) -> Path:
    """Read the name of a folder to write to; an empty one would be the folder that one is in."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty name; expected a folder")
    return Path(text)


def block_range(text: str) -> tuple[int, int]:
    """Read a range of blocks such as 10:20, or say what it should have been."""
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of blocks, such as 10:20")
    return int(first), int(last)


def add_writing(parser: argparse.ArgumentParser, *, what: str, temperature_of: float) -> None:
    """Add --tokens, --temperature and --seed, by which a model writes."""
    parser.add_argument(
        "--tokens", type=whole("number of tokens"), default=200, help=f"{what}; default %(default)s"
    )
    parser.add_argument(
        "--temperature",
        type=temperature,
        default=temperature_of,
        help="0 takes the likeliest; default %(default)s",
    )
    parser.add_argument("--seed", type=seed, default=0, help="default %(default)s")


def temperature(text: str) -> float:
    """Read a temperature of sampling, or say what it should have been."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a valid temperature; expected 0 (the likeliest) or more"
        )
    return value


seed = whole("seed", 0, 2**63 - 1)
passes = whole("number of passes", 0, 1024)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text in columns, with what cannot be printed escaped."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )

"""The ``workbench`` command: serve, train, sweep, trace, eval, generate, sample, doctor and others.

Results go to standard output (``--json`` where a program reads them), progress and messages to
standard error. Bad input, and an output that cannot be written, is one line and exit code 2; an
interrupted command exits with 130.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import workbench
from workbench.cli import (
    catalogue,
    chat,
    evaluate,
    export,
    generate,
    get,
    measure,
    mirror,
    notebooks,
    results,
    retrofit,
    runs,
    sweeps,
    throughput,
    trace,
    train,
)
from workbench.cli.options import BAD_INPUT, INTERRUPTED, Parser
from workbench.errors import WorkbenchError
from workbench.files import output_error
from workbench.terminal import printable


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; importing nothing heavy keeps ``--help`` quick."""
    parser = Parser(
        prog="workbench",
        description="Language models that sleep: step through a sleep, train and evaluate them.",
        epilog="example: workbench serve",
    )
    parser.add_argument(
        "--version", action="version", version=f"sleep-workbench {workbench.__version__}"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    catalogue.add_serve(commands)
    for module in (
        train,
        retrofit,
        sweeps,
        results,
        mirror,
        runs,
        trace,
        export,
        measure,
        evaluate,
        generate,
        chat,
        catalogue,
        get,
        notebooks,
        throughput,
    ):
        module.add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 2 bad input or output, 130 interrupted."""
    try:
        code = _run(arguments)
        sys.stdout.flush()  # a full disk is reported here, not while Python ends
    except BrokenPipeError:
        code = 0 if _reader_left() else 1
    except OSError as error:
        code = _fail(str(_unusable(error)))
    raise SystemExit(code)


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command; return its exit code."""
    try:
        options = build_parser().parse_args(arguments)
        return options.run(options)
    except SystemExit as ended:  # the parser's: help was printed, or the arguments were wrong
        return int(ended.code or 0)
    except WorkbenchError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("workbench", "sleep_kernels"):
            raise
        return _fail(
            f"the package {error.name!r} is not installed; expected the project's dependencies; "
            "install them with `python3 run.py doctor` or `pip install -e .`"
        )
    except KeyboardInterrupt:
        _to_stderr("workbench: interrupted\n")
        return INTERRUPTED


def _unusable(error: OSError) -> WorkbenchError:
    """Return the one-line error for a file or a stream that could not be used."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _discard(sys.stdout)
        return output_error("standard output", error)
    return output_error("an output" if error.filename is None else str(error.filename), error)


def _discard(stream: Any) -> None:
    """Drop what a stream still holds: Python would report the same error again as it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _reader_left() -> bool:
    """Whether standard output broke because its reader, such as `head`, has seen enough.

    Otherwise standard error broke, and the command was cut short.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            return False
    _discard(sys.stdout)
    return True


def _fail(message: str) -> int:
    _to_stderr(f"workbench: {printable(' '.join(message.split()))}\n")
    return BAD_INPUT


def _to_stderr(line: str) -> None:
    """Write a line to standard error, if it can be written to."""
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)

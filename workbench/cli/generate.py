"""The command `generate`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from workbench.cli import options as given


def add_commands(commands: Any) -> None:
    """Add the command."""
    generate = given.add_command(
        commands,
        "generate",
        _generate,
        "continue a text, with a sleep whenever a window is full",
        'workbench generate depo-n8-any --prompt "7 3 4 2 3 0 2 7 1 4 5 6 0 5 6 1 k=3 4 ANS" '
        "--tokens 1",
    )
    given.add_checkpoint(generate)
    generate.add_argument(
        "--prompt",
        required=True,
        help="what to continue, in the symbols of the model's task with spaces between them; only "
        "whole windows are slept on (in the example the 16 tokens of a ring; the rest is the "
        "question: three hops from 4)",
    )
    given.add_writing(generate, what="most tokens to write", temperature_of=0.8)
    generate.add_argument(
        "--top-k",
        type=given.whole("number of symbols"),
        help="draw from the likeliest; default all",
    )
    generate.add_argument("--stop", default="", metavar="TEXT", help="end after this was written")
    generate.add_argument("--passes", type=given.passes, help="N; default the largest trained")
    given.add_device(generate)


def _generate(options: argparse.Namespace) -> int:
    checkpoint = given.loaded(options.checkpoint, options.device)

    import numpy as np

    from workbench.sleep import Session, generate
    from workbench.training.evaluation import default_passes

    task, sleep = checkpoint.task, checkpoint.sleep
    passes = default_passes(sleep)[-1] if options.passes is None else options.passes
    tokens = task.encode(options.prompt)
    made = generate(
        Session(checkpoint.model, sleep.with_passes(passes)),
        np.array([tokens], dtype=np.int64),
        options.tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        stop=task.encode(options.stop),
        generator=np.random.default_rng(options.seed),
    )
    shown = task.decode(tokens)
    print(shown, end="", flush=True)
    for one in made:
        tokens.append(int(one.tokens[0]))
        text = task.decode(tokens)
        print(text[len(shown) :], end="", flush=True)
        shown = text
    print()
    if len(tokens) < sleep.window:
        sys.stderr.write(
            f"workbench: nothing was slept on: {len(tokens)} tokens do not fill the window of "
            f"{sleep.window}\n"
        )
    return 0

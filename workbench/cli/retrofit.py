"""The command `retrofit`: a pretrained model gets fast-weight layers, and learns to sleep."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from workbench.cli.options import RUNS, add_command, add_json, add_set, block_range
from workbench.cli.train import run_training
from workbench.errors import WorkbenchError

DEFAULTS: dict[str, Any] = {
    "sleep": {
        "window": 64,
        "passes": {"kind": "random", "low": 1, "high": 4},
        "order": "predict_then_sleep",
    },
    "task": {"name": "text", "window": 64, "windows": 3, "recalled": 1},
    "training": {"batch_size": 8, "warmup": 20, "eval_count": 200, "final_passes": [0, 1, 2, 4]},
}
"""Settings of a retrofit whose base alone is named: names to remember, swapped in every text."""


def add_commands(commands: Any) -> None:
    """Add the command."""
    retrofit = add_command(
        commands,
        "retrofit",
        _retrofit,
        "give a pretrained model fast-weight layers and teach it to sleep",
        "workbench retrofit smollm2-135m --insert gated_delta --after 4,9,14,19,24,29 "
        "--loop 10:20 --out runs/retrofit",
    )
    retrofit.add_argument(
        "base",
        metavar="BASE",
        help="a folder, a GGUF file, a name, hf://owner/name; or a configuration, CONFIG.toml",
    )
    retrofit.add_argument("--insert", metavar="MIXER", help="mixer of the layers: gated_delta, ...")
    retrofit.add_argument(
        "--after", type=_blocks, metavar="I,J,...", help="blocks that a new layer follows"
    )
    retrofit.add_argument(
        "--replace", type=_blocks, metavar="I,J,...", help="blocks that lose their attention to one"
    )
    retrofit.add_argument(
        "--loop", type=block_range, metavar="A:B", help="blocks of the base that a sleep repeats"
    )
    retrofit.add_argument("--train", choices=("inserted", "lora", "all"), help="what learns")
    retrofit.add_argument("--out", type=Path, help="the run's folder; default runs/retrofit")
    add_set(retrofit, "section.field=value", "training.steps=500")
    retrofit.add_argument(
        "--resume", action="store_true", help="continue from the newest resume point"
    )
    add_json(retrofit, "print the outcome as JSON")


def _blocks(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of blocks such as 4,9") from None


def _retrofit(options: argparse.Namespace) -> int:
    experiment = settings_of(options)
    folder = options.out or RUNS / "retrofit"
    return run_training(experiment, folder, resume=options.resume, as_json=options.json)


def settings_of(options: argparse.Namespace) -> Any:
    """Return the experiment that the options describe."""
    from workbench.config import Experiment, apply_overrides, build
    from workbench.files import read_toml

    if options.base.endswith(".toml"):
        data = read_toml(Path(options.base))
    else:
        tokenizer = {"tokenizer": options.base}
        data = {name: dict(section) for name, section in DEFAULTS.items()}
        data = data | {"retrofit": {"base": options.base}, "task": data["task"] | tokenizer}
    named = {name: getattr(options, name) for name in ("insert", "after", "replace", "train")}
    given = {name: value for name, value in named.items() if value is not None}
    data["retrofit"] = {**data.get("retrofit", {}), **given}
    experiment = build(Experiment, apply_overrides(data, options.set), source=options.base)
    if experiment.retrofit is None:
        raise WorkbenchError(
            f"{options.base} without [retrofit]", "a base and its new layers", "add the section"
        )
    if options.loop is not None:
        loop = experiment.retrofit.range_of(*options.loop)
        sleep = experiment.sleep.model_dump() | {"loop": loop}
        experiment = build(
            Experiment, experiment.model_dump() | {"sleep": sleep}, source=options.base
        )
    return experiment

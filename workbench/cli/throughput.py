"""The command `throughput`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from workbench.cli import options as given

SCHEMA = "sleep-throughput/1"


def add_commands(commands: Any) -> None:
    """Add the command."""
    throughput = given.add_command(
        commands,
        "throughput",
        _throughput,
        "measure how fast a model reads a text asleep, in windows and all at once",
        "workbench throughput depo-n8-any --tokens 1024 --windows 64,256 --passes 1,2,4",
    )
    throughput.add_argument(
        "model", help="a checkpoint, a folder of transformers, a GGUF file, or hf://owner/name"
    )
    number = given.whole("number of tokens", 8)
    throughput.add_argument(
        "--tokens", type=number, default=1024, help="of the text; default %(default)s"
    )
    for name, kind, default, help in (
        ("--windows", number, [64, 256], "L, each a divisor of the text; default 64,256"),
        ("--passes", given.whole("number of passes"), [1, 2, 4], "N; default 1,2,4"),
    ):
        throughput.add_argument(name, type=_listed(kind), default=default, help=help)
    throughput.add_argument("--no-training", action="store_true", help="read only, do not learn")
    throughput.add_argument(
        "--repeats", type=given.whole("number of readings"), default=5, help="default %(default)s"
    )
    throughput.add_argument("--threads", type=given.whole("number of threads"), default=1)
    throughput.add_argument("--out", type=Path, metavar="FILE.json", help="keep the numbers here")
    given.add_device(throughput)


def _listed(parse: Any) -> Any:
    return lambda text: [parse(word) for word in text.split(",")]


def _throughput(options: argparse.Namespace) -> int:
    import torch

    import workbench
    from workbench.files import try_output, write_json
    from workbench.progress import progress_bar
    from workbench.sleep.throughput import QUESTION, Cell, check_windows, measure_throughput
    from workbench.training.checkpoints import check_device
    from workbench.training.provenance import describe_origin

    check_device(options.device)
    check_windows(options.windows, options.tokens)
    if options.out is not None:
        try_output(options.out)  # before the work, not after it
    torch.set_num_threads(options.threads)
    model = workbench.load(options.model, device=options.device).model
    kinds = (False,) if options.no_training else (False, True)
    cells = [
        Cell(window, passes, training)
        for training in kinds
        for passes in options.passes
        for window in (*options.windows, None)
    ]
    with progress_bar(len(cells) * (options.repeats + 1), unit="reading") as bar:
        rows = measure_throughput(
            model, cells, options.tokens, repeats=options.repeats, on_progress=bar.update
        )
    print(given.columns([HEAD, *map(_cells, rows)]))
    if options.out is not None:
        facts: dict[str, Any] = {"schema": SCHEMA, "model": options.model, "tokens": options.tokens}
        facts |= {"question": QUESTION, "repeats": options.repeats, "threads": options.threads}
        facts |= {"device": _device(torch.device(options.device)), "load": os.getloadavg()[0]}
        backend = getattr(getattr(model, "config", None), "kernel_backend", "auto")
        write_json(options.out, facts | {"rows": rows, "provenance": describe_origin(str(backend))})
    return 0


HEAD = ["", "L", "N", "tokens/s", "to parallel", "awake, ms", "memory, MB", "joules"]


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        "training" if row["training"] else "reading",
        "all" if row["window"] is None else str(row["window"]),
        str(row["passes"]),
        *(_spread(row[name]) for name in ("tokens_per_second", "ratio", "wake_ms")),
        "not reported" if row["peak_mb"] is None else f"{row['peak_mb']:.1f}",
        "not reported" if row["joules"] is None else _spread(row["joules"]),
    ]


def _spread(values: list[float] | None) -> str:
    return "" if values is None else "{1:.4g} [{0:.4g}, {2:.4g}]".format(*values)


def _device(device: Any) -> str:
    import torch

    from workbench.training.provenance import processor

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return str(name or "unknown")

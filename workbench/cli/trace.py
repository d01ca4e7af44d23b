"""The command `trace`: record a sleep to a file, or say what such a file holds."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from workbench.cli.options import add_command, add_json, loaded, seed, whole
from workbench.errors import WorkbenchError

SUFFIXES = (".zarr", ".zarr.zip")
TIERS = ("states", "writes", "hidden")
"""As `workbench.trace.recorder.TIERS`; repeated, so that ``--help`` loads nothing heavy."""

DEFAULTS: dict[str, Any] = {
    "examples": 64,
    "seed": 0,
    "passes": None,
    "keep": ("states", "writes"),
    "layers": None,
    "heads": None,
    "budget": 4000,
    "out": None,
    "device": "cpu",
    "force": False,
}
"""Options of a recording; None for `passes` and `out` depends on the checkpoint."""

AT_ONCE = 16
"""Examples computed together: few enough for the bar to move."""


def add_commands(commands: Any) -> None:
    """Add the command."""
    trace = add_command(
        commands,
        "trace",
        _trace,
        "record what a checkpoint's memory does, pass by pass; or show what a recording holds",
        "workbench trace depo-n8-any --examples 64 --passes 4 --out depo.zarr.zip",
    )
    trace.add_argument(
        "checkpoint",
        metavar="CHECKPOINT|FILE",
        help="to record: a bundled name, a folder, or hf://owner/name; "
        "to show: NAME.zarr.zip or NAME.zarr",
    )
    trace.add_argument("--examples", type=whole("number of examples"), help="default 64")
    trace.add_argument("--seed", type=seed, help="draws the examples; default 0")
    trace.add_argument(
        "--passes", type=whole("number of passes", 0), help="N; default the largest trained N"
    )
    trace.add_argument(
        "--keep",
        type=_tiers,
        metavar="TIERS",
        help=f"besides the summary: some of {','.join(TIERS)}, or none; default states,writes",
    )
    trace.add_argument(
        "--layers", type=_indices, metavar="I,J", help="fast-weight layers to keep; default all"
    )
    trace.add_argument(
        "--heads", type=_indices, metavar="I,J", help="their heads to keep; default all"
    )
    trace.add_argument(
        "--budget",
        type=whole("number of MB"),
        metavar="MB",
        help="refuse a recording whose arrays are larger, before it begins; default 4000",
    )
    trace.add_argument(
        "--out", type=Path, help="NAME.zarr.zip or NAME.zarr; default CHECKPOINT-nN.zarr.zip"
    )
    trace.add_argument("--device", help="cpu or cuda; default cpu")
    trace.add_argument(
        "--force", action="store_true", default=None, help="replace a recording of that name"
    )
    add_json(trace)


def _trace(options: argparse.Namespace) -> int:
    given = [name for name in DEFAULTS if getattr(options, name) is not None]
    if _is_recording(options.checkpoint):
        if given:
            raise WorkbenchError(
                f"--{given[0]} with the recording {options.checkpoint}",
                "a recording alone, which is shown",
                "name a checkpoint to record one",
            )
        return _show(options.checkpoint, options.json)
    for name in DEFAULTS.keys() - given:
        setattr(options, name, DEFAULTS[name])
    return _record(options)


def _is_recording(target: str) -> bool:
    path = Path(target)
    return target.endswith(SUFFIXES) or path.is_file() or (path / "zarr.json").is_file()


def _record(options: argparse.Namespace) -> int:
    checkpoint = loaded(options.checkpoint, options.device)

    from workbench.files import try_output
    from workbench.progress import progress_bar
    from workbench.tasks import draw
    from workbench.trace import STREAM, origin_of, record_to, recorded_bytes
    from workbench.trace.storage import check_target
    from workbench.training.evaluation import default_passes

    n = default_passes(checkpoint.sleep)[-1] if options.passes is None else options.passes
    path: Path = options.out or Path(f"{Path(checkpoint.name).name}-n{n}.zarr.zip")
    try:
        check_target(path, options.force)
    except WorkbenchError as error:
        fix = error.fix.replace("overwrite it", "add --force")
        raise WorkbenchError(error.given, error.expected, fix) from None
    try_output(path.with_name(f"{path.name}.trial") if path.is_dir() else path)
    batch = draw(checkpoint.task, options.examples, options.seed, 0, STREAM)
    sleep = checkpoint.sleep.with_passes(n)
    chosen = {"keep": options.keep, "layers": options.layers, "heads": options.heads}
    needed = _size(recorded_bytes(checkpoint.model, batch, sleep, **chosen))
    sys.stderr.write(f"workbench: {needed} of arrays, of a budget of {options.budget} MB\n")
    with progress_bar(options.examples, unit="example") as bar:
        record_to(
            path,
            checkpoint.model,
            batch,
            sleep,
            **chosen,
            budget=options.budget,
            origin=origin_of(checkpoint, seed=options.seed),
            batch_size=AT_ONCE,
            on_progress=bar.update,
            overwrite=options.force,
        )
    record: dict[str, Any] = {
        "file": str(path),
        "bytes": _bytes(path),
        "checkpoint": checkpoint.name,
        "examples": options.examples,
        "seed": options.seed,
        "n_sleep": n,
        "keep": list(options.keep),
    }
    if options.json:
        print(json.dumps(record))
    else:
        kept = ", ".join(["summary", *options.keep])
        print(f"{path}: {options.examples} examples at N = {n}, {kept}; {_size(record['bytes'])}")
    return 0


def _show(target: str, as_json: bool) -> int:
    path = Path(target)
    if path.is_file() and not _zipped(path):  # reported before zarr is loaded
        raise WorkbenchError(
            f"{target} is not a recording",
            "NAME.zarr.zip or NAME.zarr, or a checkpoint to record",
            "record one with `workbench trace CHECKPOINT`",
        )

    from workbench.trace import groups_of, load_trace

    tree = load_trace(target)
    attributes = tree.attrs
    record: dict[str, Any] = {
        "file": target,
        "bytes": _bytes(Path(target)),
        **{name: attributes[name] for name in ("schema", "checkpoint", "checkpoint_sha256")},
        **{name: attributes[name] for name in ("task", "seed", "created_at", "code_version")},
        "examples": tree.sizes["example"],
        "windows": tree.sizes["window"],
        "asleep": int(tree["asleep"].sum()),
        "window_size": attributes["window_size"],
        "n_sleep": attributes["n_sleep"],
        "layers": tree["states"].coords["layer"].values.tolist(),
        "groups": groups_of(tree),
    }
    if as_json:
        print(json.dumps(record))
        return 0
    model, seed = record["checkpoint"] or "a model without a name", record["seed"]
    print(f"{target}: {record['schema']}, {_size(record['bytes'])}")
    print(f"  model     {model} {record['checkpoint_sha256'][:12]}".rstrip())
    drawn = "" if seed < 0 else f", seed {seed}"
    print(f"  examples  {record['examples']} of {record['task'] or 'no named task'}{drawn}")
    print(
        f"  windows   {record['windows']} of at most {record['window_size']} tokens, "
        f"{record['asleep']} slept on at N = {record['n_sleep']}"
    )
    print(f"  layers    {', '.join(map(str, record['layers']))}")
    print(f"  recorded  {record['created_at']}, version {record['code_version']}")
    for name, size in record["groups"].items():
        held = ", ".join(_sizes(tree, name))
        print(f"  /{name:13} {_size(size):>9}  {held}")
    return 0


def _zipped(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK"
    except OSError:
        return True  # the reader says why it cannot be read


def _sizes(tree: Any, group: str) -> list[str]:
    """Return each variable of a group with its axes, those inside it too."""
    return [
        f"{name} ({', '.join(map(str, values.sizes.values()))})"
        for node in tree[group].subtree
        for name, values in node.data_vars.items()
    ]


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _tiers(text: str) -> tuple[str, ...]:
    names = () if text == "none" else tuple(text.split(","))
    unknown = [name for name in names if name not in TIERS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} cannot be kept; expected some of {','.join(TIERS)}, or none"
        )
    return names


def _indices(text: str) -> tuple[int, ...]:
    if not all(word.isdecimal() and word.isascii() for word in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of indices, such as 3,7")
    return tuple(map(int, text.split(",")))

"""Train every bundled checkpoint over its seeds; write ``data/results`` and ``data/checkpoints``.

    python data/make.py                      everything that is missing (hours on a laptop CPU)
    python data/make.py --only depo-n8-any --seeds 0
    python data/make.py --collect            no training: results and checkpoints of finished runs
    python data/make.py --first              no training: first queries of the bundled models
    python data/make.py --table              no training: tables of docs/method.md and of the cards

Each run is ``workbench train data/configs/NAME.toml --set training.seed=SEED``, resumed if it was
cut off, skipped if it is finished. Models in `SWEPT` are collected from the runs of a sweep, which
trains them with the arms that they are compared with. The bundled checkpoint is always that of seed
0, never the best.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workbench.errors import WorkbenchError
from workbench.files import write_json, write_text
from workbench.tasks import EVALUATION, draw
from workbench.tasks.base import repeated_share
from workbench.tasks.phrases import measure_of
from workbench.training.card import markdown, render_card, with_interval
from workbench.training.checkpoints import Checkpoint, bundle_checkpoint, load_checkpoint
from workbench.training.evaluation import BLIND, evaluate, score_without_context
from workbench.training.run_folder import finished
from workbench.training.statistics import seed_intervals

DATA = Path(__file__).resolve().parent
BEGIN, END = "<!-- results -->", "<!-- /results -->"
FIRST_BEGIN, FIRST_END = "<!-- first -->", "<!-- /first -->"
CLOSE = 0.003
"""Largest difference, in shares of queries, that other kernels have made to a recorded score."""
SEEDS_TITLE = "## Over training seeds"
NO_CONTEXT = "no context"
SEEDS = (0, 1, 2)
KEPT = ("accuracy", "exact", "interval", "first", "bits")
"""What the results keep of a test at one N."""
SWEPT = {
    "depo-n8-held-out-any": "depo-n8-held-out.random_n-n4-isolatedTrue",
    "depo-n8-held-out-n1": "depo-n8-held-out.sleep-n1-isolatedTrue",
    "depo-n8-held-out-n4": "depo-n8-held-out.sleep-n4-isolatedTrue",
    "text-names": "text-names.sleep-n2",
    "variables-story": "variables-story.sleep-n4",
}
"""Models that a sweep trains: the runs of the arm, which begin with the sweep's name."""


def main() -> None:
    """Read the options, train what is missing, collect what is finished."""
    names = sorted(path.stem for path in (DATA / "configs").glob("*.toml"))
    bundled = sorted(path.name for path in (DATA / "checkpoints").iterdir() if path.is_dir())
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=names, default=bundled, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--collect", action="store_true", help="do not train")
    parser.add_argument(
        "--table", action="store_true", help="only rewrite the tables of docs and cards"
    )
    parser.add_argument(
        "--first", action="store_true", help="only measure the first queries of bundled models"
    )
    options = parser.parse_args()
    if options.first:
        for name in options.only:
            add_first(name)
        return
    if options.table:
        path = DATA.parent / "docs" / "method.md"
        write_text(path, with_tables(path.read_text(encoding="utf-8"), read_results()))
        for record in read_results():
            card = DATA / "checkpoints" / record["name"] / "card.md"
            write_text(card, with_seeds(card.read_text(encoding="utf-8"), record))
        return
    if not options.collect:
        jobs = [(name, seed) for seed in options.seeds for name in options.only]
        with ThreadPoolExecutor(options.jobs) as pool:
            done = list(pool.map(lambda job: train(*job, options.runs), jobs))
        if not all(done):
            raise SystemExit("some runs failed: see their logs; nothing was collected")
    for name in options.only:
        collect(name, options.seeds, options.runs)


def run_folder(name: str, seed: int, runs: Path) -> Path:
    """Return where a run lives."""
    return runs / f"{SWEPT.get(name, name)}-seed{seed}"


def sweep_command(name: str) -> str:
    """Return the command that trains a model of `SWEPT`."""
    return f"workbench sweep data/sweeps/{SWEPT[name].partition('.')[0]}.toml"


def train(name: str, seed: int, runs: Path) -> bool:
    """Train one run in a new process, with a log next to its folder; return whether it finished."""
    folder = run_folder(name, seed, runs)
    if finished(folder):
        return True
    if name in SWEPT:
        print(f"{folder.name} is missing: {sweep_command(name)}", flush=True)
        return False
    config = str(DATA / "configs" / f"{name}.toml")
    command = [sys.executable, "-m", "workbench.cli", "train", config]
    command += ["--set", f"training.seed={seed}", "--out", str(folder), "--resume"]
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / f"{folder.name}.log").open("a", encoding="utf-8") as log:
        print(f"training {folder.name}", flush=True)
        code = subprocess.run(command, stdout=log, stderr=log, env=os.environ).returncode
    print(f"{'finished' if code == 0 else f'FAILED ({code})'} {folder.name}", flush=True)
    return code == 0


def collect(name: str, seeds: list[int], runs: Path) -> None:
    """Add the finished seeds' own evaluations to the results; bundle seed 0."""
    folders = {s: run_folder(name, s, runs) for s in seeds if finished(run_folder(name, s, runs))}
    if not folders:
        print(f"{name}: no finished run")
        return
    path = DATA / "results" / f"{name}.json"
    # seeds recorded before stay, unless they were run again
    entries = json.loads(path.read_text(encoding="utf-8"))["seeds"] if path.exists() else {}
    for seed, folder in folders.items():
        checkpoint = load_checkpoint(folder)
        metrics = measured(checkpoint)
        entries[str(seed)] = seed_entry(checkpoint.provenance, metrics)
        chance = dict(next(iter(metrics["passes"].values()))["chance"])
        chance.pop(BLIND, None)
        if seed == 0:
            bundle_checkpoint(
                folder,
                name,
                DATA / "checkpoints" / name,
                command=sweep_command(name)
                if name in SWEPT
                else f"workbench train data/configs/{name}.toml --set training.seed=0",
                metrics=metrics,
            )
    entries = {seed: entries[seed] for seed in sorted(entries, key=int)}
    scores = [seed_scores(entry) for entry in entries.values()]
    result = {
        "name": name,
        "config": f"data/configs/{name}.toml",
        **{key: metrics[key] for key in ("task", "difficulty", "count")},
        "evaluation_seed": metrics["seed"],
        "chance": chance,
        "over_seeds": over_seeds(scores),
        "seeds": entries,
    }
    write_json(path, result)
    card = DATA / "checkpoints" / name / "card.md"
    write_text(card, with_seeds(card.read_text(encoding="utf-8"), result))
    print(f"{name}: {len(entries)} seeds")


def add_first(name: str) -> None:
    """Measure a bundled model's first queries; add them to its provenance, card and results.

    On the examples that its recorded scores are from, with the same weights: those scores stay as
    they are, and are checked.
    """
    folder = DATA / "checkpoints" / name
    checkpoint = load_checkpoint(folder)
    record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    metrics = record["metrics"]
    found = evaluate(
        checkpoint.model,
        checkpoint.task,
        checkpoint.sleep,
        passes=tuple(int(n) for n in metrics["passes"]),
        count=metrics["count"],
        seed=metrics["seed"],
        latency=False,
    )
    for n, entry in metrics["passes"].items():
        for level, share in entry["accuracy"].items():
            if abs(found[n]["accuracy"][level] - share) > CLOSE:
                raise WorkbenchError(
                    f"{name} scores {found[n]['accuracy'][level]} at N = {n}, level {level}",
                    f"its recorded {share}, but for rounding",
                    "find out what has changed",
                )
        entry["first"], entry["chance"] = found[n]["first"], found[n]["chance"]
    metrics["repeated"] = repeated_share(checkpoint.task, checkpoint.experiment.training.sequences)
    write_json(folder / "provenance.json", record)
    path = DATA / "results" / f"{name}.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    chance = dict(next(iter(metrics["passes"].values()))["chance"])
    result["seeds"]["0"]["without_context"] = chance.pop(BLIND)
    result["chance"] = chance
    for n, entry in metrics["passes"].items():
        result["seeds"]["0"]["passes"][n]["first"] = entry["first"]
    write_json(path, result)
    card = render_card(checkpoint.provenance | record, checkpoint.experiment)
    write_text(folder / "card.md", with_seeds(card, result))
    print(f"{name}: first queries measured")


def seed_entry(provenance: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what the results keep of one seed."""
    passes = metrics["passes"]
    blind = next(iter(passes.values()))["chance"].get(BLIND)
    return {
        "commit": provenance["commit"],
        "budget": provenance["budget"],
        "weights_sha256": provenance["hashes"]["model.safetensors"],
        "passes": {n: {k: v for k, v in e.items() if k != "chance"} for n, e in passes.items()},
        **({"without_context": blind} if blind else {}),
    }


def measured(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return a run's own metrics, with the score of the same model without the context, if any.

    Latency is left out: it was measured while another run had the other core.
    """
    metrics = checkpoint.provenance["metrics"]
    task, count = checkpoint.task, metrics["count"]
    batch = draw(task, count, metrics["seed"], 0, EVALUATION)
    blind = score_without_context(checkpoint.model, batch, task, checkpoint.sleep)
    assert blind or batch.loss_mask[:, : task.context_tokens].any()  # a text has no context
    passes = {}
    for n, entry in metrics["passes"].items():
        kept = {key: entry[key] for key in KEPT if key in entry}
        passes[n] = kept | {"chance": entry["chance"] | ({BLIND: blind} if blind else {})}
    return {**metrics, "passes": passes}


def seed_scores(entry: dict[str, Any]) -> dict[str, Any]:
    """Return one seed's scores by N, and without the context if that is recorded."""
    blind = entry.get("without_context")
    return entry["passes"] | ({NO_CONTEXT: blind} if blind else {})


def over_seeds(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean, standard deviation and 95 % t interval over seeds, for each N."""
    summary: dict[str, Any] = {}
    for n in results[0]:
        levels = results[0][n]["accuracy"]
        summary[n] = {
            "accuracy": {v: spread([r[n]["accuracy"][v] for r in results]) for v in levels},
            "exact": spread([r[n]["exact"] for r in results]),
        }
        if bits := results[0][n].get("bits"):
            summary[n]["bits"] = {
                g: spread([r[n]["bits"][g]["bits"] for r in results]) for g in bits
            }
    return summary


def spread(values: list[float]) -> dict[str, Any]:
    """Return mean, standard deviation (ddof 1), 95 % t interval and the values themselves."""
    several, found = len(values) > 1, seed_intervals(np.array(values))
    return {
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)) if several else None,
        "interval": [float(found.low), float(found.high)] if several else None,
        "values": values,
    }


def read_results() -> list[dict[str, Any]]:
    """Return every record of ``data/results``, by name."""
    paths = sorted((DATA / "results").glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def with_tables(text: str, results: list[dict[str, Any]]) -> str:
    """Return a document with everything between its result marks written again."""
    alike: dict[str, list[dict[str, Any]]] = {}
    for record in results:  # of one task, and with the same chance lines
        alike.setdefault(record["task"] + json.dumps(record["chance"]), []).append(record)
    tables = [table(records) for records in alike.values()]
    text = between(text, BEGIN, END, "\n\n".join(tables))
    return between(text, FIRST_BEGIN, FIRST_END, first_table(results))


def between(text: str, begin: str, end: str, content: str) -> str:
    """Return a document with what stands between two marks replaced."""
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise WorkbenchError(
            "a document without result marks", f"{begin} and {end}", "put the two marks back"
        )
    return f"{before}{begin}\n{content}\n{end}{after}"


def first_table(results: list[dict[str, Any]]) -> str:
    """Return a Markdown table of first queries: the bundled Depo models, seed 0, each N tested."""
    records = [r for r in results if r["task"] == "depo"]
    levels = list(records[0]["over_seeds"][NO_CONTEXT]["accuracy"])
    rows = [["model", "tested at N", *(f"hops {level}" for level in levels)]]
    for record in records:
        for n, entry in record["seeds"]["0"]["passes"].items():
            first = entry["first"]
            cells = (with_interval(first["accuracy"][v], first["interval"][v]) for v in levels)
            rows.append([f"`{record['name']}`", n, *cells])
    return markdown(rows)


def with_seeds(card: str, record: dict[str, Any]) -> str:
    """Return a card that ends with every training seed's accuracy at the N where they do best.

    The weights in the folder are those of seed 0; a reader has to see what the others did.
    """
    asked = {n: e for n, e in record["over_seeds"].items() if n != NO_CONTEXT}
    show = shown(record)
    best = max(asked, key=lambda n: show.merit(asked[n]))
    rows = [["seed", *show.heads]]
    for i, seed in enumerate(record["seeds"]):
        rows.append([seed, *(f"{one['values'][i]:.3f}" for one in show.summaries(asked[best]))])
    text = (
        f"The same configuration with other seeds, tested at N = {best} (the best N of their "
        "mean). The weights here are seed 0's, whatever the others did."
    )
    if len(record["seeds"]) == 1:
        text = f"No other seed has been trained yet. Tested at N = {best}:"
    before = card.partition(SEEDS_TITLE)[0].rstrip()
    return f"{before}\n\n{SEEDS_TITLE}\n\n{text}\n\n{markdown(rows)}\n"


def table(results: list[dict[str, Any]]) -> str:
    """Return a Markdown table: mean over seeds, and the lowest and highest seed in brackets."""
    show = shown(results[0])
    rows = [["model", "seeds", "tested at N", *show.heads]]
    for record in results:
        for n, entry in record["over_seeds"].items():
            cells = map(cell, show.summaries(entry))
            rows.append([f"`{record['name']}`", str(len(record["seeds"])), n, *cells])
    text = markdown(rows)
    for name, line in show.chance.items():
        values = [f"{line['accuracy'][level]:.3f}" for level in entry["accuracy"]]
        values.append("" if line["exact"] is None else f"{line['exact']:.3f}")
        text += f"\n| *{name}* | | | {' | '.join(values)} |"
    return text


class Shown(NamedTuple):
    """What tables show of a record.

    - heads: of `summaries`.
    - summaries: what is shown of one entry of ``over_seeds``.
    - merit: how good an entry is; more is better.
    - chance: lines to compare with, by name.
    """

    heads: list[str]
    summaries: Callable[[dict[str, Any]], list[dict[str, Any]]]
    merit: Callable[[dict[str, Any]], float]
    chance: dict[str, Any]


def shown(record: dict[str, Any]) -> Shown:
    """Return bits by group, all tokens first; or else accuracy by difficulty, and exact."""
    entry = next(iter(record["over_seeds"].values()))
    if bits := entry.get("bits"):
        heads = [f"{measure_of(record['task'])}, {group}" for group in bits]
        whole = next(iter(bits))
        return Shown(
            heads, lambda e: list(e["bits"].values()), lambda e: -e["bits"][whole]["mean"], {}
        )
    heads = [*(f"{record['difficulty']} {level}" for level in entry["accuracy"]), "exact"]
    return Shown(
        heads,
        lambda e: [*e["accuracy"].values(), e["exact"]],
        lambda e: e["exact"]["mean"],
        record["chance"],
    )


def cell(summary: dict[str, Any]) -> str:
    """Return a mean and, where there are several seeds, their range."""
    values = summary["values"]
    text = f"{summary['mean']:.3f}"
    return text if len(values) == 1 else f"{text} [{min(values):.3f}, {max(values):.3f}]"


if __name__ == "__main__":
    main()

"""Change files at random and read them: no reader may fail, hang, or accept what was altered.

``python3 run.py fuzz`` writes small samples of every kind of file that is read, changes each many
times (bits, lengths, values, names, things that are not files) and calls the public readers. It
prints how often each kind of file came to which end, and exits with 1 if a reader failed, hung, or
accepted other content where a digest protects it. The same seed makes the same changes.

To add a kind of file, add an entry to `KINDS`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from damage import FILE_CHANGES, TEXT_CHANGES, Change, change_toml
from tiny import tiny_toml
from tiny_backbones import headers_of, make_gguf, make_pretrained

from workbench.errors import WorkbenchError
from workbench.paths import data_folder

REFUSED, SAME, SHOWN, OTHER = "refused", "identical", "shown as damaged", "other content"
FAILED, HUNG, ALTERED = "TRACEBACK", "HANG", "ALTERED"
OUTCOMES = (REFUSED, SAME, SHOWN, OTHER, FAILED, HUNG, ALTERED)
BAD = (FAILED, HUNG, ALTERED)
"""`OTHER` is not among them: a file without a digest may be edited, and holds another value."""
PATIENCE = 60.0
"""Seconds that reading may take; only a hang reaches it."""


@dataclass(frozen=True)
class Reading:
    """What readers made of a sample.

    `content`: Everything that was read, as text; the same for the same content. `damaged`: Whether
    the readers say that something is damaged.
    """

    content: str
    damaged: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of file or folder.

    `make`: Writes a sound sample into an empty folder and returns its path, a file or a folder.
    `read`: Calls the public readers on that path. `changes`: Ways to change the sample; each takes
    its path and a generator and returns what it did. `protected`: Whether a digest covers all
    content, so that other content must not be accepted.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Reading]
    changes: tuple[Change, ...]
    protected: bool = False


# --- samples and readers --------------------------------------------------------------------------

SCORES = {
    "accuracy": {"1": 0.75, "2": 0.5},
    "exact": 0.25,
    "first": {"accuracy": {"1": 0.5, "2": 0.25}, "interval": {"1": [0.4, 0.6], "2": [0.2, 0.3]}},
    "interval": {"accuracy": {"1": [0.7, 0.8], "2": [0.4, 0.6]}, "exact": [0.2, 0.3]},
    "chance": {"uniform guess": {"accuracy": {"1": 0.125, "2": 0.125}, "exact": None}},
    "sleep_ms_per_window": 1.5,
    "wake_ms_per_token": None,
}
LABELS = {
    "sweep": "s", "arm": "sleep", "n_train": "2", "passes": 2, "axes": {"task.nodes": 4}, "seed": 0,
    "cost": {"training": 1e6, "sleep": 1e5, "wake": 1e5}, "identity": "abc",
}  # fmt: skip
CONFIG = tiny_toml(
    sleep={"passes": {"kind": "random", "low": 1, "high": 2}}, training={"steps": 20}
)
START = {"from_step": 0, "created_at": "2026-11-25T00:55:10+00:00", "commit": {"hash": "abc"}}


def make_run(folder: Path) -> Path:
    """Write the folder of a finished run beside a sound one."""
    events: list[dict[str, Any]] = []
    for step in (5, 10, 15, 20):
        events.append({"kind": "step", "step": step, "loss": 1 / step, "seconds": step / 2})
        events.append({"kind": "evaluation", "step": step, "passes": {"1": SCORES, "2": SCORES}})
    for name in ("sound", "changed"):
        run = folder / name
        (run / "checkpoint").mkdir(parents=True)
        (run / "experiment.toml").write_text(CONFIG)
        status = {"state": "finished", "step": 20, "steps": 20, "host": "h", "pid": 1, "started": 1}
        (run / "status.json").write_text(json.dumps(status))
        (run / "labels.json").write_text(json.dumps(LABELS | {"seed": len(name), "identity": name}))
        (run / "origin.json").write_text(json.dumps([START]))
        (run / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
        (run / "note.txt").write_text("worth a second look\n")
        (run / "log.txt").write_text("step 1\nworkbench: all went well\n")
        metrics = {"task": "depo", "difficulty": "hops", "count": 50, "seed": 1}
        metrics |= {"passes": {"1": SCORES, "2": SCORES}}
        (run / "checkpoint" / "provenance.json").write_text(json.dumps({"metrics": metrics}))
    return folder / "changed"


def read_run_folder(path: Path) -> Reading:
    """List a folder of runs, watch it, follow the events, compare, and gather what they know."""
    from workbench.lab.compare import differences
    from workbench.lab.estimate import speeds
    from workbench.lab.queue import need
    from workbench.lab.record import entries_of
    from workbench.lab.results import dataset
    from workbench.lab.runs import list_runs, log_tail, read_events
    from workbench.lab.watch import Watch
    from workbench.views.lab.rows import row

    runs = list_runs(path.parent)
    sound = next(run for run in runs if run.name == "sound")
    assert sound.state == "finished" and sound.problem is None, "the other run is as it was"
    watch = Watch(path.parent)
    assert len(watch.look().runs) == len(runs)
    entries = entries_of(runs)
    names = [entry["name"] for entry in entries]
    assert "sound" in names
    content: list[Any] = [row(run, run.state, {}) | {"changed": 0} for run in runs]
    content += [need(run) for run in runs] + [len(speeds(runs)), log_tail(path)]
    content.append(differences([run.folder for run in runs]))
    content.append([run.labels for run in runs])
    refused = ""
    try:
        content.append(read_events(path))
        content.append(dataset(entries_of(runs)).to_dict())
    except WorkbenchError as error:
        refused = str(error)
    changed = next((run for run in runs if run.name == "changed"), None)
    shown = bool(refused) or changed is None or bool(changed.problem) or "changed" not in names
    return Reading(repr(content), shown)


def make_record(folder: Path) -> Path:
    """Write a record of four runs, cut out of the bundled one."""
    from workbench.files import sealed, write_json

    whole = json.loads((data_folder() / "results" / "sweeps" / "depo-n8.json").read_text())
    arms = [run for run in whole["runs"] if run["labels"]["arm"] == "sleep"]
    whole["runs"] = [run for run in arms if run["labels"]["seed"] < 2][:4]
    path = folder / "record.json"
    write_json(path, sealed(whole))
    return path


def read_record_file(path: Path) -> Reading:
    """Read a record and make its dataset, tables and CSV."""
    from workbench.lab import results
    from workbench.lab.record import read_record
    from workbench.lab.results.questions import answers
    from workbench.lab.results.rows import csv_text

    record = read_record(path)
    record.pop("sha256", None)
    data = results.dataset(record)
    tables = [csv_text(table) for _, table in answers(data, results.final(data))]
    return Reading(repr((record, tables)))


def make_measurement(folder: Path) -> Path:
    """Write the bundled measurement of a lens again."""
    from workbench.measurements.records import read_measurement, write_measurement

    path = folder / "lens.json"
    source = data_folder() / "results" / "instruments" / "lens-depo-n8-any.json"
    write_measurement(path, *read_measurement(source))
    return path


def read_measurement_file(path: Path) -> Reading:
    """Read a measurement and make its tables."""
    from workbench.measurements.catalogue import tables
    from workbench.measurements.records import read_measurement

    data, provenance = read_measurement(path)
    return Reading(repr((data.to_dict(), provenance, tables(data))))


def make_measuring(folder: Path) -> Path:
    """Write the folders of a measurement that is done and of one that failed."""
    from workbench.measurements.jobs import FOLDER

    for name in ("done", "failed"):
        one = folder / FOLDER / name
        one.mkdir(parents=True)
        asked = {"kind": "lens", "checkpoint": "depo-n8-any", "sha256": "0" * 64, "settings": {}}
        (one / "request.json").write_text(json.dumps(asked))
        (one / "status.json").write_text(json.dumps({"host": "h", "pid": 1, "started": 1.0}))
        told = {"done": 1, "total": 2, "began": 1.0}
        (one / "progress.json").write_text(json.dumps(told))
        (one / "log.txt").write_text("workbench: no\n")
    (folder / FOLDER / "done" / "result.json").write_text("{}")
    return folder / FOLDER


def read_measuring(path: Path) -> Reading:
    """List the measurements of a folder of runs, and how far each is."""
    from workbench.measurements.jobs import progress_of
    from workbench.measurements.shelf import own_measurements

    found = own_measurements(path.parent)
    progress = [progress_of(folder) for folder in sorted(path.iterdir())]
    content = [(one.key, one.title, one.words) for one in found]
    return Reading(repr((sorted(content), [(p.state, p.done, p.message) for p in progress])))


def make_config(folder: Path) -> Path:
    """Write a configuration."""
    path = folder / "config.toml"
    path.write_text(CONFIG)
    return path


def read_config(path: Path) -> Reading:
    """Read a configuration, and write it as TOML."""
    from workbench.config import load_experiment, to_toml

    return Reading(to_toml(load_experiment(path)))


def make_tokenizer(folder: Path) -> Path:
    """Train and write a tokenizer."""
    from tiny import trained_tokenizer

    return Path(trained_tokenizer(folder / "tokenizer.json"))


def read_tokenizer(path: Path) -> Reading:
    """Read it as the tokenizer of a task, and split an example."""
    from workbench.tasks import batch_generator, task

    made = task("gsm_infinite", length=600, max_operations=3, tokenizer=str(path))
    batch = made.sample(1, batch_generator(0, 0))
    return Reading(f"{made.vocabulary} {batch.tokens.tolist()} {made.typed(batch, 0)}")


def make_entry(folder: Path) -> Path:
    """Copy what the home page reads of a bundled checkpoint."""
    source = data_folder() / "checkpoints" / "depo-n8-any"
    for name in ("config.toml", "provenance.json"):
        shutil.copy(source / name, folder / name)
    return folder


def read_home_entry(path: Path) -> Reading:
    """Read what the home page says of a checkpoint."""
    from workbench.views.home.catalogue import read_entry

    entry = read_entry("one", path)
    said = (entry.task, entry.trained, entry.accuracy)
    return Reading(repr((said, entry.provenance)), entry.problem is not None)


def make_checkpoint(folder: Path) -> Path:
    return shutil.copytree(data_folder() / "checkpoints" / "depo-n8-n1", folder / "checkpoint")


def read_checkpoint(path: Path) -> Reading:
    from workbench.sleep.session import fingerprint
    from workbench.training.checkpoints import load_checkpoint

    return Reading(repr((fingerprint((found := load_checkpoint(path)).model), found.experiment)))


def tiny() -> tuple[Any, Any]:
    """Return a tiny model, the same every time, and its optimisers."""
    from workbench.config import ModelConfig, TrainingConfig
    from workbench.model import HybridModel
    from workbench.training.optimisers import build_optimisers

    model = HybridModel(ModelConfig(vocabulary=5, width=8, mlp_width=8, key_dim=4, value_dim=4))
    return model, build_optimisers(model, TrainingConfig())


def make_resume_point(folder: Path) -> Path:
    from workbench.training.resume import save_resume_point

    model, optimisers = tiny()
    for parameter in model.parameters():
        parameter.grad = parameter.detach().clone()
    optimisers.step(0)
    save_resume_point(folder, model, optimisers, 1, 2.5)
    return folder / "step-000000001.safetensors"


def read_resume_point(path: Path) -> Reading:
    from workbench.sleep.session import fingerprint
    from workbench.training.resume import restore_resume_point

    model, optimisers = tiny()
    done = restore_resume_point(path, model, optimisers, 6)
    state = {name: tensor.tolist() for name, tensor in optimisers.tensors().items()}
    return Reading(repr((done, fingerprint(model), state)))


def make_session(folder: Path) -> Path:
    import numpy as np

    from workbench.config import SleepConfig
    from workbench.sleep import Session

    session = Session(tiny()[0], SleepConfig(window=4, passes=2, eviction="sliding"), batch=2)
    session.push(np.arange(12).reshape(2, 6) % 5)
    session.save(folder / "session")
    return folder / "session"


def read_session(path: Path) -> Reading:
    from workbench.sleep import Session

    found = Session.restore(tiny()[0], path)
    memory = {name: tensor.tolist() for name, tensor in found.memory.tensors().items()}
    return Reading(repr((found.pending.tolist(), found.sleep, memory)))


def make_trace(folder: Path) -> Path:
    return shutil.copy(data_folder() / "traces" / "depo-n8-n1.zarr.zip", folder / "one.zarr.zip")


def read_trace(path: Path) -> Reading:
    from workbench.trace import load_trace

    return Reading(repr([node.to_dataset().to_dict() for node in load_trace(path).subtree]))


def make_corpus(folder: Path) -> Path:
    """Write a corpus as `workbench get corpora` leaves it, of two short files."""
    lines = [json.dumps({"name": f"{n}.py", "text": "import Rome\n" * 9}) + "\n" for n in range(2)]
    path = folder / "python.jsonl"
    path.write_text("".join(lines))
    path.with_suffix(".sha256").write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def read_corpus_file(path: Path) -> Reading:
    """Read both parts of a prepared corpus, or of a person's text."""
    from workbench.tasks.text.corpora import read_corpus

    os.environ["WORKBENCH_CORPORA"] = str(path.parent)
    name = "python" if path.name == "python.jsonl" else str(path)
    parts = [read_corpus(name, held_out=part) for part in (False, True)]
    return Reading(repr([(part.chapters, sorted(part.names)) for part in parts]))


def make_own_text(folder: Path) -> Path:
    """Write a text that a person trains on."""
    path = folder / "own.txt"
    path.write_text("In Rome, so they said, in Rome alone.\n" * 300)
    return path


KINDS: dict[str, Kind] = {
    "corpus": Kind(make_corpus, read_corpus_file, FILE_CHANGES, protected=True),
    "own text": Kind(make_own_text, read_corpus_file, FILE_CHANGES),
    "run folder": Kind(make_run, read_run_folder, (*TEXT_CHANGES, change_toml)),
    "sweep record": Kind(make_record, read_record_file, TEXT_CHANGES, protected=True),
    "measurement": Kind(make_measurement, read_measurement_file, TEXT_CHANGES, protected=True),
    "measuring": Kind(make_measuring, read_measuring, TEXT_CHANGES),
    "configuration": Kind(make_config, read_config, (*FILE_CHANGES, *[change_toml] * 3)),
    "checkpoint": Kind(make_checkpoint, read_checkpoint, FILE_CHANGES, protected=True),
    "resume point": Kind(make_resume_point, read_resume_point, FILE_CHANGES, protected=True),
    "session": Kind(make_session, read_session, FILE_CHANGES, protected=True),
    "trace": Kind(make_trace, read_trace, FILE_CHANGES, protected=True),
    "pretrained model": Kind(make_pretrained, lambda p: Reading(headers_of(p)), FILE_CHANGES),
    "home entry": Kind(make_entry, read_home_entry, (*TEXT_CHANGES, change_toml)),
}
if find_spec("gguf"):  # the extra `hf`
    KINDS["tokenizer"] = Kind(make_tokenizer, read_tokenizer, TEXT_CHANGES)
    KINDS["GGUF file"] = Kind(make_gguf, lambda path: Reading(headers_of(path)), FILE_CHANGES)


# --- the loop -------------------------------------------------------------------------------------


class Hang(BaseException):
    """Reading took longer than `PATIENCE`."""


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Raise `Hang` where the body takes longer, also while it waits for a pipe."""

    def late(number: int, frame: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def judge(kind: Kind, path: Path, sound: str) -> tuple[str, str]:
    """Read a changed sample; return the outcome, and what there is to say of a bad one."""
    try:
        with no_longer_than(PATIENCE):
            reading = kind.read(path)
    except WorkbenchError as error:
        return (FAILED, f"several lines: {error}") if "\n" in str(error) else (REFUSED, "")
    except Hang:
        return HUNG, ""
    except Exception:
        return FAILED, traceback.format_exc()
    if reading.content == sound:
        return (SHOWN if reading.damaged else SAME), ""
    if reading.damaged:
        return SHOWN, ""
    return (ALTERED, "") if kind.protected else (OTHER, "")


def fuzz(
    count: int, seed: int, names: list[str], tell: Callable[[str], None]
) -> dict[str, Counter[str]]:
    """Change samples `count` times, kind after kind; return how often each came to which end."""
    found: dict[str, Counter[str]] = {name: Counter() for name in names}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as root:
        samples: dict[str, tuple[Path, str]] = {}
        for name in names:
            folder = Path(root) / f"sound {name}"
            folder.mkdir()
            path = KINDS[name].make(folder)
            reading = KINDS[name].read(path)
            assert not reading.damaged, f"{name}: the sample is sound"
            assert KINDS[name].read(path) == reading, f"{name}: two readings agree"
            samples[name] = path.relative_to(folder), reading.content
        for number in range(count):
            name = names[number % len(names)]
            kind, (inside, sound) = KINDS[name], samples[name]
            draw = random.Random(f"{seed} {number}")
            folder = Path(root) / f"{number}"
            shutil.copytree(Path(root) / f"sound {name}", folder)
            done = draw.choice(kind.changes)(folder / inside, draw)
            outcome, said = judge(kind, folder / inside, sound)
            found[name][outcome] += 1
            if outcome in BAD:
                tell(f"{name}, change {number} ({done}): {outcome}\n{said}")
            shutil.rmtree(folder)
    return found


def table(found: dict[str, Counter[str]]) -> str:
    """Return the counts as text in columns."""
    rows = [["", *OUTCOMES]]
    rows += [[name, *(str(counts[o]) for o in OUTCOMES)] for name, counts in found.items()]
    total: Counter[str] = sum(found.values(), Counter())
    rows.append(["all", *(str(total[o]) for o in OUTCOMES)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        f"{first:{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        for first, *cells in rows
    )


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="run.py fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="changes; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    parser.add_argument("--kind", action="append", choices=KINDS, help="this kind alone")
    options = parser.parse_args()
    limit_memory(8 * 2**30)
    began = time.monotonic()
    found = fuzz(options.count, options.seed, options.kind or list(KINDS), print)
    print(table(found))
    print(f"{options.count} changes in {time.monotonic() - began:.0f} s, seed {options.seed}")
    return int(any(counts[outcome] for counts in found.values() for outcome in BAD))


def limit_memory(size: int) -> None:
    """Let a reader that takes everything fail instead of the machine."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    sys.exit(main())

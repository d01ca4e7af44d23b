"""On a GPU: are the kernels right there, and what does a retrofit of SmolLM2 reach in minutes.

    python3 run.py gpu-retrofit --split models/SmolLM2-135M-Instruct.Q4_1.gguf --parts PARTS
    python3 run.py gpu-retrofit [--parts PARTS] [--minutes 9] [--out FOLDER] [--json FILE]
    python3 run.py gpu-retrofit --toy

The first line cuts the weights into parts of 60 MiB, with hashes; the second joins them on the
other machine. Then, within the minutes given: the shortest of `gpu-check`, and four retrofits, on
word problems and on swapped names (which need the King James Bible of `workbench get corpora`),
each with N = 1 and N = 4. Run again with the same folder, it goes on where it was. ``--toy`` does
all of it but the kernels' check with a tiny random model on the CPU.

Exit codes: 0 every retrofit ended; 1 the kernels are wrong; 2 no GPU, or a file is missing; 3 out
of time: run it again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from _measure import LATEST, machine, write  # noqa: E402
from _parts import DamagedParts, join, split  # noqa: E402

CHECK_SHARE = 0.25
"""Share of the time for the kernels' check."""
PASSES = (1, 4)
REAL: dict[str, Any] = {
    "retrofit": {"base": "smollm2-135m", "after": [4, 9, 14, 19, 24, 29], "start": "induction"},
    "sleep": {"loop": [12, 24]},
    "training": {
        "steps": 300, "batch_size": 32, "muon_lr": 0.01, "adamw_lr": 0.005, "warmup": 20,
        "decay": "linear", "decay_fraction": 0.5, "log_every": 10, "checkpoint_every": 25,
        "eval_count": 256, "device": "cuda", "dtype": "bfloat16",
    },
}  # fmt: skip
TOY: dict[str, Any] = {
    "retrofit": {"after": [0, 1], "start": "induction"},
    "sleep": {"loop": [1, 4]},
    "training": {"steps": 2, "batch_size": 2, "eval_count": 4, "checkpoint_every": 1},
}
TASKS: dict[str, dict[str, Any]] = {
    "word problems": {
        "task": {
            "name": "gsm_infinite", "min_operations": 2, "max_operations": 4, "length": 192,
            "modulus": 10, "constants": 9, "questions": 2, "question": "last", "places": 4,
            "things": 4,
        },
        "sleep": {"window": 192},
    },
    "swapped names": {
        "task": {"name": "text", "window": 64, "windows": 4, "recalled": 1},
        "sleep": {"window": 64, "order": "predict_then_sleep"},
    },
}  # fmt: skip


def experiment(name: str, passes: int, sizes: dict[str, Any], **task: Any) -> Any:
    """Return the configuration of one retrofit, with settings of its task changed."""
    from workbench.config import Experiment, build

    part = TASKS[name]
    tested = [0, 1, 2, 4] if part["sleep"].get("order") else [1, 2, 4]
    data = {
        "retrofit": sizes["retrofit"],
        "sleep": {**sizes["sleep"], **part["sleep"], "passes": passes},
        "task": {**part["task"], "tokenizer": sizes["retrofit"]["base"], **task},
        "training": {**sizes["training"], "final_passes": tested},
    }
    return build(Experiment, data, source=name)


def retrofit(name: str, passes: int, made: Any, folder: Path, until: float) -> dict[str, Any]:
    """Train one retrofit until `until` at most; return where it stands, and what it scored."""
    from workbench.training.loop import train
    from workbench.training.run_files import read_ended

    losses: list[float] = []
    began, first = time.monotonic(), []

    def note(progress: Any) -> None:
        losses.append(progress.loss)
        first.append(progress.step)

    outcome = train(
        made, folder, resume=True, stop=lambda: time.monotonic() > until, on_progress=note
    )
    seconds = time.monotonic() - began
    entry = {"task": name, "passes": passes, "outcome": outcome, "seconds": round(seconds, 1)}
    if losses:
        entry |= {"steps": f"{first[0]} to {first[-1]}", "loss": losses[-1]}
    if outcome == "finished":
        record = read_ended(folder)
        entry |= {"budget": record["budget"], "metrics": record["metrics"]["passes"]}
    return entry


def check_kernels(minutes: float, out: Path) -> tuple[int, Any]:
    """Run `gpu-check` for some minutes; return its exit code and what it wrote."""
    path = out / "gpu-check.json"
    command = [sys.executable, "-P", str(HERE / "gpu_check.py"), "--minutes", f"{minutes:.1f}"]
    code = subprocess.run([*command, "--json", str(path)], check=False).returncode
    return code, json.loads(path.read_text()) if path.is_file() else None


def make_toy(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Write a tiny random model and a corpus; return sizes, and settings of the tasks."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM

    from workbench.tasks.text.names import random_name

    random = Random(0)
    names = [random_name(random) for _ in range(12)]
    lines = (f"and {random.choice(names)} begat {random.choice(names)}." for _ in range(900))
    (folder / "corpus.txt").write_text("\n".join(lines))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([(folder / "corpus.txt").read_text()], trainer)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4}
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        config = LlamaConfig(
            **sizes, num_hidden_layers=3, num_key_value_heads=2, vocab_size=400,
            pad_token_id=None, bos_token_id=None, eos_token_id=None,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder / "base")
    tokenizer.save(str(folder / "base" / "tokenizer.json"))
    base = {"base": str(folder / "base")}
    corpus = {"corpus": str(folder / "corpus.txt")}
    longer = {"length": 1024, "min_operations": 1, "max_operations": 2}  # few words are tokens
    tasks = {"word problems": longer, "swapped names": corpus}
    return TOY | {"retrofit": TOY["retrofit"] | base}, tasks


def run(options: argparse.Namespace, out: Path) -> tuple[int, dict[str, Any]]:
    """Do all of it; return the exit code and the record."""
    began = time.monotonic()
    deadline = began + 60 * options.minutes
    sizes, tasks = REAL, dict.fromkeys(TASKS, {})
    record: dict[str, Any] = {"machine": machine("torch", "transformers"), "retrofits": []}
    if options.toy:
        toy = out / "toy"
        toy.mkdir(parents=True, exist_ok=True)
        sizes, tasks = make_toy(toy)
    else:
        import torch

        if not torch.cuda.is_available():
            print("gpu-retrofit: no CUDA device; expected an NVIDIA GPU, or --toy", file=sys.stderr)
            return 2, record
        record["gpu"] = torch.cuda.get_device_name()
        if options.parts is not None:
            os.environ["WORKBENCH_MODELS"] = str(join(options.parts, out / "models").parent)
        code, record["gpu_check"] = check_kernels(CHECK_SHARE * options.minutes, out)
        if code == 1:
            return 1, record
    wanted = [(name, passes) for name in TASKS for passes in PASSES]
    for number, (name, passes) in enumerate(wanted):
        now = time.monotonic()
        until = now + (deadline - now) * 0.9 / (len(wanted) - number)  # the rest evaluates
        made = experiment(name, passes, sizes, **tasks[name])
        folder = out / f"{name.replace(' ', '-')}-n{passes}"
        entry = retrofit(name, passes, made, folder, until)
        record["retrofits"].append(entry)
        print({k: v for k, v in entry.items() if k not in ("metrics", "budget")}, flush=True)
    whole = all(entry["outcome"] == "finished" for entry in record["retrofits"])
    record["seconds"] = round(time.monotonic() - began, 1)
    return (0 if whole else 3), record


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--toy", action="store_true", help="a tiny random model on the CPU")
    parser.add_argument("--parts", type=Path, help="folder of the parts of the weights")
    parser.add_argument("--split", type=Path, metavar="FILE", help="cut a file into --parts")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu-retrofit"))
    parser.add_argument("--json", type=Path, default=LATEST / "gpu_retrofit.json")
    options = parser.parse_args()
    from workbench.errors import WorkbenchError

    try:
        if options.split is not None:
            for part in split(options.split, options.parts or options.split.parent / "parts"):
                print(part)
            return 0
        if options.toy:
            with tempfile.TemporaryDirectory() as folder:
                code, record = run(options, Path(folder))
        else:
            code, record = run(options, options.out)
    except (DamagedParts, WorkbenchError, OSError) as error:
        print(f"gpu-retrofit: {error}", file=sys.stderr)
        return 2
    write(options.json, record)
    return code


if __name__ == "__main__":
    sys.exit(main())

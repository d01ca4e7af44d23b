"""A long text in a stream: memory does not grow with it, nor the time of an answer with N.

    python3 run.py bench streaming [--model NAME] [--tokens 20000] [--repeats 20] [--json FILE]

A model without fast weights gets untrained layers (`insert`): what they cost is that of trained
ones. Each peak of memory is that of a process of its own. Awake, a token is timed at N = 1, 2, 4 in
turns, after a sleep in N passes: processor time of the one thread, which other work does not
lengthen. A stream that does not hold the memory of a `Session` is not timed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is imported

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import psutil  # noqa: E402
import torch  # noqa: E402
from _measure import LATEST, machine, summary, write  # noqa: E402

import workbench  # noqa: E402
from workbench.backbones.backbone import insert  # noqa: E402
from workbench.config import SleepConfig  # noqa: E402
from workbench.sleep import Session, generate  # noqa: E402
from workbench.sleep.generation import _entered, _read_awake  # noqa: E402
from workbench.sleep.stream import TextStream  # noqa: E402

PASSES = (1, 2, 4)
AFTER = (4, 9, 14, 19, 24, 29)
LOOP = (10, 20)


def opened(name: str) -> tuple[Any, Any, tuple[int, int] | None]:
    """Return a model, its text and the blocks it loops."""
    loaded: Any = workbench.load(name)
    model = loaded.model
    if hasattr(loaded, "task"):
        from workbench.notebook.streams import TaskText

        return model, TaskText(loaded.task), loaded.sleep.loop
    if model.fast_weight_layers:
        return model, loaded.text, None
    model = insert(model.base, "gated_delta", AFTER).requires_grad_(False)
    return model, loaded.text, model.range_of(*LOOP)


def streamed(options: argparse.Namespace) -> dict[str, Any]:
    """Stream tokens in one pass a window; return peak memory before and after, and sizes."""
    model, text, loop = opened(options.model)
    stream = TextStream(model, text, SleepConfig(window=options.window, passes=1, loop=loop))
    tokens = np.random.default_rng(0).integers(0, model.vocabulary, (1, options.tokens))
    began, process = time.perf_counter(), psutil.Process()
    loaded, sizes = process.memory_info().rss, []
    for start in range(0, options.tokens, options.window):
        stream.push(tokens[:, start : start + options.window])
        sizes.append(process.memory_info().rss)
    cache = model.blocks(model.embed(torch.zeros(1, 1, dtype=torch.long)), model.empty_memory(1))[1]
    each = sum(c.keys.nbytes + c.values.nbytes for c in cache.kv.values())
    return {
        "tokens": options.tokens,
        "rss_after_loading": loaded,
        "rss_most": max(sizes),
        "rss_by_window": sizes,
        "memory_bytes": stream.memory.nbytes,
        "record_bytes": sum(s.tokens.nbytes for s in stream.slept),
        "kv_bytes_of_full_attention": each * options.tokens,
        "seconds": time.perf_counter() - began,
    }


def gate(model: Any, text: Any, sleep: SleepConfig) -> None:
    """End unless a stream holds what a session holds, and predicts what its answer does."""
    tokens = np.random.default_rng(1).integers(0, model.vocabulary, (1, 3 * sleep.window // 2))
    stream, session = TextStream(model, text, sleep), Session(model, sleep)
    stream.push(tokens)
    session.push(tokens)
    held = (one.memory.fast_weights.values() for one in (stream, session))
    same = all(torch.equal(*pair) for pair in zip(*held, strict=True))
    made = next(generate(stream, tokens[:, :0], 1, temperature=0)).logits
    last, session.pending = session.pending[:, -1:], session.pending[:, :-1]
    session.private = session.private[:-1]
    if not same or not torch.allclose(made, session.answer(last)[:, 0], rtol=0, atol=1e-2):
        raise SystemExit("the stream does not hold the memory of a session; not timed")


def latency(options: argparse.Namespace) -> dict[str, Any]:
    """Return seconds of a token awake by N, in turns, and their ratios to N = 1, round by round."""
    model, text, loop = opened(options.model)
    states = {}
    for n in PASSES:
        sleep = SleepConfig(window=options.window, passes=n, loop=loop)
        if n == PASSES[0]:
            gate(model, text, SleepConfig(window=32, passes=2, loop=loop))
        session = Session(model, sleep)
        tokens = np.random.default_rng(0).integers(0, model.vocabulary, (1, options.window))
        session.push(tokens)
        states[n] = session
    times: dict[int, list[float]] = {n: [] for n in PASSES}
    token = np.array([[5]])
    with torch.no_grad():
        for repeat in range(options.repeats + 1):
            for n in np.roll(PASSES, repeat).tolist():  # each is first as often
                caches = _entered(states[n])
                _, caches = _read_awake(states[n], token, caches)
                began = time.process_time()
                for _ in range(4):
                    _, caches = _read_awake(states[n], token, caches)
                if repeat:  # the first round warms
                    times[n].append((time.process_time() - began) / 4)
    ratios = {}
    for n in PASSES[1:]:
        values = np.array(times[n]) / np.array(times[PASSES[0]])
        low, median, high = np.percentile(values, [25, 50, 75]).tolist()
        ratios[str(n)] = {"median": median, "quartiles": [low, high]}
    return {"wake": {str(n): summary(t) for n, t in times.items()}, "ratio_to_n1": ratios}


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", type=Path, default=LATEST / "streaming-cpu.json")
    parser.add_argument("--one", choices=("streamed", "latency"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(json.dumps(globals()[options.one](options)))
        return
    facts = machine("torch", "transformers")

    def apart(one: str, tokens: int) -> dict[str, Any]:
        given = ["--model", options.model, "--window", options.window, "--repeats", options.repeats]
        command = [sys.executable, __file__, "--one", one, "--tokens", tokens, *given]
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, check=True)
        return dict(json.loads(done.stdout.splitlines()[-1]))

    memory = [apart("streamed", tokens) for tokens in (options.tokens // 10, options.tokens)]
    for one in memory:
        print(
            f"{one['tokens']:>7,} tokens: at most {one['rss_most'] / 2**20:,.0f} MiB, of which "
            f"{one['memory_bytes'] / 2**20:.2f} MiB cross a sleep; full attention would keep "
            f"{one['kv_bytes_of_full_attention'] / 2**20:,.0f} MiB; {one['seconds']:.0f} s"
        )
    found = apart("latency", options.tokens)
    for n, ratio in found["ratio_to_n1"].items():
        low, high = ratio["quartiles"]
        print(f"a token awake, N = {n} against 1: {ratio['median']:.3f} [{low:.3f}, {high:.3f}]")
    record = {"machine": facts, "model": options.model, "window": options.window, "memory": memory}
    write(options.json, record | found)


if __name__ == "__main__":
    main()

"""Everything that needs a real GPU: are the kernels right there, and how fast are they.

    python3 run.py gpu-check [--minutes 9] [--json FILE]

Needs a CUDA device and nothing from the network. In this order:

- the kernels that the rest needs are compiled by several processes at once, into Triton's cache;
- every kernel in bfloat16, float16 and float32 against the token-by-token recurrence in float64,
  bare and with all that the model fuses into it, on random, identical and near-collinear keys and
  over 16 chained passes; a covering subset of sizes, the model's own first;
- the paper's Rule 110 training step for N = 1..4, from a CUDA graph against the same step without:
  the losses have to agree, then tokens a second and peak memory of both;
- the kernels against flash-linear-attention's (if it is installed) on the same tensors, eager and
  under CUDA graphs, each behind its own correctness gate.

What is wrong is never timed. Exit codes: 0 timed; 1 something is wrong; 2 no GPU or no Triton;
3 nothing was timed for want of time. ``incomplete`` in the JSON says whether anything was left out.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch  # noqa: E402
from _gpu_cases import (  # noqa: E402
    Case,
    Leaves,
    Rule,
    case_inputs,
    cases,
    check,
    error_over_budget,
    inputs,
    outcome,
    run_rule,
)  # fmt: skip
from _measure import RESULTS, machine, ratio, summary, write  # noqa: E402
from torch import Tensor  # noqa: E402

import sleep_kernels  # noqa: E402

TIMED_TOKENS, TIMED_DIMS = (24, 64, 16, 128, 512), (64, 32, 128, 16)
BATCH, HEADS = 64, 4
CHECKS_SHARE, WARM_SHARE = 5 / 9, 3 / 9
"""Shares of the time by which checks, and the compilation before them, have to end."""
COMPARED = 5
LOSS_TOLERANCE = COMPARED * 2**-8
"""Relative difference of two losses: bfloat16's rounding, 2**-8, once for every step so far."""


def run_checks(record: dict[str, Any], wanted: Iterable[Case], device: str, until: float) -> None:
    """Check one case after the other until `until`; the others are named in the record."""
    for case in wanted:
        if time.monotonic() > until:
            record["skipped"].append(f"check {tuple(case)}")
            continue
        entry = check(case, device)
        record["checks"].append(entry)
        if not entry["ok"]:
            record["wrong"].append(f"check {tuple(case)}")
            print(f"WRONG {entry}", flush=True)


def checked(record: Mapping[str, Any], **fields: Any) -> bool:
    """Return whether some check with these fields was made and passed."""
    return any(e["ok"] and fields.items() <= e.items() for e in record["checks"])


# --- compiling beforehand ----------------------------------------------------------------------


def warm_jobs(has_fla: bool) -> list[Callable[[], object]]:
    """Return calls that between them compile every kernel the rest of the run needs."""

    def one(case: Case) -> list[Tensor]:
        run = partial(run_rule, case.rule, backend="triton")
        return outcome(case_inputs(case, "cuda"), run)

    def peer(tokens: int, dim: int) -> None:
        forward_backward(timed_inputs(tokens, dim, batch=2), run_fla)()

    kernels = dict.fromkeys(c._replace(kind="random", passes=1) for c in cases())
    found: list[Callable[[], object]] = [partial(paper_step, 2, False, steps=1)]
    found += [partial(one, case) for case in kernels]
    if has_fla:
        sizes = itertools.product((24, 64), TIMED_DIMS)  # fla's chunks: 32 tokens, 64 tokens
        found += [partial(peer, tokens, dim) for tokens, dim in sizes]
    return found


def warm_part(part: str) -> int:
    """Do one process's share of the jobs, ``K/N``; return how many failed."""
    index, count = map(int, part.split("/"))
    failed = 0
    for job in warm_jobs(fla_serves())[index::count]:
        try:
            job()
        except Exception as error:  # the check of the same kernel reports it
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            failed += 1
    return min(failed, 100)


def warm(until: float, processes: int) -> dict[str, Any]:
    """Compile in `processes` processes at once into Triton's cache on disk, at most until `until`.

    Returns
    -------
    dict
        Processes, seconds, and how many processes met an error or were ended for want of time.
    """
    began = time.monotonic()
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--warm"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [
        subprocess.Popen([*command, f"{index}/{processes}"], **quiet) for index in range(processes)
    ]
    failed = ended = 0
    try:
        for process in running:
            try:
                failed += process.wait(max(0.0, until - time.monotonic())) != 0
            except subprocess.TimeoutExpired:
                ended += 1
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    seconds = time.monotonic() - began
    return {"processes": processes, "seconds": seconds, "failed": failed, "ended": ended}


# --- timing ------------------------------------------------------------------------------------


def taking_turns(
    runs: Mapping[str, Callable[[], object]], repeats: int = 20, inner: int = 10
) -> dict[str, list[float]]:
    """Return seconds a call by CUDA events: `repeats` rounds, every second in reverse order."""
    for run in runs.values():
        for _ in range(3):
            run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(repeats):
        for name in turns(list(runs), number):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(inner):
                runs[name]()
            end.record()
            torch.cuda.synchronize()
            times[name].append(begin.elapsed_time(end) / inner / 1e3)
    return times


def turns(names: list[str], number: int) -> list[str]:
    """Return who goes when in round `number`: each goes first in every second round."""
    return names[::-1] if number % 2 else names


def graphed(run: Callable[[], object]) -> Callable[[], None]:
    """Return `run` as the replay of a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def timed_inputs(tokens: int, dim: int, batch: int = BATCH, device: str = "cuda") -> Leaves:
    """Return what both contenders are timed on: q, k, v, beta bfloat16; decay, state float32."""
    x = inputs(tokens, dim, dim, torch.bfloat16, device, batch=batch, heads=HEADS)
    return x | {"beta": x["beta"].bfloat16()}


def forward_backward(x: Leaves, run: Rule) -> Callable[[], None]:
    """Return a call of a rule, forward and backward, in every leaf."""
    leaves = {name: t.detach().requires_grad_() for name, t in x.items()}
    result = run(leaves)
    assert result.output is not None
    upstream = [torch.randn_like(result.output), torch.randn_like(result.state)]

    def call() -> None:
        made = run(leaves)
        torch.autograd.grad([made.output, made.state], list(leaves.values()), upstream)

    return call


def run_fla(x: Leaves) -> sleep_kernels.RuleResult:
    """Call fla's gated delta rule on the tensors as they are, with nothing of ours around it."""
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule

    output, state = chunk_gated_delta_rule(
        x["q"], x["k"], x["v"], g=x["log_decay"], beta=x["beta"],
        scale=x["k"].shape[-1] ** -0.5, initial_state=x["state"], output_final_state=True,
    )  # fmt: skip
    return sleep_kernels.RuleResult(output, state)


def passed_gate(row: dict[str, Any], contenders: Mapping[str, Rule], x: Leaves) -> dict[str, Rule]:
    """Return the contenders that are right on `x`, and note every one's error in `row`."""
    passed = {}
    for name, run in contenders.items():
        try:
            row[f"{name} error_over_budget"] = worst = error_over_budget(
                x, "gated delta", outcome(x, run)
            )
        except Exception as error:  # a peer that does not run at this size is a result too
            row[f"{name} failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
            continue
        if worst <= 1:
            passed[name] = run
    return passed


def against_fla(tokens: int, dim: int, has_fla: bool) -> dict[str, Any]:
    """Time our kernels and fla's on the same leaves, eager and under CUDA graphs.

    Who is wrong against the float64 recurrence at this very size has no time in the row.
    """
    row: dict[str, Any] = {"tokens": tokens, "dim": dim}
    contenders: dict[str, Rule] = {"triton": partial(run_rule, "gated delta", backend="triton")}
    if has_fla:
        contenders["fla"] = run_fla
    passed = passed_gate(row, contenders, timed_inputs(tokens, dim, batch=2))
    row["wrong"] = "triton" not in passed
    if row["wrong"]:
        return row
    x = timed_inputs(tokens, dim)
    calls = {name: forward_backward(x, run) for name, run in passed.items()}
    for mode in ("eager", "graph"):
        ready = {}
        for name, call in calls.items():
            try:
                ready[name] = graphed(call) if mode == "graph" else call
            except RuntimeError as error:  # a peer that cannot be captured is a result too
                row[f"{name} {mode} failed"] = str(error).splitlines()[0]
        times = taking_turns(ready)
        row[mode] = {name: summary(values) for name, values in times.items()}
        if len(times) == 2:
            row[f"{mode}_ratio"] = ratio(times["fla"], times["triton"])
    return row


def time_kernels(record: dict[str, Any], has_fla: bool, deadline: float) -> None:
    """Time every size whose kernels were checked, until `deadline`."""
    longest = 20.0
    for dim in TIMED_DIMS:
        for tokens in TIMED_TOKENS:
            name = f"kernels L = {tokens}, d = {dim}"
            bare = {"keys": dim, "values": dim, "dtype": "bfloat16", "fused": False}
            if time.monotonic() + longest > deadline or not checked(record, **bare):
                record["skipped"].append(name)
                continue
            began = time.monotonic()
            row = against_fla(tokens, dim, has_fla)
            longest = max(longest, time.monotonic() - began)
            record["kernels"].append(row)
            if row["wrong"]:
                record["wrong"].append(name)
                print(f"WRONG {row}", flush=True)
                continue
            cells = []
            for mode in ("eager", "graph"):
                for backend, entry in row[mode].items():
                    cells.append(f"{mode} {backend} {1e3 * entry['median_ms']:.0f} us")
                if f"{mode}_ratio" in row:
                    cells.append(f"{row[f'{mode}_ratio']['median']:.2f}x")
            over = row.get("fla error_over_budget", 0.0)
            if over > 1:
                cells.append(f"fla not timed: its error is {over:.1f} of the budget")
            print(f"L = {tokens}, d = {dim}: {', '.join(cells)}", flush=True)


def paper_step(passes: int, graphs: bool, steps: int = 20) -> dict[str, Any]:
    """Return tokens a second and peak memory of the paper's Rule 110 training step."""
    from workbench.config import Experiment
    from workbench.model import HybridModel
    from workbench.sleep import read
    from workbench.tasks import batch_generator, task
    from workbench.training.graphs import GraphedSteps
    from workbench.training.loss import masked_cross_entropy
    from workbench.training.optimisers import build_optimisers

    experiment = Experiment.model_validate(
        {
            "model": {
                "width": 256, "layers": ["attention", "gated_delta"] * 2, "attention_heads": 4,
                "gdn_heads": 4, "key_dim": 64, "value_dim": 64, "mlp_width": 512,
            },
            "sleep": {"window": 24, "passes": passes},
            "task": {"name": "rule110"},
            "training": {
                "batch_size": 512, "device": "cuda", "dtype": "bfloat16", "cuda_graphs": graphs,
            },
        }
    )  # fmt: skip
    gc.collect()  # the last model may hang in a cycle, and would count as memory
    made = task("rule110")
    config = experiment.model.model_copy(update={"vocabulary": len(made.vocabulary)})
    model = HybridModel(config, seed=0).to("cuda")
    optimisers = build_optimisers(model, experiment.training, capturable=graphs)
    batches = [made.sample(512, batch_generator(0, step)) for step in range(4)]
    replayed = GraphedSteps(model, optimisers, experiment) if graphs else None
    torch.cuda.reset_peak_memory_stats()

    def step(number: int) -> float:
        batch = batches[number % len(batches)]
        if replayed is not None:
            return replayed(batch, passes, number)[0]
        with torch.autocast("cuda", torch.bfloat16):
            loss = masked_cross_entropy(read(model, batch, experiment.sleep))
        loss.backward()
        optimisers.step(number)
        return float(loss.detach())

    losses = [step(number) for number in range(5)]
    torch.cuda.synchronize()
    times = []
    for number in range(steps):
        began = time.perf_counter()
        losses.append(step(5 + number))
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    tokens = batches[0].tokens.size
    return {
        "passes": passes, "graphs": graphs, "tokens_a_step": tokens, **summary(times),
        "tokens_per_second": tokens / sorted(times)[len(times) // 2],
        "peak_bytes": torch.cuda.max_memory_allocated(), "losses": losses,
    }  # fmt: skip


def step_problem(eager: Mapping[str, Any], graph: Mapping[str, Any]) -> str | None:
    """Return what is wrong between the same steps without and from a CUDA graph, or None.

    Every loss has to be finite, and the first `COMPARED` the same within `LOSS_TOLERANCE`.
    """
    for name, entry in (("eager", eager), ("CUDA graph", graph)):
        if len(entry["losses"]) < COMPARED:
            return f"{name}: {len(entry['losses'])} losses; expected {COMPARED} or more"
        for number, loss in enumerate(entry["losses"]):
            if not math.isfinite(loss):
                return f"{name}: the loss of step {number} is {loss}"
    for number in range(COMPARED):
        plain, replayed = eager["losses"][number], graph["losses"][number]
        if abs(replayed - plain) > LOSS_TOLERANCE * abs(plain):
            return (
                f"step {number}: loss {replayed:.5f} from a CUDA graph, {plain:.5f} without; "
                f"expected a relative difference of {LOSS_TOLERANCE:.1e} at most"
            )
    return None


def time_steps(record: dict[str, Any], deadline: float) -> None:
    """Time the Rule 110 step for N = 4, 1, 2, 3: always without and with a graph, or neither."""
    longest = 40.0
    step = {"keys": 64, "tokens": 24, "dtype": "bfloat16", "fused": True, "passes": 1}
    for passes in (4, 1, 2, 3):
        name = f"step N = {passes}"
        if time.monotonic() + longest > deadline or not checked(record, **step):
            record["skipped"].append(name)
            continue
        began = time.monotonic()
        try:
            pair = [paper_step(passes, graphs) for graphs in (False, True)]
            problem = step_problem(*pair)
        except (FloatingPointError, RuntimeError) as error:
            pair, problem = [], f"{type(error).__name__}: {error}".splitlines()[0]
        longest = max(longest, time.monotonic() - began)
        if problem is not None:
            losses = [entry["losses"] for entry in pair]
            record["steps"].append({"passes": passes, "problem": problem, "losses": losses})
            record["wrong"].append(name)
            print(f"WRONG N = {passes}: {problem}", flush=True)
            continue
        record["steps"] += pair
        for entry in pair:
            print(f"Rule 110, 4 layers, d = 256, batch 512, N = {passes}, "
                  f"{'CUDA graph' if entry['graphs'] else 'eager'}: "
                  f"{entry['median_ms']:.1f} ms a step, "
                  f"{entry['tokens_per_second'] / 1e6:.2f} million tokens/s, "
                  f"{entry['peak_bytes'] / 1e9:.2f} GB", flush=True)  # fmt: skip


def fla_serves() -> bool:
    """Return whether flash-linear-attention is installed."""
    return sleep_kernels.backend_status("cuda")["fla"] is None


def end_at(moment: float, path: Path, record: dict[str, Any]) -> threading.Timer:
    """Return a started timer that writes what there is at `moment` and ends the process.

    Every part begins only where the longest so far would fit; this is for the one that does not.
    """

    def end() -> None:
        record["skipped"].append("what was running when the time was up")
        print("out of time in the middle of a part; what was found before is kept", flush=True)
        write(path, record)
        os._exit(exit_code(record))

    timer = threading.Timer(max(0.0, moment - time.monotonic()), end)
    timer.daemon = True
    timer.start()
    return timer


def exit_code(record: Mapping[str, Any]) -> int:
    """Return 1 where something is wrong, 3 where nothing was timed, else 0."""
    if record["wrong"]:
        return 1
    return 0 if record["steps"] or record["kernels"] else 3


def main() -> int:
    """Check, time, print and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="be done after this long")
    parser.add_argument("--json", type=Path, help="where to write the results")
    parser.add_argument("--warm", metavar="K/N", help=argparse.SUPPRESS)
    options = parser.parse_args()
    began = time.monotonic()
    if not torch.cuda.is_available():
        print(
            "gpu-check: no CUDA device; expected an NVIDIA GPU that torch sees; "
            "run it on such a machine (workbench doctor says what torch sees)",
            file=sys.stderr,
        )
        return 2
    reason = sleep_kernels.backend_status("cuda")["triton"]
    if reason is not None:
        print(f"gpu-check: {reason}; expected the Triton backend; install it", file=sys.stderr)
        return 2
    if options.warm:
        return warm_part(options.warm)
    seconds = 60 * options.minutes
    deadline = began + seconds - 10  # for what a last round may take longer than those before
    name = torch.cuda.get_device_name()
    facts = machine("torch", "triton", "flash-linear-attention") | {"device": name}
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    record: dict[str, Any] = {"machine": facts, "incomplete": True, "wrong": [], "skipped": []}
    record |= {"checks": [], "kernels": [], "steps": []}
    slug = "-".join(name.lower().replace("/", " ").split())
    path = options.json or RESULTS / f"gpu-{slug}-{facts['date']}.json"
    watch = end_at(began + seconds - 2, path, record)
    has_fla = fla_serves()
    if not has_fla:
        print("left out: flash-linear-attention (not installed)")

    processes = min(8, (os.cpu_count() or 1) // 2)
    if processes > 1:
        record["warm"] = warm(began + WARM_SHARE * seconds, processes)
        print(f"compiled in {processes} processes: {record['warm']['seconds']:.0f} s", flush=True)
    run_checks(record, cases(), "cuda", began + CHECKS_SHARE * seconds)
    passed = sum(entry["ok"] for entry in record["checks"])
    worst = max((e.get("error_over_budget", math.inf) for e in record["checks"]), default=0.0)
    print(f"{passed} of {len(record['checks'])} checks passed; the largest error is {worst:.2f} of "
          "its budget", flush=True)  # fmt: skip
    try:
        if not record["wrong"]:
            time_steps(record, deadline)
            time_kernels(record, has_fla, deadline)
            record["incomplete"] = bool(record["skipped"] or record["wrong"])
    finally:  # what was found up to an error is kept, as incomplete
        watch.cancel()
        write(path, record)
    if record["skipped"]:
        print(f"out of time, left out: {'; '.join(record['skipped'])}")
    return exit_code(record)


if __name__ == "__main__":
    raise SystemExit(main())

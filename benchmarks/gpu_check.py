"""Everything that needs a real GPU: are the kernels right there, and how fast are they.

    python3 run.py gpu-check [--minutes 9] [--json FILE]

Needs a CUDA device and nothing from the network. In this order: every kernel in bfloat16, float16
and float32 against the token-by-token recurrence in float64; a training step from a CUDA graph
against the same step without; the kernels against flash-linear-attention (if it is installed),
eager and under CUDA graphs; tokens a second and peak memory of the paper's Rule 110 configuration
for N = 1..4. Where a kernel is wrong nothing is timed and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch  # noqa: E402
from _measure import RESULTS, machine, ratio, summary, write  # noqa: E402
from torch import Tensor  # noqa: E402

import sleep_kernels  # noqa: E402

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
RULES = ("gated delta", "delta", "gated outer product")
CHECKED_TOKENS = (1, 24, 33, 75)
KEY_DIMS, VALUE_DIMS = (16, 32, 64, 96, 128), (16, 32, 64, 96, 128, 256)
TIMED_TOKENS, TIMED_DIMS = (16, 24, 64, 128, 512), (16, 32, 64, 128)
BATCH, HEADS = 64, 4
Leaves = dict[str, Tensor]


def inputs(
    tokens: int, keys: int, values: int, dtype: torch.dtype, device: str, *, batch: int, heads: int
) -> Leaves:
    """Return the operator's inputs, rounded to `dtype`; gates and state are float32."""
    draw = torch.Generator().manual_seed(tokens * 100_000 + keys * 100 + values)
    q, k = (
        torch.nn.functional.normalize(
            torch.randn((batch, tokens, heads, keys), generator=draw), dim=-1
        )
        for _ in range(2)
    )
    made = {
        "q": q.to(dtype),
        "k": k.to(dtype),
        "v": torch.randn((batch, tokens, heads, values), generator=draw).to(dtype),
        "log_decay": -0.2 * torch.rand((batch, tokens, heads), generator=draw),
        "beta": torch.rand((batch, tokens, heads), generator=draw),
        "state": torch.randn((batch, heads, keys, values), generator=draw),
    }
    return {name: x.to(device) for name, x in made.items()}


def run_rule(rule: str, x: Leaves, backend: str) -> sleep_kernels.RuleResult:
    """Call one of the three rules."""
    if rule == "delta":
        return sleep_kernels.delta_rule(
            x["q"], x["k"], x["v"], x["beta"], x["state"], backend=backend
        )
    call = sleep_kernels.gated_delta_rule
    if rule != "gated delta":
        call = sleep_kernels.gated_outer_product
    return call(x["q"], x["k"], x["v"], x["log_decay"], x["beta"], x["state"], backend=backend)


def outcome(rule: str, x: Leaves, backend: str, dtype: torch.dtype | None = None) -> list[Tensor]:
    """Return output, state and every gradient, in float64; the inputs cast to `dtype` first."""
    leaves = {
        name: (t if dtype is None else t.to(dtype)).detach().requires_grad_()
        for name, t in x.items()
    }
    result = run_rule(rule, leaves, backend)
    assert result.output is not None
    draw = torch.Generator().manual_seed(7)
    loss = sum(
        (part.double() * torch.randn(part.shape, generator=draw).double().to(part.device)).sum()
        for part in (result.output, result.state)
    )
    wanted = [leaves[n] for n in leaves if n != "log_decay" or rule != "delta"]
    gradients = torch.autograd.grad(loss, wanted)
    return [t.detach().double() for t in (result.output, result.state, *gradients)]


def check(
    rule: str,
    tokens: int,
    keys: int,
    values: int,
    dtype: torch.dtype,
    device: str,
    backend: str = "triton",
) -> dict[str, Any]:
    """Hold one kernel against float64; the budget is twice what plain PyTorch loses, and more.

    Budget per tensor: 2 x (error of the plain chunked form in the same precision + the precision's
    epsilon x the largest entry).
    """  # fmt: skip
    x = inputs(tokens, keys, values, dtype, device, batch=2, heads=2)
    true = outcome(rule, x, "reference", torch.float64)
    plain = outcome(rule, x, "cpu")
    found = outcome(rule, x, backend)
    eps = torch.finfo(dtype).eps
    worst = 0.0
    for ours, theirs, exact in zip(found, plain, true, strict=True):
        largest = float(exact.abs().max())
        budget = 2 * (float((theirs - exact).abs().max()) + eps * max(largest, 1e-3))
        error = float((ours - exact).abs().max())
        worst = max(worst, error / budget if error == error else float("inf"))
    again = outcome(rule, x, backend)
    same = all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    return {
        "rule": rule, "tokens": tokens, "keys": keys, "values": values, "dtype": str(dtype),
        "error_over_budget": worst, "repeatable": same, "ok": worst <= 1 and same,
    }  # fmt: skip


def checks(device: str) -> Iterator[dict[str, Any]]:
    """Check every rule, precision and head size the kernels are built for."""
    for dtype in DTYPES.values():
        for keys in KEY_DIMS:
            for values in VALUE_DIMS:
                tokens = CHECKED_TOKENS if keys == values else (33,)
                for count in tokens:
                    for rule in RULES if keys == values else RULES[:1]:
                        yield check(rule, count, keys, values, dtype, device)


def milliseconds(run: Callable[[], object], repeats: int = 20, inner: int = 10) -> list[float]:
    """Return seconds a call by CUDA events, `repeats` times over `inner` calls each."""
    for _ in range(3):
        run()
    times = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(inner):
            run()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / inner / 1e3)
    return times


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


def forward_backward(tokens: int, dim: int, backend: str) -> Callable[[], None]:
    """Return a call of the gated delta rule, forward and backward, in bfloat16."""
    x = inputs(tokens, dim, dim, torch.bfloat16, "cuda", batch=BATCH, heads=HEADS)
    leaves = {name: t.requires_grad_() for name, t in x.items()}
    result = run_rule("gated delta", leaves, backend)
    assert result.output is not None
    upstream = [torch.randn_like(result.output), torch.randn_like(result.state)]

    def run() -> None:
        made = run_rule("gated delta", leaves, backend)
        torch.autograd.grad([made.output, made.state], list(leaves.values()), upstream)

    return run


def against_fla(tokens: int, dim: int, has_fla: bool) -> dict[str, Any]:
    """Time our kernels and fla's at one size, eager and under CUDA graphs."""
    row: dict[str, Any] = {"tokens": tokens, "dim": dim}
    for mode in ("eager", "graph"):
        times = {}
        for backend in ("triton", *(["fla"] if has_fla else [])):
            run = forward_backward(tokens, dim, backend)
            try:
                times[backend] = milliseconds(graphed(run) if mode == "graph" else run)
            except RuntimeError as error:  # a peer that cannot be captured is a result too
                row[f"{backend} {mode} failed"] = str(error).splitlines()[0]
        row[mode] = {name: summary(values) for name, values in times.items()}
        if len(times) == 2:
            row[f"{mode}_ratio"] = ratio(times["fla"], times["triton"])
    return row


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


def main() -> int:
    """Check, time, print and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="stop timing after this long")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
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
    deadline = time.monotonic() + 60 * options.minutes
    name = torch.cuda.get_device_name()
    facts = machine("torch", "triton", "flash-linear-attention") | {"device": name}
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    record: dict[str, Any] = {"machine": facts, "checks": [], "kernels": [], "steps": []}
    slug = "-".join(name.lower().replace("/", " ").split())
    path = options.json or RESULTS / f"gpu-{slug}-{facts['date']}.json"

    for entry in checks("cuda"):
        record["checks"].append(entry)
        if not entry["ok"]:
            print(f"WRONG {entry}", flush=True)
    failed = [entry for entry in record["checks"] if not entry["ok"]]
    worst = max(entry["error_over_budget"] for entry in record["checks"])
    print(f"{len(record['checks']) - len(failed)} of {len(record['checks'])} checks passed; the "
          f"largest error is {worst:.2f} of its budget", flush=True)  # fmt: skip
    if failed:
        write(path, record)
        return 1

    def left() -> bool:
        return time.monotonic() < deadline - 30

    skipped = []
    for passes in (4, 1, 2, 3):
        for graphs in (True, False):
            if not left():
                skipped.append(f"step N = {passes}, graphs {graphs}")
                continue
            entry = paper_step(passes, graphs)
            record["steps"].append(entry)
            print(f"Rule 110, 4 layers, d = 256, batch 512, N = {passes}, "
                  f"{'CUDA graph' if graphs else 'eager'}: {entry['median_ms']:.1f} ms a step, "
                  f"{entry['tokens_per_second'] / 1e6:.2f} million tokens/s, "
                  f"{entry['peak_bytes'] / 1e9:.2f} GB", flush=True)  # fmt: skip
    has_fla = sleep_kernels.backend_status("cuda")["fla"] is None
    if not has_fla:
        print("left out: flash-linear-attention (not installed)")
    for tokens in TIMED_TOKENS:
        for dim in TIMED_DIMS:
            if not left():
                skipped.append(f"kernels L = {tokens}, d = {dim}")
                continue
            row = against_fla(tokens, dim, has_fla)
            record["kernels"].append(row)
            cells = []
            for mode in ("eager", "graph"):
                for backend, entry in row[mode].items():
                    cells.append(f"{mode} {backend} {1e3 * entry['median_ms']:.0f} us")
                if f"{mode}_ratio" in row:
                    cells.append(f"{row[f'{mode}_ratio']['median']:.2f}x")
            print(f"L = {tokens}, d = {dim}: {', '.join(cells)}", flush=True)
    record["skipped"] = skipped
    if skipped:
        print(f"out of time, left out: {'; '.join(skipped)}")
    write(path, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

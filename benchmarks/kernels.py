"""The gated delta rule against what others run: CPU, forward + backward, over L and d.

    python3 run.py bench kernels [--repeats 15] [--tokens 24 64] [--dims 32] [--json FILE]

Every contender is first held against the token-by-token recurrence in float64 (outputs and all
gradients); where that gate is red nothing is timed and the exit code is 1.
"""

from __future__ import annotations

import argparse
import inspect
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before torch is imported
sys.path.insert(0, str(Path(__file__).parent))

import torch  # noqa: E402
from _measure import LATEST, machine, ratio, side_by_side, summary, write  # noqa: E402
from torch import Tensor  # noqa: E402

import sleep_kernels  # noqa: E402

Rule = Callable[..., tuple[Tensor, Tensor]]
NAMES = ("q", "k", "v", "log_decay", "beta", "state")
TOKENS, DIMS = (16, 24, 64, 128, 512), (16, 32, 64, 128)
BATCH, HEADS = 64, 4
OURS, PLAIN, PEER, NAIVE = "native", "PyTorch", "transformers", "fla naive"
TOLERANCE = 1e-3
"""Of the largest entry: a gate against wrong results, not an error budget (those are tested)."""


def contenders() -> dict[str, Rule]:
    """Return the rules to compare, by name; those that are not installed are left out and named."""
    found: dict[str, Rule] = {OURS: ours("native"), PLAIN: ours("cpu")}
    reason = sleep_kernels.backend_status("cpu")["native"]
    if reason is not None:
        raise SystemExit(f"nothing to compare: backend 'native' does not serve: {reason}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from transformers.models.qwen3_next import modeling_qwen3_next as qwen

            # the decorator may hand over to another package: this is the torch form itself
            found[PEER] = theirs(inspect.unwrap(qwen.torch_chunk_gated_delta_rule))
        except ImportError as error:
            print(f"left out: {PEER} ({error})")
        try:
            from fla.ops.gated_delta_rule import naive

            found[NAIVE] = fla_naive(naive.naive_recurrent_gated_delta_rule)
        except ImportError as error:
            print(f"left out: {NAIVE} ({error})")
    return found


def ours(backend: str) -> Rule:
    def run(q, k, v, log_decay, beta, state):
        return sleep_kernels.gated_delta_rule(q, k, v, log_decay, beta, state, backend=backend)[:2]

    return run


def theirs(rule: Callable[..., Any]) -> Rule:
    def run(q, k, v, log_decay, beta, state):
        return rule(q, k, v, log_decay, beta, initial_state=state, output_final_state=True)

    return run


def fla_naive(rule: Callable[..., Any]) -> Rule:
    def run(q, k, v, log_decay, beta, state):
        return rule(q, k, v, beta, log_decay, initial_state=state, output_final_state=True)

    return run


def inputs(tokens: int, dim: int, dtype: torch.dtype, batch: int = BATCH) -> list[Tensor]:
    """Return the operator's inputs as leaves, `NAMES` in order; float32 numbers in any dtype."""
    draw = torch.Generator().manual_seed(tokens * 1000 + dim)
    shape = (batch, tokens, HEADS, dim)
    q, k = (torch.nn.functional.normalize(torch.randn(shape, generator=draw), dim=-1)
            for _ in range(2))  # fmt: skip
    v = torch.randn(shape, generator=draw)
    log_decay = -0.1 * torch.rand(shape[:3], generator=draw)
    beta = torch.rand(shape[:3], generator=draw)
    state = torch.randn((batch, HEADS, dim, dim), generator=draw)
    made = (q, k, v, log_decay, beta, state)
    return [x.to(dtype).detach().requires_grad_() for x in made]


def results(rule: Rule, leaves: list[Tensor]) -> list[Tensor]:
    """Return output, state and the gradients of every input."""
    output, state = rule(*leaves)
    loss = output.double().square().sum() + state.double().square().sum()
    return [output.detach(), state.detach(), *torch.autograd.grad(loss, leaves)]


reference = ours("reference")


def gate(rules: dict[str, Rule], tokens: int, dim: int) -> dict[str, float]:
    """Return each rule's largest error against the float64 recurrence, over its largest entry."""
    true = results(reference, inputs(tokens, dim, torch.float64, batch=2))
    found = {}
    for name, rule in rules.items():
        errors = [
            float((a.double() - b).abs().max() / b.abs().max().clamp(min=1e-12))
            for a, b in zip(
                results(rule, inputs(tokens, dim, torch.float32, batch=2)), true, strict=True
            )
        ]
        found[name] = max(errors)
    return found


def runner(rule: Rule, tokens: int, dim: int) -> Callable[[], None]:
    """Return a call of `rule` forward and backward."""
    leaves = inputs(tokens, dim, torch.float32)
    with torch.no_grad():
        output, state = rule(*leaves)
    upstream = [torch.randn_like(output), torch.randn_like(state)]

    def run() -> None:
        for leaf in leaves:
            leaf.grad = None
        torch.autograd.backward(list(rule(*leaves)), upstream)

    return run


def main() -> int:
    """Check, time, print a table and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--tokens", type=int, nargs="+", default=list(TOKENS))
    parser.add_argument("--dims", type=int, nargs="+", default=list(DIMS))
    parser.add_argument("--json", type=Path, default=LATEST / "kernels-cpu.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rules = contenders()
    facts = machine("torch", "transformers", "flash-linear-attention")
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"forward + backward, float32, batch {BATCH}, {HEADS} heads, one thread; median "
          "[quartiles] in ms, and how many times slower than ours")  # fmt: skip
    print(f"{'L':>4} {'d':>4}  " + "  ".join(f"{name:>38}" for name in rules))
    rows = []
    for tokens in options.tokens:
        for dim in options.dims:
            errors = gate(rules, tokens, dim)
            wrong = {name: error for name, error in errors.items() if not error <= TOLERANCE}
            if wrong:
                print(f"L = {tokens}, d = {dim}: wrong results, nothing is timed: {wrong}")
                return 1
            # token by token, long windows take minutes: not worth a separate column
            timed = {n: r for n, r in rules.items() if n != NAIVE or tokens <= 64}
            times = side_by_side(
                {name: runner(rule, tokens, dim) for name, rule in timed.items()},
                repeats=options.repeats,
            )
            row: dict[str, Any] = {"tokens": tokens, "dim": dim, "errors": errors}
            row["times"] = {name: summary(values) for name, values in times.items()}
            row["ratios"] = {n: ratio(times[n], times[OURS]) for n in times if n != OURS}
            cells = []
            for name in rules:
                if name not in times:
                    cells.append(f"{'–':>38}")
                    continue
                entry = row["times"][name]
                low, high = entry["quartiles_ms"]
                text = f"{entry['median_ms']:.2f} [{low:.2f}, {high:.2f}]"
                if name != OURS:
                    text += f"  {row['ratios'][name]['median']:.2f}x"
                cells.append(f"{text:>38}")
            print(f"{tokens:4} {dim:4}  " + "  ".join(cells), flush=True)
            rows.append(row)
    setting = {"batch": BATCH, "heads": HEADS, "dtype": "float32", "what": "forward + backward"}
    write(options.json, {"machine": facts, "setting": setting, "rows": rows})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A whole training step against the same model in plain autograd PyTorch, on one CPU thread.

    python3 run.py bench training_step [--repeats 40] [--compile] [--json FILE]

The model, task and batch are those of ``data/configs/depo-n8-any.toml`` at N = 4. Both sides start
from the same weights and see the same batches; a step is loss, backward, clipping and both
optimisers (the peer's Muon is `torch.optim.Muon`), and the sides take turns. Losses have to agree
to 1e-4 at every step, or nothing is reported (exit code 1). ``--compile`` adds a run of our blocks
compiled, against the plain model as it stands and compiled.
Peak memory is that of a process that runs one side alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before torch is imported
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import torch  # noqa: E402
from _measure import LATEST, machine, ratio, summary, write  # noqa: E402
from _plain_model import PlainHybrid  # noqa: E402

from workbench.config import load_experiment  # noqa: E402
from workbench.model import HybridModel  # noqa: E402
from workbench.sleep import read  # noqa: E402
from workbench.tasks import batch_generator, task  # noqa: E402
from workbench.training.loss import masked_cross_entropy  # noqa: E402
from workbench.training.optimisers import build_optimisers  # noqa: E402

PASSES = 4
TOLERANCE = 1e-4
OURS, WITHOUT = "workbench", "workbench without a compiler"
PLAIN, PLAIN_COMPILED = "plain autograd", "plain autograd, compiled"


class Setting:
    """The sides of the comparison, all from the same weights."""

    def __init__(self, *, compiled: bool) -> None:
        experiment = load_experiment(HERE.parent / "data" / "configs" / "depo-n8-any.toml")
        self.training = experiment.training
        self.task = task(experiment.task.name, **experiment.task.model_dump(exclude={"name"}))
        config = experiment.model.model_copy(update={"vocabulary": len(self.task.vocabulary)})
        self.sleep = experiment.sleep.with_passes(PASSES)
        self.model = HybridModel(config, seed=0)
        self.ours = {OURS: self.model}
        self.plain = {PLAIN: PlainHybrid(self.model)}
        if compiled:
            self.plain[PLAIN_COMPILED] = PlainHybrid(self.model)
        else:
            alone = config.model_copy(update={"kernel_backend": "cpu"})
            self.ours[WITHOUT] = HybridModel(alone, seed=0)
        sides = {**self.ours, **self.plain}
        self.optimisers = {
            side: build_optimisers(model, self.training) for side, model in sides.items()
        }
        for side in self.plain:  # as one would first write it, here too
            built = self.optimisers[side]
            torchs = torch.optim.Muon(built.muon.param_groups)
            self.optimisers[side] = replace(built, muon=torchs)
        if compiled:
            warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools")
            for model in (self.model, self.plain[PLAIN_COMPILED]):
                model.blocks = torch.compile(model.blocks, dynamic=False)

    def batch(self, step: int) -> Any:
        """Return the batch of a step."""
        return self.task.sample(self.training.batch_size, batch_generator(0, step))

    def loss(self, side: str, batch: Any) -> torch.Tensor:
        """Return one side's loss."""
        if side in self.ours:
            return masked_cross_entropy(read(self.ours[side], batch, self.sleep))
        tokens, mask = torch.as_tensor(batch.tokens), torch.as_tensor(batch.loss_mask)
        return self.plain[side].loss(tokens, mask, self.sleep.window, PASSES)

    def step(self, side: str, number: int) -> tuple[float, float]:
        """Do one side's step; return its loss and when its gradients were there, seconds."""
        loss = self.loss(side, self.batch(number))
        loss.backward()
        found = time.perf_counter()
        self.optimisers[side].step(number)
        return float(loss.detach()), found


def flops(work: Callable[[], object]) -> int:
    """Return the floating-point operations of the matrix products in `work`."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def matmul_rate(seconds: float = 1.0) -> float:
    """Return this machine's floating-point operations a second on one thread, 512 x 512."""
    a, b = torch.randn(2, 512, 512)
    for _ in range(3):
        a @ b
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        a @ b
        count += 1
    return count * 2 * 512**3 / (time.perf_counter() - began)


def peak_memory(side: str) -> int | None:
    """Return the bytes that ten steps of one side add to a process; None where unknown."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--alone", side]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(found.stdout.split()[-1])


def alone(side: str) -> None:
    """Run ten steps of one side and print by how much they raise the peak resident size."""
    setting = Setting(compiled=False)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident("VmRSS")
    for number in range(10):
        setting.step(side, number)
    print(resident("VmHWM") - before)


def resident(name: str) -> int:
    """Return a size of this process as Linux counts it, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def compare(repeats: int, *, compiled: bool) -> dict[str, Any] | None:
    """Return times, ratio and largest difference of losses; None where the losses disagree."""
    setting = Setting(compiled=compiled)
    warm: dict[str, float] = {}
    sides = list(setting.optimisers)
    for side in sides:
        began = time.perf_counter()
        setting.loss(side, setting.batch(0)).backward()
        warm[side] = time.perf_counter() - began
        for parameter in setting.optimisers[side].parameters:
            parameter.grad = None
    times: dict[str, list[float]] = {side: [] for side in sides}
    gradients: dict[str, list[float]] = {side: [] for side in sides}
    apart = 0.0
    for number in range(repeats):
        losses = {}
        for side in sides if number % 2 else reversed(sides):
            began = time.perf_counter()
            losses[side], found = setting.step(side, number)
            times[side].append(time.perf_counter() - began)
            gradients[side].append(found - began)
        apart = max(apart, *(abs(losses[OURS] - loss) for loss in losses.values()))
        if not apart <= TOLERANCE:
            print(f"the losses differ by {apart:.2e} (more than {TOLERANCE:.0e}) at step "
                  f"{number + 1}: nothing is reported")  # fmt: skip
            return None
    return {
        "times": {side: summary(spent) for side, spent in times.items()},
        "ratios": {side: ratio(times[side], times[OURS]) for side in sides if side != OURS},
        "ratios_without_optimisers": {
            side: ratio(gradients[side], gradients[OURS]) for side in sides if side != OURS
        },
        "largest_difference_of_losses": apart,
        "seconds_to_first_step": warm,
        "steps": repeats,
    }


def main() -> int:
    """Compare, print and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--json", type=Path, default=LATEST / "training-step-cpu.json")
    parser.add_argument("--alone", choices=(OURS, WITHOUT, PLAIN), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.alone:
        alone(options.alone)
        return 0
    facts = machine("torch")
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    record: dict[str, Any] = {"machine": facts, "passes": PASSES}
    for name, compiled in (("eager", False), ("compiled", True)):
        if compiled and not options.compile:
            continue
        found = compare(options.repeats, compiled=compiled)
        if found is None:
            return 1
        record[name] = found
        ours = found["times"][OURS]["median_ms"]
        apart = found["largest_difference_of_losses"]
        steps = f"losses within {apart:.1e} over {options.repeats} steps"
        print(f"{name}: {OURS} {ours:.1f} ms a step; {steps}")
        for side, spread in found["ratios"].items():
            print(
                f"  {side} {found['times'][side]['median_ms']:.1f} ms: {spread['median']:.2f}x "
                f"[{spread['low']:.2f}, {spread['high']:.2f}]"
            )
    setting = Setting(compiled=False)
    counted = flops(lambda: setting.loss(WITHOUT, setting.batch(0)).backward())  # seen by torch
    rate = matmul_rate()
    floor = 1e3 * counted / rate
    record |= {"flops": counted, "matmul_flops_per_second": rate, "floor_ms": floor}
    peaks = {side: peak_memory(side) for side in (OURS, WITHOUT, PLAIN)}
    record["peak_bytes"] = peaks
    print(
        f"floor: {counted / 1e9:.2f} GFLOP of matrix products at {rate / 1e9:.0f} GFLOP/s = "
        f"{floor:.1f} ms"
    )
    known = [f"{side} {size / 1e6:.0f} MB" for side, size in peaks.items() if size is not None]
    print(f"peak memory of the steps: {', '.join(known) or 'not known on this system'}")
    write(options.json, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

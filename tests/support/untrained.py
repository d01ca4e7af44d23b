"""Checkpoints that no training has made: the shape of real ones, and quick."""

from functools import cache


@cache
def untrained_checkpoints():
    """Return untrained checkpoints of both tasks, by name; what they answer is noise."""
    from pathlib import Path

    from workbench.config import Experiment, ModelConfig, RandomPasses, SleepConfig
    from workbench.model import HybridModel
    from workbench.tasks import task as make_task
    from workbench.tasks.depo import DepoConfig
    from workbench.tasks.rule110 import Rule110Config
    from workbench.training.checkpoints import Checkpoint

    depo = DepoConfig(nodes=8, max_hops=4, names="single", queries=8)
    rule110 = Rule110Config(cells=12, strings=2, rollout=8)
    small = {"width": 16, "gdn_heads": 2, "key_dim": 4, "value_dim": 6, "mlp_width": 16}
    made = {}
    words = DepoConfig(nodes=4, max_hops=3, names="depo2", queries=2)
    for name, task, window, passes, layers in (
        ("ring", depo, 16, RandomPasses(low=1, high=4), ("attention", "gated_delta")),
        ("ring-two", depo, 8, 2, ("attention", "gated_delta", "delta")),
        ("rule", rule110, 12, 3, ("attention", "gated_delta")),
        ("words", words, 56, 2, ("attention", "gated_delta")),
    ):
        symbols = len(make_task(task).vocabulary)
        model = ModelConfig(vocabulary=symbols, layers=layers, **small)
        experiment = Experiment(
            model=model, task=task, sleep=SleepConfig(window=window, passes=passes)
        )
        network = HybridModel(model).eval().requires_grad_(False)
        known = {"name": name, "hashes": {"model.safetensors": "0" * 64}}
        made[name] = Checkpoint(name, Path(), network, experiment, known)
    return made

"""The configuration of a run that trains in a blink, as settings and as TOML."""

import tomli_w

from workbench.config import Experiment, apply_overrides, build

TINY = {
    "model": {
        "width": 8,
        "attention_heads": 2,
        "gdn_heads": 2,
        "key_dim": 4,
        "value_dim": 4,
        "mlp_width": 8,
    },
    "sleep": {"window": 8, "passes": 2},
    "task": {"name": "depo", "nodes": 4, "names": "single", "max_hops": 2, "queries": 2},
    "training": {
        "steps": 4,
        "batch_size": 4,
        "warmup": 2,
        "log_every": 1,
        "eval_every": 2,
        "eval_count": 5,
        "checkpoint_every": 3,
    },
}


def tiny_run(*overrides: str) -> Experiment:
    """Return the experiment; an override is "section.field=value"."""
    return build(Experiment, apply_overrides(TINY, overrides), source="test")


def tiny_toml(**changes: dict) -> str:
    """Return the file of it, with settings changed by section; a task of another name replaces."""
    sections = {name: section | changes.get(name, {}) for name, section in TINY.items()}
    if "name" in changes.get("task", {}):
        sections["task"] = changes["task"]
    return tomli_w.dumps(sections)

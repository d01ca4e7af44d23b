"""A run that trains in a blink, as settings and as TOML; a tokenizer trained as quickly."""

import tomli_w

from workbench.config import Experiment, apply_overrides, build
from workbench.tasks import batch_generator, task

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


def trained_tokenizer(path, *, digits=False, lower=False, texts=None):
    """Train a small byte-level BPE, on sentences of word problems unless given texts; save it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if texts is None:
        made = task("gsm_infinite", length=600)
        batch = made.sample(40, batch_generator(9, 0))
        texts = [made.typed(batch, n)[0] for n in range(40)]
    tokenizer = Tokenizer(models.BPE())
    steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    steps += [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    if lower:
        tokenizer.normalizer = normalizers.Lowercase()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path))
    return str(path)

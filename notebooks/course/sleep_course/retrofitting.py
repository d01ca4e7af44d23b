"""Teaching a pretrained model to sleep: SmolLM2 where it is fetched, else a tiny random model.

Called by notebook 12; its exercises are in `sleep_course.exercises.retrofitting`.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench import dims
from workbench.backbones.sources import FETCHED
from workbench.batch import Batch
from workbench.config import Experiment, build
from workbench.instruments.provenance import contribution_norms
from workbench.paths import models_folder
from workbench.tasks.base import Task
from workbench.trace import record

SMOLLM2 = "smollm2-135m"
WORDS = (
    "PAD ? has apples one more fewer apple than as many and . "
    "Anna Bob Dan Eve Finn Jill Kit Max Otto Pia 0 1 2 3 4 5 6 7 8 9"
).split()


@cache
def base() -> str:
    """Return the name of SmolLM2 where `workbench get smollm2` has put it, else a folder."""
    return SMOLLM2 if (models_folder() / FETCHED[SMOLLM2]).is_file() else str(_tiny())


def _tiny() -> Path:
    """Write a model of four blocks with random weights, which knows the words of the task."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = Path(tempfile.mkdtemp(prefix="tiny-base-"))
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        config = LlamaConfig(
            **sizes, num_hidden_layers=4, num_key_value_heads=2, vocab_size=len(WORDS),
            pad_token_id=None, bos_token_id=None, eos_token_id=None,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="PAD"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def quiet(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a function without what it says on standard error: what a base needs, and bars."""
    with contextlib.redirect_stderr(io.StringIO()):
        return function(*arguments, **options)


def plan(named: str, steps: int) -> Experiment:
    """Return a retrofit of that base: who has how many apples, asked after the eviction."""
    real = named == SMOLLM2
    after, loop = ((19, 24, 29), (20, 27)) if real else ((1, 3), (1, 6))
    task = {"name": "variables", "form": "words", "tokenizer": named, "names": 10, "modulus": 10}
    task |= {"variables": 4, "given": 4, "max_depth": 1}
    training: dict[str, Any] = {
        "steps": steps,
        "batch_size": 8,
        "muon_lr": 0.01,
        "adamw_lr": 0.005,
        "warmup": 5,
    }
    training |= {"eval_count": 100, "final_passes": (0, 1, 2, 4), "log_every": 10}
    data = {
        "retrofit": {"base": named, "after": after, "start": "induction"},
        "sleep": {
            "window": 24 if real else 20,
            "passes": {"kind": "random", "low": 1, "high": 4},
            "loop": loop, "order": "predict_then_sleep", "wake_writes": False,
        },
        "task": task,
        "training": training | {"dtype": "bfloat16" if real else "float32"},
    }  # fmt: skip
    return build(Experiment, data, source="notebook 12")


@torch.no_grad()
def logits_of(model: Any, tokens: np.ndarray) -> np.ndarray:
    """Return the logits ``[token, symbol]`` of a text in one window, read once."""
    given = torch.as_tensor(tokens)[None]
    hidden, _ = model.blocks(model.embed(given), model.empty_memory(1))
    return model.logits(hidden)[0].float().numpy()


@torch.no_grad()
def theirs(model: Any, tokens: np.ndarray) -> np.ndarray:
    """Return the logits that transformers computes with the base alone."""
    return model.base(torch.as_tensor(tokens)[None]).logits[0].float().numpy()


def who_wrote(model: Any, task: Task, batch: Batch, sleep: Any) -> list[tuple[str, float]]:
    """Return each token of a context and its share of S, averaged over layers and heads.

    Of one example, over all passes; the shares of all tokens add up to 1.
    """
    trace = record(model, batch.examples(slice(0, 1)), sleep)
    share = contribution_norms(trace, every_token=True)["share"].isel(
        {dims.EXAMPLE: 0, dims.WINDOW: 0, dims.SOURCE_WINDOW: 0}
    )
    by_token = share.sum(dims.SOURCE_PASS).mean((dims.LAYER, dims.GDN_HEAD)).values
    context = task.render(batch, 0)[: batch.context_tokens]
    return [(word, float(part)) for word, part in zip(context, by_token, strict=False)]

# ---
# jupyter:
#   jupytext:
#     formats: ipynb,src//py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 12. Teach a model to sleep
#
# Every model so far was born with fast weights. Here a language model that never had any gets some,
# and learns to keep a text in them. The text is then evicted, and you ask.
#
# With `python3 run.py get smollm2` the model is SmolLM2, 135 million parameters; the notebook then
# takes some five minutes on one core. Without it, it is a tiny one with random weights: all cells run
# in seconds, but there is no language in it. Two exercises; nothing is fetched here.

# %%
import tempfile
from pathlib import Path

import numpy as np

import workbench
from sleep_course import retrofitting
from sleep_course.exercises import retrofitting as exercises
from workbench.notebook import setup
from workbench.tasks import batch_generator
from workbench.training.loop import train
from workbench.training.retrofit.steps import first_model

setup(panel=False)
base = retrofitting.base()
experiment = retrofitting.plan(base, steps=100)
print(base)

# %% [markdown]
# ## What it should remember
#
# Four sentences, then four questions. Each question is read alone, after the sentences have left
# the KV cache. A guess is right one time in ten.

# %%
task = workbench.task(experiment.task)
batch = task.sample(64, batch_generator(5, 0, "notebook"))
print(task.text(batch, 0))

# %% [markdown]
# ## New layers that change nothing
#
# A *retrofit* puts a layer with its own memory $S$ after some blocks of the model. The layer reads
# the stream, writes into $S$, and adds what it reads from $S$ to the stream, through an output
# projection that is **zero** at first.

# %%
model, _, _ = retrofitting.quiet(first_model, experiment)
tokens = batch.tokens[0, : batch.context_tokens]
difference = retrofitting.logits_of(model, tokens) - retrofitting.theirs(model, tokens)
learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
print(f"{len(model.base.model.layers)} blocks became {model.depth}; {learning:,} parameters learn")
print(f"largest difference from the model as it was: {np.abs(difference).max():.1e}")

# %% [markdown]
# **How to read it.** No difference at all: whatever the model knew, it still knows. It writes into
# $S$ from the first token on, and does not read it yet.
#
# ### Exercise 1
#
# Most of what learns is in five projections of each layer: query, key, value and gate, from the
# stream's `width` channels to `heads * dim`; and the output, back again. How many weights are that?


# %%
def projections(width, heads, dim):
    ...  # TODO: a number


exercises.check_projections(projections)


# %% jupyter={"source_hidden": true} tags=["solution"]
def projections(width, heads, dim):
    return 5 * width * heads * dim


exercises.check_projections(projections)

# %%
mixer = model.stack[model.fast_weight_layers[0]].mixer
width, layers = mixer.query.in_features, len(model.fast_weight_layers)
counted = layers * projections(width, mixer.heads, mixer.keys)
print(f"{counted / learning:.1%} of what learns")

# %% [markdown]
# ## What a sleep repeats
#
# To repeat all blocks of a model that was never looped makes it worse: it was not trained to read its
# own output. Repeating only the middle, or the upper part, hurts less. Such a loop is given in blocks
# of the base, `begin <= i < end`. The new layers move the blocks that stand after them.
#
# ### Exercise 2
#
# `after` lists the blocks that a new layer follows. Return the same loop counted in all blocks,
# new layers included. A layer belongs to the block that it follows.


# %%
def in_all_blocks(begin, end, after):
    ...  # TODO: two numbers


exercises.check_in_all_blocks(in_all_blocks)


# %% jupyter={"source_hidden": true} tags=["solution"]
def in_all_blocks(begin, end, after):
    return tuple(n + sum(i < n for i in after) for n in (begin, end))


exercises.check_in_all_blocks(in_all_blocks)

# %% [markdown]
# ## Training
#
# The base is frozen. Each step draws eight problems and a number of passes $N$ from 1 to 4; the
# model sleeps on the four sentences, evicts them, and answers. A retrofit is a run like any other:
# it could be stopped and resumed, and it leaves a checkpoint with only what was added.

# %%
losses = []
folder = Path(tempfile.mkdtemp()) / "retrofit"
note = lambda progress: losses.append(progress.loss)
retrofitting.quiet(train, experiment, folder, on_progress=note)
for step in range(0, 100, 20):
    print(f"steps {step + 1:>3} to {step + 20:>3}: loss {np.mean(losses[step : step + 20]):.2f}")

# %% [markdown]
# A guess among ten digits costs ln 10 = 2.30 nats. SmolLM2 learns the form first, that a digit
# comes, and then, within some dozens of steps, which one. The tiny model begins with a guess among
# all of its 40 words, ln 40 = 3.69, and stays unsure for long, even where its best guess is right.

# %%
checkpoint = retrofitting.quiet(workbench.load, folder)
for n, scores in checkpoint.provenance["metrics"]["passes"].items():
    low, high = scores["interval"]["accuracy"]["1"]
    print(f"N = {n}: {scores['accuracy']['1']:.2f} right, 95 % interval {low:.2f} to {high:.2f}")

# %% [markdown]
# **How to read it.** With $N = 0$ the sentences are read and nothing is kept: that is the base after an
# eviction, and it guesses. To recall a fact, one pass is enough; more passes must not hurt, and the
# loop was trained for that. This task says nothing about whether more sleep helps; notebook 9 does.
#
# ## Look inside
#
# Who wrote $S$? The share of each token over all passes, booked as in notebook 5:

# %%
found = retrofitting.who_wrote(checkpoint.model, task, batch, checkpoint.sleep.with_passes(2))
for word, share in found:
    print(f"{word:>8} {share:6.1%} {'#' * round(100 * max(0, share))}")

# %% [markdown]
# Look for the numbers: what the questions ask is what has to be kept, and here that is the digit, in
# the place that its name leads to. Compare with `first_model(experiment)`, which has learnt nothing.

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
# # 3. Stepping through sleep
#
# In notebook 2 a sleep was a loop of one line. Here you take it apart: stop after every pass, look
# at the memory, wake the model early and ask it, and let it sleep longer than it ever has. Then you
# test a sentence that sounds like proof, "the memory changes less and less", against a baseline that
# does no thinking at all; and you let the model decide for itself how long to sleep.
#
# About 40 minutes to read and try, under a minute to run; nothing is fetched. Five exercises, as
# before: a cell to complete, a check in a sentence, a folded solution.

# %%
import numpy as np
import torch

import workbench
from sleep_course import inside, pictures, stepping
from sleep_course.exercises import stepping as exercises
from workbench import figures
from workbench.instruments.change import change
from workbench.notebook import setup
from workbench.notebook.exploring import explore
from workbench.sleep import SleepPass, read, until_answers_settle, wake_now
from workbench.tasks import batch_generator

setup(panel=False)

# %% [markdown]
# ## Algorithm 1 is a generator
#
# The paper's algorithm fits on a slide:
#
#     S := 0
#     for each window:
#         h := Embed(tokens)
#         nothing to predict:  repeat N times:  h, S := Blocks(h, S)       sleep
#         something:           h, S := Blocks(h, S);  answers := Head(h)   wake
#         evict the cache; throw h away; S goes on
#
# `workbench.read` is this loop, and it stops after every pass to hand out what has happened, an
# **event**: a `SleepPass`, a `Wake` or an `Eviction`. There is no other copy of the algorithm: what
# trains the models pulls the same events. Here is a model whose edges lie in *two* windows.

# %%
two = workbench.load("depo-n8-w2-any")
batch = two.task.sample(64, batch_generator(1, 0, "notebook"))
one = batch.examples(slice(0, 1))
print(two.task.text(one, 0), "\n")
for event in read(two.model, one, two.sleep.with_passes(3)):
    here = event.window
    where = f"window {here.index}, tokens {here.start}..{here.stop - 1}"
    print(f"{where}: {stepping.name_of(event)}")

# %% [markdown]
# ### Exercise 1
#
# Foretell it. `labelled` says of each window whether anything in it is to be predicted, `n` is $N$.
# Give back the words above: `"pass 1"`, ..., `"wake"`, `"eviction"`.


# %%
def events_of(labelled, n):
    ...  # TODO: a list of words, window by window


exercises.check_events(events_of)


# %% jupyter={"source_hidden": true} tags=["solution"]
def events_of(labelled, n):
    words = []
    for awake in labelled:
        words += ["wake"] if awake else [f"pass {i}" for i in range(1, n + 1)]
        words.append("eviction")
    return words


exercises.check_events(events_of)

# %% [markdown]
# ## Stop where you like
#
# A generator does nothing until it is asked for the next event, and nothing more when nobody asks.
# So a sleep can be left in the middle, looked at, and gone on with, or not.

# %%
with torch.no_grad():
    events = read(two.model, one, two.sleep.with_passes(3))
    first, second = next(events), next(events)  # two passes have been run, and no third
for event in (first, second):
    (layer,) = event.memory.fast_weights
    size = event.memory.fast_weights[layer].norm().item()
    print(f"{stepping.name_of(event)}: |S| = {size:.2f}, features left: {event.hidden is not None}")

# %% [markdown]
# Every event carries the memory *after* it, as a separate value: later passes do not change it.
#
# ### Exercise 2
#
# Complete `memory_after`: from the events of a reading, the memory after one pass of one window.
# A sleep pass has `event.window.index` and `event.sleep_pass`; the other events have no
# `sleep_pass`, so ask first: `isinstance(event, SleepPass)`. Do not run passes that nobody needs.


# %%
def memory_after(events, window, sleep_pass):
    ...  # TODO: pull events one by one, and stop in time


exercises.check_memory_after(memory_after)


# %% jupyter={"source_hidden": true} tags=["solution"]
def memory_after(events, window, sleep_pass):
    for event in events:
        if isinstance(event, SleepPass):
            if (event.window.index, event.sleep_pass) == (window, sleep_pass):
                return event.memory


exercises.check_memory_after(memory_after)

# %% [markdown]
# ## Walk through it
#
# A model of one sleeping window from here on: `depo-n8-any`, trained with a random $N$ from 1 to 4.
# Let it sleep 8 passes, twice as long as ever in its training, and record all of it. A recording is
# a **trace**: a tree of arrays whose axes have names.

# %%
checkpoint = workbench.load("depo-n8-any")
model, task, sleep = checkpoint.model, checkpoint.task, checkpoint.sleep.with_passes(8)
trace = workbench.record(model, batch, sleep, task=task)
states = trace["states"]["fast_weight"]
print(dict(states.sizes))

# %% [markdown]
# The **theatre** plays a whole sleep. Press play, or step with the arrow keys: the text, what the KV
# cache has forgotten, the memory $S$, and what the model would answer if it woke at this moment. The
# numbers 1 to 8 choose $N$. Move slowly from pass 0 to pass 8, then try another head.

# %%
workbench.theatre(checkpoint, example=5, passes=8)

# %% [markdown]
# **How to read it.** Rows of a matrix are keys, columns values, and all passes share one scale of colours.
# At pass 0 the memory is empty. Pass 1 writes most of it, the next passes change it visibly, the
# last ones hardly at all. One answer after another turns right. Does *every* change of $S$ mean
# something? That cannot be seen here, so the next sections measure it.
#
# The theatre also tells a story in six scenes: what a window is, why the cache is emptied, why one pass is
# not enough. In each you predict first, and then watch. It takes about five minutes, and you can leave it for
# a look around whenever you like.

# %%
workbench.theatre(checkpoint, story=True)

# %% [markdown]
# ## Wake it now
#
# `wake_now` evicts, reads the questions with the memory as it is now, and gives back logits: for each
# place and each symbol how likely that symbol is to come *next*.
#
# ### Exercise 3
#
# Complete `share_right`: which share of the labelled tokens is predicted right? `logits` are
# `[batch, token, symbol]`, `tokens` and `labelled` are `[batch, token]`. Mind what a place predicts.


# %%
def share_right(logits, tokens, labelled):
    ...  # TODO: the likeliest symbol at place t is the answer to token t + 1


exercises.check_share_right(share_right)


# %% jupyter={"source_hidden": true} tags=["solution"]
def share_right(logits, tokens, labelled):
    best = logits.argmax(-1)[:, :-1]
    asked = labelled[:, 1:]
    return (best == tokens[:, 1:])[asked].mean()


exercises.check_share_right(share_right)

# %%
passes = inside.sleep_passes(model, batch, sleep)
memories = [model.empty_memory(64), *(event.memory for event in passes)]
with torch.no_grad():
    for n in (0, 1, 2, 4):
        shares = []
        for wake in wake_now(model, batch, sleep, memories[n], after=0):
            tokens, labelled = wake.window.tokens.numpy(), wake.window.loss_mask.numpy()
            shares.append(share_right(wake.logits.numpy(), tokens, labelled))
        print(f"woken after pass {n}: {np.mean(shares):.2f} right")

# %%
woken = inside.by_difficulty(trace, trace["readout"]["correct"].sel(window=0))
pictures.curves(
    woken.sleep_pass.values,
    {f"{hops} hops": woken.sel(difficulty=hops).values for hops in woken.difficulty.values},
    dashed={"a guess among the other 7 nodes": [1 / 7] * 9}, y_range=(0, 1.02),
    title="Woken after each pass: share of answers right (trained with N from 1 to 4)",
    x_title="sleep passes before waking", y_title="share right",
)

# %% [markdown]
# **How to read it.** In this model each pass brings more hops within reach: one hop after one pass,
# two after two, the rest soon after. This picture is also that of **$N$ at test time**: a sleep broken
# off after pass $n$ *is* a sleep with $N = n$, since nothing in a pass depends on how many are to
# come. So the two agree by construction, and one is not evidence for the other. Beyond pass 4 the
# model does what it was never trained to do, and keeps its answers nearly as they are.
#
# **What it cannot tell you.** These are 64 rings and one model, trained with several $N$. Notebook 9
# shows models trained with a single $N$: how far their answers hold beyond it differs.
#
# ## "It changes less and less"
#
# How much does each pass change the memory? $|S_n - S_{n-1}| / |S_n|$, all heads together:

# %%
measured = change(trace)["memory_change"].sel(window=0).mean("example")
measured.sel(procedure="sleep").values.round(3)

# %% [markdown]
# From 0.9 down to 0.05: it changes less and less. It is tempting to say: the model is *settling on an
# answer*. But notebook 1 had something that settles and thinks nothing: write the same pairs again
# and again, and the delta rule changes less each time, because what it would write is there already.
#
# ### Exercise 4
#
# Make that baseline. Take what pass 1 wrote, freeze it, and write exactly this again $n$ times, `S`
# going on from one time to the next. `writes` is a list of `(k, v, beta, a)`, one for each token, and
# `gated_write` is the rule from notebook 1. Give back the list of `S` after each time through.


# %%
def gated_write(S, k, v, beta, a):
    S = a * S
    return S + beta * np.outer(k, v - S.T @ k)


def replay(S, writes, n):
    ...  # TODO: n times through all writes; keep S after each time


exercises.check_replay(replay)


# %% jupyter={"source_hidden": true} tags=["solution"]
def replay(S, writes, n):
    after = []
    for _ in range(n):
        for k, v, beta, a in writes:
            S = gated_write(S, k, v, beta, a)
        after.append(S)
    return after


exercises.check_replay(replay)

# %% [markdown]
# On the trained model, one head of one ring, with what the trace has recorded of pass 1:

# %%
pass_1 = trace["writes"].to_dataset().isel(example=0, window=0, layer=0, gdn_head=0, sleep_pass=0)
writes = list(zip(
    pass_1.write_key.values, pass_1.write_value.values, pass_1.beta.values,
    np.exp(pass_1.log_decay.values), strict=True,
))  # fmt: skip
replayed = [np.zeros((16, 16)), *replay(np.zeros((16, 16)), writes, 8)]
slept = states.isel(example=0, window=0, layer=0, gdn_head=0).values
for name, S in (("sleep ", slept), ("replay", replayed)):
    steps = [np.linalg.norm(S[n] - S[n - 1]) / np.linalg.norm(S[n]) for n in range(1, 9)]
    print(name, " ".join(f"{step:.2f}" for step in steps))

# %% [markdown]
# And for all heads and all 64 rings, by the workbench's instrument, which refuses to give one without
# the other:

# %%
pictures.curves(
    range(1, 9),
    {"sleep": measured.sel(procedure="sleep").values[1:]},
    dashed={"frozen replay": measured.sel(procedure="frozen replay").values[1:]},
    title="Change of S per pass, next to the same writes made again", y_range=(0, 1.05),
    x_title="sleep pass", y_title="|S(n) - S(n-1)| / |S(n)|",
)

# %% [markdown]
# **How to read it.** Passes 2, 3 and 4 change the memory far more than the replay: there the model
# writes *something else* than before. From pass 5 on both lines are close together: that the sleep
# changes less and less **there** says nothing, for a replay, which cannot think, does the same.
# So "it converges" is never shown by such a curve alone. What was gained in passes 2 to 4 is shown by
# the answers, in the picture before.
#
# The same, window by window and with how far the memory *turns*; the replay is dashed. Try the heads.

# %%
explore(figures.change_against_replay, change(trace.isel(example=slice(0, 8))), trace=trace)

# %% [markdown]
# ## Sleep as long as you need
#
# $N$ need not be a number. After every pass a **rule** may look at the memory and say: enough.
#
# ### Exercise 5
#
# Complete `settled`. It gets `S` before and after a pass, each `[head, key, value]`, and says whether
# **no** head has changed by more than a tenth of its own norm.


# %%
def settled(before, after):
    ...  # TODO: one norm for each head; all of them must have settled


exercises.check_settled(settled)


# %% jupyter={"source_hidden": true} tags=["solution"]
def settled(before, after):
    step = np.linalg.norm(after - before, axis=(1, 2))
    return bool((step <= 0.1 * np.linalg.norm(after, axis=(1, 2))).all())


exercises.check_settled(settled)

# %% [markdown]
# Your rule, another that stops once no *answer* has changed during a pass (it wakes the model after
# every pass to see), and fixed $N$ to compare with. Each ring sleeps on its own, 12 passes at most.

# %%
rules = {"your rule, memory settled": stepping.rule_of(settled)}
rules["answers settled"] = until_answers_settle
for name, rule in rules.items():
    print(f"{name:<26}", stepping.each_alone(model, batch, sleep, rule))
for n in (2, 3, 4, 6):
    print(f"N = {n:<22}", stepping.each_alone(model, batch, sleep.with_passes(n)))

# %% [markdown]
# **How to read it.** The rule on the memory sleeps 6 passes on nearly every ring: it is adaptive in
# name. You know why: what it waits for comes about by arithmetic, at nearly the same pass whatever
# is in the memory. The rule on the answers sleeps from 2 to 5 passes, fewer on average than 4, and is
# right nearly as often.
#
# **Honest limits.** The second rule has to know the questions while it sleeps, and pays for a
# wake after every pass; a model that sleeps *before* it is asked has neither. And the differences
# in the last column are a handful of the 512 answers. A rule that looks at the memory alone and
# stops for a better reason would be worth finding.
#
# ## What you have seen
#
# - Algorithm 1 is a generator: every pass is an event, and nothing runs until it is asked for.
# - A sleep broken off after pass $n$ is a sleep with $N = n$. Woken early, the model knows the near
#   hops and not yet the far ones.
# - "It changes less and less" is true of a replay as well. Compare with it, or say nothing.
# - A sleep can end by a rule. What the rule looks at decides whether it is worth anything.
#
# **To go on**: give `two` a rule (its second window starts from what the first left); try 0.01
# in place of 0.1 in `settled`; set `every_output=True` in `read` to keep the features of the last pass.
# `workbench serve` plays the same sleeps on its page *Explore*, with three lenses on the memory.

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
# # 2. The hybrid and the eviction boundary
#
# Notebook 1 built a memory that one can write to. A language model that sleeps has such memories
# *and* the usual one, a KV cache. This notebook puts both side by side, cuts a text into windows by
# hand, throws the cache away by hand, and looks at what is left. At the end you will have written
# the loop of a sleeping model yourself, and it will give the workbench's own numbers.
#
# About 40 minutes to read and try, a few seconds to run; nothing is fetched. Five exercises, as in
# notebook 1: a cell to complete, a check in a sentence, a folded solution.

# %%
import numpy as np
import torch

import workbench
from sleep_course import boundary, pictures
from sleep_course.exercises import boundary as exercises
from workbench.notebook import setup
from workbench.sleep import SleepPass, read
from workbench.tasks import batch_generator

setup(panel=False)

# %% [markdown]
# ## Two memories in one model
#
# A **hybrid** is a stack of blocks of two kinds. An *attention* block keeps a key and a value of
# every token it has read: the KV cache. It can look each of them up again, word for word. A
# *fast-weight* block keeps one matrix `S` for each head, and every token is written into the same
# one, as in notebook 1. Here is the smallest hybrid there is.

# %%
checkpoint = workbench.load("depo-n8-any")
model, task, sleep = checkpoint.model, checkpoint.task, checkpoint.sleep.with_passes(4)
config = model.config
for number, kind in enumerate(config.layers):
    print(f"block {number}: {kind}")
print(f"width {config.width}; {config.gdn_heads} heads of S, {config.key_dim} x {config.value_dim}")

# %% [markdown]
# How much does each of them hold?
#
# ### Exercise 1
#
# Complete `cache_numbers`, the numbers in the KV cache of one attention layer after some tokens, and
# `fast_numbers`, the numbers in `S` of one fast-weight layer. All heads of an attention layer
# together are as wide as the layer, so you need not count them one by one.


# %%
def cache_numbers(tokens, width):
    ...  # TODO: what does each token leave behind, and how wide is it?


def fast_numbers(heads, key, value):
    ...  # TODO: one matrix for every head


exercises.check_sizes(cache_numbers, fast_numbers)


# %% jupyter={"source_hidden": true} tags=["solution"]
def cache_numbers(tokens, width):
    return 2 * tokens * width


def fast_numbers(heads, key, value):
    return heads * key * value


exercises.check_sizes(cache_numbers, fast_numbers)

# %%
batch = task.sample(64, batch_generator(1, 0, "notebook"))
full = boundary.before_eviction(model, batch, sleep)  # after 16 tokens, nothing evicted yet
print("counted by you:", fast_numbers(config.gdn_heads, config.key_dim, config.value_dim), "and",
      cache_numbers(16, config.width))
print("in the model:  ", boundary.numbers(full))

# %%
lengths = [1, 2, 4, 8, 16, 32, 64, 128, 256]
pictures.curves(
    lengths,
    {
        "KV cache": [cache_numbers(tokens, config.width) for tokens in lengths],
        "S": [fast_numbers(config.gdn_heads, config.key_dim, config.value_dim)] * len(lengths),
    },
    log_x=True, title="Numbers held after so many tokens (one layer of each kind)",
    x_title="tokens read", y_title="numbers",
)

# %% [markdown]
# In this model `S` is as large as the cache of 8 tokens, and stays so. What is in it is mixed: no
# token has its own place. The question of the whole series is what a model can put into this
# room if it is given time.
#
# ## Cutting the text
#
# So that the cache does not grow without end, the text is cut into **windows** of at most $L$
# tokens. After each window the cache is **evicted**.
#
# ### Exercise 2
#
# Complete `cut`: the windows of a text, as (start, stop) with `stop` excluded, like a slice.


# %%
def cut(tokens, window):
    ...  # TODO: a list of pairs; the last window may be shorter


exercises.check_cut(cut)


# %% jupyter={"source_hidden": true} tags=["solution"]
def cut(tokens, window):
    return [(start, min(start + window, tokens)) for start in range(0, tokens, window)]


exercises.check_cut(cut)

# %% [markdown]
# The task, Depo, writes a ring of 8 nodes as 8 shuffled edges, and then asks which node lies $k$
# steps from another one. `6>7` is an edge of two tokens; `3:7=3` is a question of four: three steps,
# from node 7, the mark ANS, and the answer, node 3.

# %%
names = task.render(batch, 0)
for start, stop in cut(batch.tokens.shape[1], sleep.window):
    asked = batch.loss_mask[0, start:stop].sum()
    print(f"tokens {start:2}..{stop - 1}, {asked} to be predicted:", " ".join(names[start:stop]))

# %% [markdown]
# The first window holds all edges and nothing to predict. The other two hold the questions, and when
# they are read, the edges have been evicted. That is the whole point of this task: **no edge and its
# question are ever in the same cache**.
#
# ## Hard or sliding
#
# Two ways to evict are in use. **Hard**: the whole cache goes. **Sliding**: the newest $L - 1$
# tokens stay, so that the next token sees $L$ tokens, itself included.
#
# ### Exercise 3
#
# Complete `may_see`: can the token at place `reader` look at the token at place `read` through the
# cache? Places count from 0 through the whole text; a token sees itself; nobody sees ahead.


# %%
def may_see(reader, read, window, eviction):
    ...  # TODO: True or False; eviction is "hard" or "sliding"


exercises.check_may_see(may_see)


# %% jupyter={"source_hidden": true} tags=["solution"]
def may_see(reader, read, window, eviction):
    if read > reader:
        return False
    if eviction == "hard":
        return reader // window == read // window
    return reader - read < window


exercises.check_may_see(may_see)

# %% [markdown]
# Your rule, and what an attention layer really does. The lower two pictures are found out by trying:
# change one token, read again, and see which outputs have changed.

# %%
kinds = ("hard", "sliding")
places = range(12)
panels = {
    f"your rule, {kind}": np.array([[may_see(i, j, 4, kind) for j in places] for i in places])
    for kind in kinds
}
panels |= {f"tried out, {kind}": boundary.reach(12, 4, kind) for kind in kinds}
pictures.matrices(
    {name: panel.astype(np.float32) for name, panel in panels.items()}, columns=2, bound=1.0,
    diverging=False, title="Who can look at whom: 12 tokens, window 4 (1: yes)",
    x_title="token looked at", y_title="token that reads",
)

# %% [markdown]
# Hard eviction cuts the text into pieces that know nothing of each other, so whatever is older can be
# known only through `S`. Sliding eviction is softer: what is $L$ tokens back is out of sight too, but
# with several attention layers a token between the two can pass something on, a little further with
# every layer.
#
# ## What crosses
#
# A `Memory` in this workbench holds three things, by layer: `fast_weights` (the matrices `S`), `kv`
# (the caches), and `conv_tails` (the last inputs of a short convolution inside the fast-weight
# layers; each window starts with fresh ones here).
#
# ### Exercise 4
#
# Evict by hand: from the memory at the end of a window, make what crosses the boundary.
# `memory.replace(kv=..., conv_tails=...)` makes a new memory; `memory.kv` is a dictionary, and
# `cache.newest(n)` is the cache of the newest `n` tokens.


# %%
def after_eviction(memory, window, eviction):
    ...  # TODO: S crosses as it is; what else, and how much of it?


exercises.check_after_eviction(after_eviction)


# %% jupyter={"source_hidden": true} tags=["solution"]
def after_eviction(memory, window, eviction):
    kept = {}
    if eviction == "sliding":
        kept = {layer: cache.newest(window - 1) for layer, cache in memory.kv.items()}
    return memory.replace(kv=kept, conv_tails={})


exercises.check_after_eviction(after_eviction)

# %%
for kind in kinds:
    print(f"{kind:<8}", boundary.numbers(after_eviction(full, sleep.window, kind)))

# %% [markdown]
# Not only the cache goes: the **features**, the numbers that flow through the blocks and that all
# this reading has refined, are thrown away too. `S` alone crosses a hard boundary.
#
# ## The loop
#
# Now everything is there to read a window the way the paper does. A plain hybrid reads it once: it
# turns tokens into features `h`, sends them through the blocks, and on the way every fast-weight
# block writes into its `S`. A **sleep** does the same $N$ times, and feeds the features that come
# out back in:
#
# $$h \leftarrow \mathrm{Embed}(c); \qquad \text{repeat } N \text{ times: } \;
# h, S \leftarrow \mathrm{Blocks}(h, S)$$
#
# `S` starts where the window before left it, and is never reset in between.
#
# ### Exercise 5
#
# Complete `sleep_on`. You are given two functions: `embed(tokens)` gives `h`, and
# `one_pass(h, memory)` gives back a new `h` and a new memory.


# %%
def sleep_on(tokens, memory, n, embed, one_pass):
    ...  # TODO: three lines; give back what crosses the boundary


exercises.check_sleep_on(sleep_on)


# %% jupyter={"source_hidden": true} tags=["solution"]
def sleep_on(tokens, memory, n, embed, one_pass):
    h = embed(tokens)
    for _ in range(n):
        h, memory = one_pass(h, memory)
    return memory


exercises.check_sleep_on(sleep_on)

# %% [markdown]
# Your loop on the trained model, against the workbench's (`workbench.read`, which notebook 3 takes
# apart): the same `S`, number by number?

# %%
edges = torch.as_tensor(batch.tokens[:, : sleep.window])
one_pass = boundary.one_pass_of(model)
with torch.no_grad():
    for n in (1, 4):
        mine = sleep_on(edges, model.empty_memory(64), n, model.embed, one_pass).fast_weights[1]
        passes = [e for e in read(model, batch, sleep.with_passes(n)) if isinstance(e, SleepPass)]
        apart = (mine - passes[-1].memory.fast_weights[1]).abs().max().item()
        print(f"N = {n}: largest difference of a number in S {apart:.1e}")

# %% [markdown]
# **Why $N = 1$ is the plain hybrid.** With $N = 1$ the loop runs once, and nothing is repeated: the
# window is read as any hybrid of attention and fast weights reads it. (With sliding eviction that is
# the sliding-window hybrid that many models of today are.) So sleep is not a new kind of model. It is
# one number of an old kind, and $N = 1$ is the fair thing to compare with.
#
# ## Does it matter?
#
# The same model, asked in five ways. Chance is 0.14 (notebook 1).

# %%
asked_in = {
    "S erased: the questions alone": (batch.token_range(sleep.window, 48), sleep),
    "N = 1: the plain hybrid": (batch, sleep.with_passes(1)),
    "N = 4": (batch, sleep),
    "N = 4, sliding": (batch, sleep.model_copy(update={"eviction": "sliding"})),
    "nothing evicted, one window": (batch, sleep.model_copy(update={"window": 48})),
}
print(f"{'share of answers right':<32}1 hop  2 hops  3 hops  4 hops")
for name, (what, how) in asked_in.items():
    shares = boundary.accuracy(model, what, how).values()
    print(f"{name:<32}" + "   ".join(f"{share:.2f}" for share in shares))

# %% [markdown]
# **How to read it.** Without the edges this model is right about as often as a guess. One pass is
# enough for one hop, which is an edge that was read; this model needs more passes for more hops,
# which have to be put together. With sliding eviction, which it was not trained with, it does a
# little worse.
#
# **What it cannot tell you.** The first row is about *this* model. The answers to earlier questions
# stand in the text, and a model that learns to combine them can be right much more often than 0.14
# without a single edge: notebook 9 shows how much. The last row is *not* attention against sleep.
# With nothing evicted nobody sleeps, and the edges are read once, in a window longer than any the
# model was trained on. That it does badly shows only that this model's answers come from a sleep.
# How well a model does that was trained to attend needs its own training run.
#
# ## What does it cost?
#
# Sleeping is work: $N$ passes over the window. Answering is one pass, whatever $N$ was. Measured on
# your machine, now, for 64 sequences at a time:

# %%
tried = [1, 2, 4, 8]
taken = boundary.milliseconds(model, batch, sleep, tried)
pictures.curves(
    tried, {"asleep, 16 tokens": taken["asleep"], "awake, 32 tokens": taken["awake"]},
    title="Time to sleep on the edges and to answer the questions", x_title="sleep passes N",
    y_title="milliseconds for 64 sequences",
)

# %% [markdown]
# The line of sleeping rises with $N$, the line of waking does not. (Single points jump when the
# machine does something else.) With $N = 1$ sleeping is cheaper than you would expect: the *last*
# pass of a sleep ends at the last fast-weight layer, since nobody will read the features above it.
#
# So a model that sleeps moves work from the moment when somebody waits for an answer to the moment
# before the cache is thrown away. In training it is paid in full; notebook 9 does that sum.
#
# ## What you have seen
#
# - A hybrid has two memories. The KV cache keeps every token and grows; `S` has a fixed size, here
#   that of 8 tokens.
# - Text is cut into windows. Hard eviction clears the cache: what is older can be known only through
#   `S`. Sliding keeps the newest $L - 1$ tokens.
# - A sleep is a loop of one line around the blocks: features go from pass to pass, `S` goes on and
#   on, and at the end `S` alone is kept. $N = 1$ is the plain hybrid.
# - Sleeping costs $N$ passes; answering costs one.
#
# **To go on**: try a window of 8 (`sleep.model_copy(update={"window": 8})`), so that the edges lie
# in two windows. This model was not trained for it; `workbench.load("depo-n8-w2-any")` was. Notebook
# 3 stops a sleep after each of its passes.

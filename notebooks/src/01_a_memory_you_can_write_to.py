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
# # 1. A memory you can write to
#
# A model that sleeps throws its KV cache away and keeps one thing: a few small matrices, called
# **fast weights**. This notebook builds such a memory by hand, finds out where it fails, mends it
# step by step until it is the rule the models use, and ends inside a trained model: you will see
# its memory change from pass to pass, wake it early, and take a part of its memory away.
#
# About 40 minutes to read and try, under a minute to run; nothing is fetched. You need to know
# what a matrix product is and to have seen NumPy.
#
# Five exercises. Each has a cell to complete, a check that says in a sentence what is right or
# what to look at next, and a folded solution below it. The notebook runs from top to bottom as it
# is: checks then say "not yet", and the solutions take over.

# %%
import numpy as np
import torch

import sleep_kernels
import workbench
from sleep_course import associative, inside, pictures
from sleep_course.exercises import associative as exercises
from workbench.instruments.readout import crosstalk
from workbench.notebook import setup
from workbench.tasks import batch_generator

setup(panel=False)

# %% [markdown]
# ## One pair
#
# The memory is a matrix `S` with one row for each entry of a **key** and one column for each entry
# of a **value**. Writing a pair adds the outer product $k v^\top$; reading with a query $q$ is
# $o = S^\top q$. Read with the key you wrote, and if that key has length 1 the value comes back:
#
# $$S^\top k = (k v^\top)^\top k = v\,(k^\top k) = v.$$
#
# So keys are always scaled to length 1. Values may be anything.

# %%
k = np.array([0.6, 0.0, 0.8, 0.0])  # 0.36 + 0.64 = 1
v = np.array([1.0, -2.0, 3.0])
S = np.outer(k, v)  # [key, value]

print("S is", S.shape, "and reading with k gives", S.T @ k)
pictures.matrices({"S = k vᵀ": S}, title="One pair in a memory", x_title="value", y_title="key")

# %% [markdown]
# Every row of the picture is the same value `v`, scaled by one entry of the key: the pair is
# spread over the whole matrix. Nothing in it is "the place where the pair is stored".
#
# ### Exercise 1
#
# Complete `write` (add a pair to what `S` holds already) and `read`. Make a new matrix rather than
# changing `S` in place; the memory of one pass is still needed after the next.


# %%
def write(S, k, v):
    ...  # TODO: S and the outer product of k and v


def read(S, q):
    ...  # TODO: S transposed, times q


exercises.check_write_and_read(write, read)


# %% jupyter={"source_hidden": true} tags=["solution"]
def write(S, k, v):
    return S + np.outer(k, v)


def read(S, q):
    return S.T @ q


exercises.check_write_and_read(write, read)

# %% [markdown]
# ## Many pairs: interference
#
# Write a second pair and read the first. What comes back is $v_1 + v_2 (k_2^\top k_1)$: the right
# value, plus the other one times the cosine between the keys. With right angles between keys
# nothing is added, and a key of $d$ entries leaves room for $d$ such keys. But a network does not
# get to choose right angles for words it has not met yet. Random keys of $d$ entries have a
# squared cosine of $1/d$ on average, so with $n$ pairs we expect a recall error of
#
# $$\sqrt{(n-1)/d}$$
#
# relative to the value's length: 0 is perfect, 1 is as bad as an empty memory. Dashed is this
# formula; the dots are measured, on the operator the models use.

# %%
counts = [1, 2, 4, 8, 16, 32, 64]
dims = [8, 16, 32, 64]
measured = {
    f"d = {d}": [associative.recall_error(n, d, rule="outer") for n in counts] for d in dims
}
expected = {
    f"d = {d}, formula": [associative.expected_outer_error(n, d) for n in counts] for d in dims
}
pictures.curves(
    counts, measured, dashed=expected, log_x=True, y_range=(0, 2),
    title="Outer products: recall error against the number of pairs",
    x_title="pairs stored", y_title="recall error (1 = empty memory)",
)

# %% [markdown]
# The memory fills gradually; it never says "full". Twice the key length buys twice the pairs at
# the same error. (The matrix grows with the *square* of $d$ if values grow along.)
#
# Random keys are the friendly case. Keys that a network computes often share a direction (the
# trained model at the end of this notebook will print its own). Below, 8 pairs, $d = 16$, and keys
# that share a given cosine.

# %%
overlaps = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
rules = {
    rule: [associative.recall_error(8, 16, rule=rule, overlap=c) for c in overlaps]
    for rule in ("outer", "delta")
}
pictures.curves(
    overlaps, rules, y_range=(0, 2.5),
    title="Similar keys: outer product against delta rule (8 pairs, d = 16)",
    x_title="cosine between any two keys", y_title="recall error (1 = empty memory)",
)

# %% [markdown]
# ## The delta rule: look before you write
#
# The line called "delta" does better, and the more so the more the keys overlap. Its idea: before
# writing $v$ under $k$, ask the memory what it answers for $k$ already, and write only the
# difference:
#
# $$S' = S + \beta\,k\,(v - S^\top k)^\top .$$
#
# Reading $k$ afterwards gives $(1-\beta)$ times the old answer plus $\beta$ times $v$. With
# $\beta = 1$ the old answer is replaced, with $\beta = 0$ nothing happens; the network chooses
# $\beta$ for every token.
#
# ### Exercise 2


# %%
def delta_write(S, k, v, beta):
    ...  # TODO: what does S answer for k? write beta times what is missing


exercises.check_delta_write(delta_write)


# %% jupyter={"source_hidden": true} tags=["solution"]
def delta_write(S, k, v, beta):
    return S + beta * np.outer(k, v - S.T @ k)


exercises.check_delta_write(delta_write)

# %% [markdown]
# ### Reading the same page twice
#
# Now the observation that makes sleep worth trying. Write all pairs, in order, and then write the
# very same pairs **again**. Under the outer product this only multiplies `S`: the second pass adds
# nothing that the first did not. Under the delta rule each pass mends what later pairs have
# damaged, and the error falls pass by pass (it is Kaczmarz's way of solving linear equations) - as
# long as there are fewer pairs than key entries. Beyond that no matrix holds them all.

# %%
passes = [1, 2, 3, 4, 6, 8, 16]
measured = {
    f"{n} pairs": [associative.recall_error(n, 16, rule="delta", passes=p) for p in passes]
    for n in (4, 8, 12, 16, 24)
}
pictures.curves(
    passes, measured, log_x=True, y_range=(0, 1.1),
    title="Delta rule, d = 16: the same pairs written several times over",
    x_title="passes over all pairs", y_title="recall error (1 = empty memory)",
)

# %% [markdown]
# A sleeping model does more than this. Between passes its features change too, so the second pass
# writes *other* keys and values. How much of a sleep's benefit is rewriting, and how much is
# thinking again? You can train a model to do only one of the two. Notebook 9 shows the runs that
# were recorded, and what five seeds can say about them.
#
# ## Beyond 1: a write that turns the sign
#
# With $v = 0$ the delta rule only multiplies what is stored under $k$ by $1 - \beta$. A sigmoid
# keeps $\beta$ between 0 and 1, so that factor is never negative: the memory can fade, never flip.
# Let $\beta$ go up to 2, and the factor reaches $-1$. That is enough to count modulo 2.

# %%
betas = np.linspace(0, 2, 21)
old, new = np.array([1.0, 0.0]), np.array([0.0, 1.0])
start = write(np.zeros((4, 2)), k, old)
answers = np.array([read(delta_write(start, k, new, b), k) for b in betas])
pictures.curves(
    betas, {"share of the old value": answers[:, 0], "share of the new value": answers[:, 1]},
    title="What k answers after one delta write", x_title="beta", y_title="share of the value",
)

# %% [markdown]
# ### Exercise 3
#
# A memory of a single number starts at `S = 1`. Bits come one by one; each writes $v = 0$ with
# key 1 and a strength of your choice. Choose the strength so that the **sign** of `S` tells at the
# end whether the number of ones was even (+) or odd (−).


# %%
def beta_for(bit):
    ...  # TODO: a strength between 0 and 2


exercises.check_parity(beta_for)


# %% jupyter={"source_hidden": true} tags=["solution"]
def beta_for(bit):
    return 2.0 if bit else 0.0


exercises.check_parity(beta_for)

# %% [markdown]
# The paper's rule keeps $\beta$ below 1. In this workbench the layer kind `delta_negative` goes up
# to 2.
#
# ## Decay: forgetting on purpose
#
# A memory that reads on and on fills up. So before each write all of `S` is multiplied by a factor
# $a \le 1$, again chosen by the network per token. A pair written $t$ tokens ago is then worth
# $a^t$: at $a = 0.9$ half of it is gone after 7 tokens, at $a = 0.99$ after 69. Dashed: $a^t$
# alone; the rest of the loss is interference.

# %%
decays, ages = [1.0, 0.99, 0.9, 0.7], np.arange(24)
pictures.curves(
    ages, {f"a = {a}": associative.share_by_age(24, 64, decay=a) for a in decays},
    dashed={f"{a} to the power of age": a**ages for a in decays},
    title="What is left of a pair, by its age (24 pairs, d = 64, delta rule)",
    x_title="age in tokens", y_title="share of the value that comes back",
)

# %% [markdown]
# A sleep reads its window $N$ times, so between the first pass's writes and the end lie $N$ times
# as many tokens: a decay that is harmless in one pass can empty the memory over four.
#
# ### Exercise 4
#
# Put the two together: decay first, then the delta rule *on the decayed memory*. This is the
# **gated delta rule**, the update that the paper and the bundled models use:
#
# $$S' = aS + \beta\,k\,(v - (aS)^\top k)^\top .$$


# %%
def gated_write(S, k, v, beta, a):
    ...  # TODO: you have delta_write already


exercises.check_gated_write(gated_write)


# %% jupyter={"source_hidden": true} tags=["solution"]
def gated_write(S, k, v, beta, a):
    return delta_write(a * S, k, v, beta)


exercises.check_gated_write(gated_write)

# %% [markdown]
# ## The same, as the models run it
#
# `sleep_kernels.gated_delta_rule` does this for a whole window of tokens at once: for every
# sequence of a batch and every head its own `S`. Shapes: keys `[batch, token, head, key]`, `S`
# `[batch, head, key, value]`. It takes the *logarithm* of the decay, and the state goes in and
# comes out, so a long text can be read in pieces.

# %%
pairs = associative.draw_items(20, 16, repeats=1, seed=5)
keys, values = (torch.from_numpy(part)[:, :, None] for part in pairs)  # [1, token, 1, key]
beta, a = 0.8, 0.95
ones = torch.ones(1, 20, 1)
result = sleep_kernels.gated_delta_rule(keys, keys, values, np.log(a) * ones, beta * ones)

by_hand = np.zeros((16, 16))
for key, value in zip(pairs.keys[0], pairs.values[0], strict=True):
    by_hand = gated_write(by_hand, key, value, beta, a)
print("largest difference:", np.abs(by_hand - result.state[0, 0].numpy()).max())

# %% [markdown]
# The two agree to rounding. The operator does not loop over tokens: it solves one triangular
# system per window, which gives the same numbers with far fewer, larger steps.
#
# ## A trained model's memory
#
# `depo-n8-any` has two blocks, one of attention and one of fast weights, 89,000 parameters in all.
# Its task, Depo: a ring of 8 nodes is written as 8 shuffled edges; then come questions of the form
# "which node is $k$ steps after this one?". When the questions come, the edges have been evicted.
# Whatever is to be answered must be in four matrices of 16 by 16.

# %%
checkpoint = workbench.load("depo-n8-any")
model, task, sleep = checkpoint.model, checkpoint.task, checkpoint.sleep.with_passes(4)
batch = task.sample(64, batch_generator(1, 0, "notebook"))

edges, questions = task.text(batch, 0).splitlines()
print("edges     ", edges, "\nquestions ", questions)

# %% [markdown]
# `6>7` is an edge; `3:7=3` says that three steps from node 7 is node 3. Now let the model sleep on
# the edges, $N = 4$ passes. `workbench.read` runs the paper's Algorithm 1 and yields after every
# pass, `workbench.record` keeps what each pass has written and left in `S`, and the **theatre**
# plays a whole sleep. Press play, or step with the arrow keys: `S` is empty at first, and then
# written four times. Try the four heads.

# %%
trace = workbench.record(model, batch, sleep, task=task)
context, queries = task.typed(batch, 0)
workbench.theatre(checkpoint, input=context, queries=queries, passes=4)

# %% [markdown]
# ### What comes back when we read it with its own keys?
#
# Every token wrote a value under a key. Read the memory with each of those keys and compare with
# what was written: the recall error of the first half of this notebook, inside a real model. It
# stores 16 tokens in 16 by 16 matrices, under keys that overlap (random ones would have a mean
# absolute cosine of 0.2).

# %%
errors, overlap = inside.recall_error(trace), inside.key_overlap(trace)
for head in range(4):
    cosines = " ".join(f"{cosine:.2f}" for cosine in overlap.isel(gdn_head=head).values)
    print(f"head {head}, mean |cosine| between two keys in pass 1..4: {cosines}")

pictures.curves(
    errors.sleep_pass.values,
    {f"head {h}": errors.isel(gdn_head=h).values for h in range(4)},
    title="How well S gives back what each pass wrote (64 examples)",
    x_title="sleep pass", y_title="recall error (1 = empty memory)", y_range=(0, 1.3),
)

# %% [markdown]
# Every pass writes its 16 tokens over what the passes before it left, and yet the last pass is
# recalled better than the first. Two things can do that: the delta rule mends when it meets the
# same keys again, as above, and the features settle, so that later passes write nearly the same.
# This figure cannot tell one from the other.
#
# Now one key at a time. Row $i$ of the next picture asks with the key of token $i$ (a node's name
# in an edge) and compares the answer with the value of every token, by cosine. An orange square
# on the diagonal means: this token's key returns this token's value. Stripes mean that many tokens
# share a value; a network has no duty to keep all of its tokens apart.

# %%
names = task.render(batch, 0)[:16]
returned = crosstalk(trace, window=0, sleep_pass=4)["cosine"].isel(example=0, layer=0)
pictures.matrices(
    {f"head {h}": returned.isel(gdn_head=h).values for h in range(4)},
    title="Asked with one token's key, which token's value comes back? (cosine)",
    x_title="token whose value it is", y_title="token whose key asks",
    x_text=names, y_text=names, bound=1.0, columns=2,
)

# %% [markdown]
# Tokens come in pairs, an edge's source and its target. In head 0 each **target** has a value of
# its own, which its own key returns; all sources share one. The other heads keep little apart that
# this picture can show. Remember head 0 for the last exercise.
#
# ### What would it answer if it woke now?
#
# We need not wait for the fourth pass. Take `S` as it is after each pass, wake the model with it,
# and ask the questions. The theatre above does it for one example: step through it again, and watch
# the questions. Below is the mean over all 64 examples, by number of hops.

# %%
probability = np.exp(trace["readout"]["log_prob"].sel(window=0))
woken = inside.by_difficulty(trace, probability)
pictures.curves(
    woken.sleep_pass.values,
    {f"{hops} hops": woken.sel(difficulty=hops).values for hops in task.difficulties},
    dashed={"a guess among the other 7 nodes": [1 / 7] * 5},
    title="Woken after each pass: probability of the right answer",
    x_title="sleep passes before waking", y_title="probability of the right node",
    y_range=(0, 1.02),
)

# %% [markdown]
# In this model one pass is enough for one hop, and the further the answer, the more passes it
# takes. Waking costs the same single pass every time: the work has been done before the question
# was asked.
#
# **What is chance here?** With the empty memory the model guesses. One to four steps on a ring of 8
# never lead back to where they began, so the answer is one of the 7 *other* nodes, and a model
# learns that early: a guess is right in 1/7 of the cases, 0.14. All notebooks draw this line. It is
# chance for the *first* question. The text also shows the right answers to the questions before, and
# they say something about the ring: a reader that never saw an edge, but uses every earlier answer,
# does better with each question. Notebook 9 draws that line too.
#
# ### Exercise 5: take a part of it away
#
# Which head do the answers hang on? Complete `without_head`: the same memory, with the matrix of one
# head set to zero. `memory.fast_weights[layer]` is `S`, `[batch, head, key, value]`;
# `memory.replace(fast_weights={**memory.fast_weights, layer: changed})` makes a new memory from a
# changed copy, and keeps the other layers of a model that has several.


# %%
def without_head(memory, layer, head):
    ...  # TODO: clone S, zero one head, put it into a new memory


exercises.check_without_head(without_head)


# %% jupyter={"source_hidden": true} tags=["solution"]
def without_head(memory, layer, head):
    changed = memory.fast_weights[layer].clone()
    changed[:, head] = 0
    return memory.replace(fast_weights={**memory.fast_weights, layer: changed})


exercises.check_without_head(without_head)

# %%
(layer,) = model.fast_weight_layers
memory = inside.sleep_passes(model, batch, sleep)[-1].memory
memories = {"whole memory": memory}
memories |= {f"without head {head}": without_head(memory, layer, head) for head in range(4)}
memories |= {f"erased (a guess: {1 / 7:.3f})": memory.erase()}
for name, changed in memories.items():
    print(f"{name:<26}{inside.accuracy(model, batch, sleep, changed):.3f} right")

# %% [markdown]
# What this cannot tell you: a head whose loss costs nothing may hold a copy of what others hold too.
# And a head whose loss costs much need not hold anything about *this* ring. Zero is a value the
# model never meets; it may miss a constant that is the same for every ring. Notebook 8 finds such a
# head among these four.
#
# ### Someone else's memory
#
# Last, a stronger test that the answers come from `S`: ask example $i$'s questions with example
# $i + 1$'s memory. `S` is all that crosses the boundary, so the model should now answer for the
# *other* ring, although the earlier answers in the text are still those of its own.

# %%
borrowed = memory.examples(torch.arange(64).roll(-1))
own, other = inside.answers_about(model, task, batch, sleep, borrowed)
print(f"right for its own ring    {own:.3f}\nright for the other ring  {other:.3f}")

# %% [markdown]
# ## What you have seen
#
# - A memory is a matrix; writing adds an outer product, reading is a product with a query.
# - Pairs interfere by the cosine of their keys. The delta rule writes only what is missing, which
#   helps most where keys overlap, and gains from writing the same window again.
# - $\beta$ up to 2 can flip what is stored; a decay $a$ forgets.
# - In a trained model this matrix is all that survives the eviction: wake it early, cut a head out
#   or swap the matrix, and the answers change accordingly.
#
# **To go on**: set `with_passes(8)` above - the model was trained with at most 4; sample another
# ring (`batch_generator(2, 0, "notebook")`); or take the later notebook cells to your own
# checkpoint: `workbench train data/configs/depo-n8-any.toml`, then `workbench.load("runs/...")`.

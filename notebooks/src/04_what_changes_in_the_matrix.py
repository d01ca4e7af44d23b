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
# # 4. What changes in the matrix
#
# A sleep leaves a stack of matrices, one for each pass. Here you ask that stack four questions: how
# many directions does the memory use, does it settle or go in a circle, whose value comes back for
# whose key, and (optional) are two passes alike? Each question has a number that is easy to compute
# and easy to believe. Each of these numbers can also tell a story that is not there, so next to each
# one stands what it says of something that cannot think.
#
# About 40 minutes to read and try, under a minute to run; nothing is fetched. Five exercises: a
# cell to complete, a check in a sentence, a folded solution. A solution that is run takes the place
# of your function: skip its cell to keep yours.

# %%
from functools import partial

import numpy as np
import torch

import workbench
from sleep_course import changing, pictures
from sleep_course.exercises import changing as exercises
from workbench import figures
from workbench.instruments.change import change, with_replay
from workbench.instruments.convergence import cka as debiased
from workbench.instruments.convergence import convergence, debiased_cka
from workbench.instruments.readout import crosstalk, readout
from workbench.instruments.spectra import spectra, spectra_of
from workbench.notebook import setup
from workbench.notebook.exploring import explore
from workbench.trace import batch_of, load_trace

setup(panel=False)

# %% [markdown]
# ## A trace, and no model
#
# All but one cell of this notebook works from a recording: 16 rings, read by `depo-n8-any`, 4 passes
# of sleep. Their edges stand in an order that no training has seen; the rings themselves it has, as
# there are only 5,040 rings of 8 nodes. Pass 0 is the memory before the sleep: empty.

# %%
trace = load_trace("depo-n8-any")
states = trace["states"]["fast_weight"]
asleep = states.sel(window=0).isel(layer=0)  # the window that is slept on, the only layer with S
print(dict(asleep.sizes))
print("share of answers right, woken after pass 0..4:", changing.share_right(trace)[:5].round(2))

# %% [markdown]
# ## How many directions?
#
# Every matrix is a sum of directions: $S = \sum_i s_i\,u_i w_i^\top$, a key pattern $u_i$, a value
# pattern $w_i$, and how strong it is, the *singular value* $s_i$. How many of them does a memory
# use? The textbook's answer is the **rank**: count the $s_i$ that are not zero. Try it on a matrix
# of which we know the answer, 64 x 64 and made of 4 directions.

# %%
rng = np.random.default_rng(0)
four = torch.from_numpy(rng.standard_normal((64, 4)) @ rng.standard_normal((4, 64)))
for dtype in (torch.float64, torch.float32, torch.bfloat16):
    rank = np.linalg.matrix_rank(four.to(dtype).double().numpy())
    print(f"{str(dtype).partition('.')[2]:<10} rank", rank)
print("S after pass 4, head by head:", np.linalg.matrix_rank(asleep.sel(sleep_pass=4)).mean(0))

# %% [markdown]
# Stored once in 32 or 16 bits and read again, four directions have become some 64: rounding puts a
# grain of dust into every direction, and rank counts dust. It says 16 of 16 of nearly every head
# here, and would say so of any memory. Look at the singular values themselves.

# %%
found = spectra(trace)
axes = ("example", "window", "layer", "gdn_head")
values = explore(figures.singular_values, found["singular_value"], trace=trace, over=axes, window=0)
values.controls["sleep_pass"].value = 4  # where the slider begins
values

# %% [markdown]
# **How to read it.** One line for a pass, on a logarithmic scale; the slider chooses which stands
# out. Go through the heads. Head 0 falls slowly over nine directions, and then steeply. Head 1
# drops to less than a fifth at once: one direction, and a long tail of weak ones.
#
# ### Exercise 1
#
# A measure that does not count dust. Let $p_i = s_i / \sum_j s_j$ be the share of each direction.
# The **effective rank** is $\exp(-\sum_i p_i \log p_i)$, exp of the entropy: as many directions as
# would have this entropy if all were equally strong. `np.linalg.svd(S, compute_uv=False)` gives
# the $s_i$.


# %%
def effective_rank(S):
    ...  # TODO: exp of the entropy of the shares


exercises.check_effective_rank(effective_rank)


# %% jupyter={"source_hidden": true} tags=["solution"]
def effective_rank(S):
    s = np.linalg.svd(S, compute_uv=False)
    p = s / s.sum()
    return np.exp(-(p * np.log(p)).sum())


exercises.check_effective_rank(effective_rank)

# %% [markdown]
# Two more are in use. *Stable rank* is $\sum s_i^2 / s_1^2$, and the *participation ratio*
# $(\sum s_i^2)^2 / \sum s_i^4$; both care less for weak directions. All of them after pass 4, means
# over the 16 rings:

# %%
last = found.sel(window=0, sleep_pass=4).isel(layer=0, drop=True).reset_coords(drop=True)
matrices = asleep.sel(sleep_pass=4).values  # [example, head, key, value]
by_hand = [[effective_rank(S) for S in heads] for heads in matrices]
measures = last[["effective_rank", "stable_rank", "participation_ratio"]].mean("example").assign(
    by_hand=("gdn_head", np.mean(by_hand, axis=0)),
    numerical_rank=("gdn_head", np.linalg.matrix_rank(matrices).mean(0)),
)
print(measures.round(1).to_dataframe().to_string())

# %% [markdown]
# **How to read it.** The measures disagree about how many, and agree about the order: head 0 uses
# most directions, head 1 fewest. So never say "the memory has rank 9"; say which measure, and
# compare like with like. Over the passes, next to the replay that you know from notebook 3 (what
# pass 1 wrote, written again; it cannot think):

# %%
ranks = with_replay(trace, spectra_of)["effective_rank"].isel(window=0, layer=0).mean("example")
heads = {f"head {h}": ranks.sel(procedure="sleep", gdn_head=h).values[1:] for h in range(4)}
again = ranks.sel(procedure="frozen replay").values[1:].T
pictures.curves(
    range(1, 5), heads, dashed={f"head {h}, replay": again[h] for h in range(4)},
    title="Effective rank of S per pass, next to the same writes made again", y_range=(0, 11),
    x_title="sleep pass", y_title="directions (of 16)",
)  # fmt: skip

# %% [markdown]
# **How to read it.** Solid is the sleep, dashed of the same colour its replay. Head 2 ends where
# its replay ends: from its spectrum alone you would not know that it has slept. Head 3 goes the
# other way: the replay spreads out, the sleep gathers on 5 directions. Head 0 keeps about one
# direction more than its replay.
#
# **What it cannot tell you.** Whether more directions are better. A rank knows how many, and not
# what they hold.
#
# ## It moves, and it turns
#
# You built the replay by hand; the instrument `change` gives it with every answer. Beside the size
# of a step it measures how far the memory **turns**: the largest angle between the two strongest
# key (or value) directions before a pass and after it. At 90° nothing of them is left.

# %%
explore(figures.change_against_replay, change(trace).mean("example"), trace=trace)

# %% [markdown]
# **How to read it.** Look at pass 2. In every head the key directions turn by some 60° to 75°
# (means over the rings), in the replay by 35° at most: the second pass writes under *other keys*
# than the first. In head 1 the replay turns by nothing at all: it erases the memory and writes the
# same again. The large turns are over after pass 2; by pass 4 sleep and replay are close, in size
# as in angle.
#
# ## Straight on, or in a circle?
#
# Steps get smaller. Does the memory approach something? Here are two made-up sleeps:

# %%
courses = changing.two_courses(7)
for name, made_up in courses.items():
    steps = np.linalg.norm(np.diff(made_up, axis=0), axis=(1, 2))
    print(f"{name:<11}", " ".join(f"{step:.2f}" for step in steps))

# %% [markdown]
# The same steps, to the last digit. But one walks straight to its end, and the other jumps from one
# side of it to the other: a cycle of two passes that dies out slowly. Size alone cannot tell them
# apart.
#
# ### Exercise 2
#
# Complete `two_step_ratio`: how far has it come in two passes, as a share of the way that was
# gone? $|S_n - S_{n-2}|$ divided by $|S_n - S_{n-1}| + |S_{n-1} - S_{n-2}|$, for $n = 2, 3,
# \ldots$ `states` is `[sleep_pass, key, value]`.


# %%
def two_step_ratio(states):
    ...  # TODO: one number for each n from 2 on


exercises.check_two_step_ratio(two_step_ratio)


# %% jupyter={"source_hidden": true} tags=["solution"]
def two_step_ratio(states):
    one = np.linalg.norm(states[1:] - states[:-1], axis=(1, 2))
    two = np.linalg.norm(states[2:] - states[:-2], axis=(1, 2))
    return two / (one[1:] + one[:-1])


exercises.check_two_step_ratio(two_step_ratio)

# %%
courses["head 0"] = asleep.isel(example=0, gdn_head=0).values
courses["head 1"] = asleep.isel(example=0, gdn_head=1).values
for name, course in courses.items():
    print(f"{name:<11}", two_step_ratio(course).round(2))

# %% [markdown]
# The made-up ones: 1 and 0.25. The model's heads begin low and come close to 1. Pass 2 takes back a
# part of what pass 1 did, the later ones go on in the direction they have. No cycle here. (At
# passes this few, "no cycle of two" is all that can be said.)
#
# ## Where would it end?
#
# If it approaches something, how far away is it? A tempting shortcut: call the last state the end
# and measure the way to it. By that measure every sleep arrives, even one that was broken off in
# the middle. The end, the **fixed point**, has to come from a longer run.
#
# ### Exercise 3
#
# Complete `distances`: for each pass of `states`, $|S_n - S^*| / |S^*|$, where $S^*$ is the last
# state of the `longer` run. Both are `[sleep_pass, key, value]`.


# %%
def distances(states, longer):
    ...  # TODO: how far from where a longer sleep ends


exercises.check_distances(distances)


# %% jupyter={"source_hidden": true} tags=["solution"]
def distances(states, longer):
    end = longer[-1]
    return np.linalg.norm(states - end, axis=(1, 2)) / np.linalg.norm(end)


exercises.check_distances(distances)

# %% [markdown]
# For the longer run we need the model, this once: the same 16 rings, 32 passes.

# %%
checkpoint = workbench.load("depo-n8-any")
sleep = checkpoint.sleep.with_passes(32)
longer = workbench.record(checkpoint.model, batch_of(trace), sleep, keep=("states",))
ends = longer["states"]["fast_weight"].sel(window=0).isel(layer=0)
for h in range(4):
    mine, theirs = (a.isel(gdn_head=h).values for a in (asleep, ends))
    to_own = np.mean([distances(s, s) for s in mine], axis=0)
    to_end = np.mean([distances(s, e) for s, e in zip(mine, theirs, strict=True)], axis=0)
    print(f"head {h}: to its own last state", to_own.round(2), "  to the longer run's",
          to_end.round(2))  # fmt: skip

# %% [markdown]
# By its own last state every head has arrived. By the longer run, heads 0 and 2 are two thirds of
# $|S^*|$ away after four passes, and hardly came nearer in the last one. And the longer run itself?

# %%
where = convergence(trace, fixed_point=longer)
print("last step of 32:", where["fixed_point_step"].sel(window=0).mean("example").values.round(3))
right = changing.share_right(longer)
for n in (1, 2, 3, 4, 6, 8, 16, 32):
    print(f"woken after pass {n:>2}: {right[n]:.2f} right")

# %% [markdown]
# **How to read it.** Even the 32nd step is 1 to 2 % of $S$ in heads 0 and 2: they still creep, and
# $S^*$ is only nearly a fixed point. And now the answers: all right from pass 4 to 6, and then
# *worse*, 0.7 at pass 32. This model was trained with 1 to 4 passes. It answers best on the way;
# where its sleep **converges** to is a poorer memory.
#
# So convergence is not understanding, and not even harmless. (One trained model, 128 questions.
# Whether others do so, ask them.) Three measures side by side, the replay dashed: how long a
# step is compared with the one before, your two-step ratio, and the distance to the fixed point. Only the
# first window is slept on, so the others, read awake, are empty:

# %%
explore(figures.convergence_over_passes, where, trace=trace)

# %% [markdown]
# ## Whose value comes back?
#
# The plainest question. Ask $S$ with the very keys that were written in the last pass. Does
# each token's own value come back, or that of another (*crosstalk*)?
#
# ### Exercise 4
#
# Complete `own_value`: for which share of tokens is the token's own value the one that is most
# like what comes back, by cosine? `keys` is `[token, key]`, `values` `[token, value]`, and $S^\top
# k$ comes back for $k$.


# %%
def own_value(S, keys, values):
    ...  # TODO: what comes back for every key; which value is it most like?


exercises.check_own_value(own_value)


# %% jupyter={"source_hidden": true} tags=["solution"]
def own_value(S, keys, values):
    back = keys @ S
    back = back / np.linalg.norm(back, axis=1, keepdims=True)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    return ((back @ unit.T).argmax(1) == np.arange(len(keys))).mean()


exercises.check_own_value(own_value)

# %%
wrote = trace["writes"].to_dataset().sel(window=0, sleep_pass=4).isel(layer=0)
pairs = [(wrote[name].isel(gdn_head=0).values) for name in ("write_key", "write_value")]
S = asleep.sel(sleep_pass=4).isel(gdn_head=0).values
print("by hand, head 0:", np.mean([own_value(*three) for three in zip(S, *pairs, strict=True)]))
back = readout(trace, source_window=0)  # the workbench's, for all heads and passes
here = back.sel(window=0, sleep_pass=4).isel(layer=0)
for name, places in {"sources": slice(0, None, 2), "targets": slice(1, None, 2)}.items():
    share = here["retrieved"].isel(source_token=places).mean(("example", "source_token"))
    print(f"{name}: by head", share.values.round(2), " chance 0.06")
    print(f"{'':<9}their values in head 0: cosine {changing.likeness(pairs[1][:, places]):.2f}")

# %% [markdown]
# Head 0 gives back 0.55: half forgotten, one would say. Look at *which* half. An edge `3>6` is two
# tokens, source and target. Of the targets it gives back **every one**. Of the sources hardly any,
# because their values are nearly all the same (cosine 0.9, where those of targets have about 0):
# none of them *could* be told from the others. The 0.55 is not a memory that fades. It is one that
# keeps eight things apart, and these are the ones that answers need.

# %%
talk = crosstalk(trace, window=0, sleep_pass=4)["weight"]
named = partial(figures.crosstalk_matrix, symbols=changing.symbols_of(trace)[0])
explore(named, talk, example=0)

# %% [markdown]
# **How to read it.** A row is the key that asks, a column whose value comes back, 1 on the
# diagonal for a perfect memory. Axis labels are those of ring 0. In head 0 every second row has
# one strong cell, on the diagonal: a target, asked by its key. In the other heads rows smear over
# many columns.
#
# **What it cannot tell you.** These are the keys that *wrote*. A question comes with keys of its
# own. Whether a head is used by the answers is tested by taking it away, as in notebook 1.

# %% [markdown]
# ## Optional: are two passes alike?
#
# One more measure, for those who have the time. Perhaps the matrices move, and what they say *about
# the rings* stays. **CKA** asks this: which rings are alike after pass 1, and are the same rings
# alike after pass 4? Rotations and scales do not count.
#
# ### Exercise 5
#
# Complete the usual, *linear* CKA. `x` and `y` are `[example, feature]`. Take away every feature's
# mean; let $a = xx^\top$ and $b = yy^\top$, which ring is like which; and give back their cosine,
# $\sum a b / \sqrt{\sum a^2 \sum b^2}$, products element by element.


# %%
def cka(x, y):
    ...  # TODO: centre, compare examples with examples, cosine


exercises.check_cka(cka)


# %% jupyter={"source_hidden": true} tags=["solution"]
def cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    a, b = x @ x.T, y @ y.T
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


exercises.check_cka(cka)

# %% [markdown]
# Before you use it: what does it say of noise that has nothing to do with other noise? 256
# features, as $S$ has here, and more and more examples.

# %%
for examples in (16, 64, 256):
    noise = np.random.default_rng(0).standard_normal((20, 2, examples, 256))
    usual, fair = (np.mean([alike(x, y) for x, y in noise]) for alike in (cka, debiased_cka))
    print(f"{examples:>3} examples of noise: usual {usual:.2f}, debiased {fair:+.2f}")
print(changing.cka_of_passes(cka, trace, first=1, second=4))

# %% [markdown]
# **How to read it.** The usual CKA calls two unrelated noises 94 % alike when there are 16
# examples: with more features than examples every example is mostly like itself, and the diagonal
# alone makes the cosine. The debiased estimator leaves out the diagonal, and says 0. On the model:
# the usual CKA finds pass 1 and pass 4 much alike in three of four heads, and nearly as much when
# the rings are *shuffled*, one ring's pass 1 with another ring's pass 4. What is left by the
# debiased one, 0.2 to 0.5, is real but modest.

# %%
alike = debiased(trace, window=0)
explore(figures.cka_matrix, alike["cka"], examples=16)

# %% [markdown]
# Passes 3 and 4 arrange the rings alike in every head; pass 1 is the odd one. With 16 rings each
# number is uncertain by about a tenth.

# %% [markdown]
# ## What you have seen
#
# - Rank counts dust. Use a measure that weighs directions, say which one, and show the replay's.
# - Small steps do not tell a straight course from a cycle; the two-step ratio does.
# - A fixed point comes from a longer run. Here it is far away, and a worse memory than the one that
#   answers on the way.
# - An average over tokens can hide that half of them are perfect.
# - The usual CKA calls noise alike. Debias it, and shuffle the examples to see what is left.
#
# **To go on**: load `depo-n8-w2-any` in place of `depo-n8-any` and set `window=1`; record 32
# passes of `depo-n8-n4` and ask where its answers go; draw `figures.ranks_along` of `found`. Explore of
# `workbench serve` has all of these figures in its lens *memory*. The next notebook asks who wrote
# what the matrix holds.

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
# # 5. Who wrote this?
#
# After the sleep there is one matrix, and everything has gone into it: every token, in every pass,
# in every window. Can it be taken apart again, so that one may say *this much of it was written by
# the second pass over the first window*? A fast-weight memory can, exactly, to the last digit of the
# arithmetic, once you have decided how to keep the books. You build this by hand, see how far off the
# obvious formula is, and find two places where even the exact answer stops being one.
#
# About 40 minutes to read and try, under a minute to run; nothing is fetched. Five exercises: a
# cell to complete, a check in a sentence, a folded solution. A solution that is run takes the place
# of your function: skip its cell to keep yours.

# %%
from functools import partial

import numpy as np

import workbench
from sleep_course import writers
from sleep_course.changing import symbols_of
from sleep_course.exercises import writers as exercises
from workbench import figures
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.retention import retention
from workbench.notebook import setup
from workbench.notebook.exploring import explore
from workbench.trace import load_trace

setup(panel=False)
np.set_printoptions(precision=2, suppress=True)

# %% [markdown]
# ## What a write does to what is there
#
# The gated delta rule of notebook 1, for one token with key $k$, value $v$, strength $\beta$, decay
# $a$. Sort it by what it does to the *old* memory and what it *adds*:
#
# $$S \leftarrow a S + \beta k\,(v - a S^\top k)^\top =
# \underbrace{a\,(I - \beta k k^\top)\,S}_{\text{left of the old}} +
# \underbrace{\beta\, k v^\top}_{\text{new}}$$
#
# The first part multiplies $S$ by a matrix in which only $k$, $\beta$ and $a$ occur. It treats
# every part of $S$ alike, no matter who wrote it: if $S$ is a sum, each summand goes its own way.
#
# ### Exercise 1
#
# Complete `carry`: what does a later token with `k`, `beta`, `a` leave of a part `C` of the memory?


# %%
def carry(C, k, beta, a):
    ...  # TODO: a (I - beta k k^T) C; no value is needed


exercises.check_carry(carry)


# %% tags=["solution"] jupyter={"source_hidden": true}
def carry(C, k, beta, a):
    return a * (C - beta * np.outer(k, C.T @ k))


exercises.check_carry(carry)

# %% [markdown]
# ### Exercise 2
#
# So every token's part can be followed to the end: it begins as $\beta k v^\top$, and each
# **later** token carries it on. (What a later key removes is taken from the part that it is removed
# from. That is a decision, and we come back to it.) Complete `contributions`: one matrix for each write, as it stands
# after the last one. `writes` is a list of `(k, v, beta, a)`, in the order of time.


# %%
def contributions(writes):
    ...  # TODO: for each write, its own part, carried through the later ones


exercises.check_contributions(contributions)


# %% tags=["solution"] jupyter={"source_hidden": true}
def contributions(writes):
    parts = []
    for i, (k, v, beta, _) in enumerate(writes):
        C = beta * np.outer(k, v)
        for later_k, _, later_beta, later_a in writes[i + 1 :]:
            C = carry(C, later_k, later_beta, later_a)
        parts.append(C)
    return parts


exercises.check_contributions(contributions)

# %% [markdown]
# ## A trained model's memory, taken apart
#
# A trace keeps what every token wrote. Ring 0 of `depo-n8-any`, head 0: 16 tokens, 4 passes, 64
# writes. Do your 64 parts make the matrix that the model had?

# %%
trace = load_trace("depo-n8-any")
S = trace["states"]["fast_weight"].sel(example=0, window=0, sleep_pass=4, gdn_head=0).values[0]
parts = contributions(writers.writes_of(trace, example=0, gdn_head=0))
print(f"{len(parts)} parts, |S| = {np.linalg.norm(S):.1f}")
print(f"|sum of the parts - S| / |S| = {np.linalg.norm(sum(parts) - S) / np.linalg.norm(S):.1e}")

# %% [markdown]
# One part in ten million: that is the rounding of the 32-bit numbers in the trace, nothing else.
# *This* is what "exact" means here: the parts make up the whole. You can check it on any trace.
#
# ### Exercise 3
#
# How large is a part? Norms do not add up, as parts point in different directions and cancel. Take
# what lies along $S$: the **share** of a part $C$ is $\langle C, S\rangle / |S|^2$, with $\langle
# C, S\rangle$ the sum of products, element by element. Complete `share`.


# %%
def share(C, S):
    ...  # TODO: what lies along S, in units of |S|^2


exercises.check_share(share)


# %% tags=["solution"] jupyter={"source_hidden": true}
def share(C, S):
    return (C * S).sum() / (S * S).sum()


exercises.check_share(share)

# %%
passes = writers.by_pass(parts, 4)
print("share of each pass:", np.array([share(C, S) for C in passes]))
print("their sum:", sum(share(C, S) for C in passes).round(6))
summed = sum(np.linalg.norm(C) for C in passes) / np.linalg.norm(S)
print(f"norms over |S|, summed: {summed:.2f}")

# %% [markdown]
# More than half of this memory was written by the last pass. Did the last pass do most of the
# *work*? You know from notebook 3 what to ask: what would a replay say, which writes the same four
# times and cannot think? Means over 16 rings, by the workbench's instrument:

# %%
shares = writers.shares_against_replay(trace)
for procedure in shares["procedure"].values:
    for head, found in enumerate(shares.sel(procedure=procedure).values):
        print(f"{procedure:<13}  head {head}  passes 1..4: {found.round(2) + 0.0}")

# %% [markdown]
# **How to read it.** In the replay, too, the last pass has the most, 0.7 of head 0: the last to write
# under the same keys takes out what was there. So "most was written in pass 4" says nothing about
# sleep. The *difference* does, and it has no single sign. In head 0, which carries nearly all of the
# answers (notebook 8), pass 4 has *less* than in the replay, and passes 1 and 2 have more: they left
# something that later passes did not overwrite. In heads 2 and 3 it is the other way round. Head 1
# keeps one pass only in both: it decays to almost nothing within each pass. A mean over the four heads
# would show that sleep adds to the last pass, and would be about heads that hardly matter.
#
# ### Two ways to keep the books
#
# There was a decision in this. Suppose pass 4 finds $v$ under $k$, and writes $v$ there again. Nothing
# changes. By our books the old part of $v$ is removed, and pass 4 has it now. One could as well say that
# pass 4 did nothing, and that the part of a token is all that it *changed*:
# $\beta k\,(v - a S^\top k)^\top$, shrunk by later decays only. These parts sum to $S$ just as exactly.

# %%
changes = writers.changed_by(writers.writes_of(trace, example=0, gdn_head=0))
off = np.linalg.norm(sum(changes) - S) / np.linalg.norm(S)
print(f"|sum of the changes - S| / |S| = {off:.1e}")
both = {"left of each write": shares.sel(procedure="sleep").values,
        "changed by each write": writers.shares_by(trace, writers.changed_by)}
for books, by_head in both.items():
    for head, found in enumerate(by_head):
        print(f"{books:<22} head {head}  passes 1..4: {found.round(2) + 0.0}")

# %% [markdown]
# **How to read it.** Head 0 by the first books: half of it from pass 4. By the second: four fifths from
# pass 1, next to nothing from pass 4. The same matrix, to the last digit. Neither is wrong. "Left of each
# write" says whose key and value stand there now; "changed by each write" says when it came to be. So a
# share has to come with its convention. From here on we use the first.
#
# ## Two windows
#
# `depo-n8-w2-any` has its edges in two windows and sleeps on both, then reads four windows of
# questions awake. Move through time with `window` and `sleep_pass`.

# %%
two = load_trace("depo-n8-w2-any")
norms = contribution_norms(two, every_pass=True)
taken_apart = explore(figures.share_matrix, norms, trace=two, layer=1)
for axis, place in (("window", 1), ("sleep_pass", 4)):  # where the sliders begin
    taken_apart.controls[axis].value = place
taken_apart

# %% [markdown]
# **How to read it.** A row is a window that wrote, a column the pass in which it wrote, a number its
# share of $S$ at the place of the sliders; what is yet to come is empty. (The text and the figures
# count windows from 1. Sliders and the trace count from 0: `window` 1 is window 2.) The sliders
# stand at the end of both sleeps: go through the heads. Heads 0 and 2 hold both windows, a little
# more of the later one. Head 1 holds nothing but the last pass. Now go on to windows 3 to 6 (sliders
# 2 to 5), where the model reads questions, and writes. Head 1 is all questions at once; in heads 0
# and 2 the shares of the sleeps hardly move.
#
# And the tokens? Every column a token, brighter where more of it is left:

# %%
single = contribution_norms(two, every_pass=True, every_token=True)["norm"].isel(example=0)
named = partial(figures.token_contributions, symbols=symbols_of(two))
tokens = explore(named, single, trace=two, layer=1)
for axis, place in (("window", 1), ("sleep_pass", 4)):
    tokens.controls[axis].value = place
tokens

# %% [markdown]
# In head 0 every second token is bright: the target of an edge, which is what a question asks for.
#
# ## The formula that leaves out removal
#
# There is a shorter way, and it is in use: a write fades with the decays that follow it, so its
# part is $\beta k v^\top$ times the later $a$. No keys are needed. It is right for a memory that
# only adds (Mamba-2's, say), and it looks right for this one.
#
# ### Exercise 4
#
# Complete `decays_only`, the same list, by that formula.


# %%
def decays_only(writes):
    ...  # TODO: beta k v^T, times the a of every later token


exercises.check_decays_only(decays_only)


# %% tags=["solution"] jupyter={"source_hidden": true}
def decays_only(writes):
    parts = []
    for i, (k, v, beta, _) in enumerate(writes):
        later = np.prod([a for *_, a in writes[i + 1 :]])
        parts.append(later * beta * np.outer(k, v))
    return parts


exercises.check_decays_only(decays_only)

# %%
wrong = decays_only(writers.writes_of(trace, example=0, gdn_head=0))
off = np.linalg.norm(sum(wrong) - S) / np.linalg.norm(S)
print(f"head 0 of ring 0: the sum is off by {off:.1f} times |S|")
for name, some in (("one window", trace), ("two windows", two)):
    for n in (1, 4):
        error = writers.off_by(some, decays_only, passes=n)
        print(f"{name}, after pass {n}: off by {error.mean():.2f}, by head", error)
claimed = writers.shares_by(trace, decays_only)[0]
print("head 0, shares that it claims:", claimed, "  exact:", shares.values[0][0])

# %% [markdown]
# **How to read it.** The unit is $|S|$, the first number a mean over heads. In the model of one
# window, of sixteen tokens, the sum is off by 1.7 after one pass and by 3.0 after four; in the model
# of two windows, of eight tokens each, by 0.5 and then 1.1. Each pass writes again under the same
# keys, and without removal this piles up. Heads differ, from 0.06 to 6.6; head 1 of two windows lets
# less than a hundredth of what it finds through pass 3 or 4, so nothing piles up there. And the
# error is not one of scale: it turns the answer round. By this formula pass 1 has most of head 0;
# by the exact sum that it is meant to be, pass 4. A decomposition must be summed up and held against the state, and this one
# would have failed at once.
#
# ## What is left later
#
# What later windows do to an earlier one's writes comes in two kinds. **Decay** shrinks everything
# alike. **Removal** takes out what lies along later keys: interference. As decay is only a number,
# the two can be told apart.
#
# ### Exercise 5
#
# Complete `kept`: of a part `C` and the `later` tokens, a list of `(k, beta, a)`, give back two
# factors: what decay alone leaves of its norm, and what removal alone leaves.


# %%
def kept(C, later):
    ...  # TODO: decay, removal


exercises.check_kept(kept)


# %% tags=["solution"] jupyter={"source_hidden": true}
def kept(C, later):
    size, decay = np.linalg.norm(C), 1.0
    for k, beta, a in later:
        C, decay = carry(C, k, beta, 1.0), decay * a
    return decay, np.linalg.norm(C) / size


exercises.check_kept(kept)

# %%
for head, (decay, removal) in enumerate(writers.kept_by_window(kept, two)):
    print(f"ring 0, head {head}: window 2 leaves {decay:.2f} by decay, {removal:.2f} by removal")
left = retention(two)["retention"].isel(layer=0).sel(source_window=0, age=1)
print("left of window 1, means over 16 rings:", left.mean("example").values, "by head")

# %%
explore(figures.retention_by_age, retention(two), layer=1)

# %% [markdown]
# **How to read it.** At the left, how much of a window's writes is left after so many more windows;
# at the right, where the rest of *this* window's went. Head 1 loses all, to decay. Heads 0 and 2
# lose to removal alone, 12 % and 18 % of window 1 (means over the rings), all of it while window 2
# is slept on. Take head 0 and window 3 (`source_window` 2): of what the model writes while it reads
# *questions*, more than half is gone with the next questions. Questions are written over one
# another, and leave the edges alone.
#
# **What it cannot tell you.** Whether what was lost was needed. The norm knows no questions.
#
# ## Where exact stops
#
# Provenance holds keys, strengths and decays as they were *recorded*. Then it says: without window
# 1's writes, $S$ would be $S$ less their part. Would it? Ask the model: begin window 2 with an
# empty memory, let it sleep, and compare.

# %%
checkpoint = workbench.load("depo-n8-w2-any")
sleep = checkpoint.sleep.with_passes(4)
compared = writers.foretold_and_real(checkpoint.model, two, sleep, window=1)  # from 0: window 2
for n in range(1, 5):
    here = compared.sel(sleep_pass=n)
    print(f"pass {n}: part of window 1", here["earlier"].values, " off by", here["off"].values)

# %% [markdown]
# **How to read it.** In units of $|S|$, by head. After one pass the forecast is perfect: the
# keys of pass 1 are made below the memory, from the tokens alone. Pass 2 begins from features that
# have *read* the memory. Without window 1 they are others; so are keys, values and strengths. After
# four passes the forecast is off by a quarter of $|S|$ or so, even in head 1, which holds nothing
# of window 1. Window 1 is not *in* that head, and yet it *shaped* it.
#
# So there are two questions. **What is in it, and who put it there?** Provenance answers this
# exactly. **What would be otherwise, had it not been written?** For that the model has to read on
# from a changed memory. The first is a matter of bookkeeping, the second one of causes.
#
# **Honest limits.** Two trained models, 16 rings each. Share and norm say how much of the matrix,
# not how much of the *answers*.
#
# ## What you have seen
#
# - A write acts on the old memory by a matrix without values in it; so $S$ is a sum of the writes.
# - Each token's part can be followed to the end, and the parts sum to $S$ within rounding.
# - The last to write has the largest share, in a replay as well. Compare with it, head by head.
# - How much a pass "wrote" depends on how you book what is removed. Name the convention.
# - A formula without removal is off by one to three times $|S|$ after four passes, and turns the
#   order of the passes round.
# - What is in the memory is not what caused it: from pass 2 on earlier writes change later keys.
#
# **To go on**: follow `foretold_and_real` with `window=2`, the third one; take the parts of pass 1
# out of `S` and wake the model with the rest; look at `figures.pass_retention_matrix` of
# `pass_retention(trace)`. The *memory* page of `workbench serve` shows shares, tokens and retention
# of any trace.

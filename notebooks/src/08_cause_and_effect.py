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
# # 8. Cause and effect
#
# You have seen what is *in* a memory. That a thing is there does not mean that the model uses it.
# To know, you have to change the thing and look at what becomes of the answers. In this notebook
# you put one model's memory into another reading: all of it, one head of it, what one pass did to
# it; you build the controls without which none of this counts; and you will see two ways to be
# wrong that look like results.
#
# About 40 minutes to read and try, under half a minute to run; nothing is fetched. Five exercises,
# as before: a cell to complete, a check in a sentence, a folded solution. A solution that is run
# takes the place of your function: skip its cell to keep yours. All numbers are of **one** trained
# model, `depo-n8-any`.

# %%
import numpy as np

import workbench
from sleep_course import boundary, causing, pictures
from sleep_course.exercises import causing as exercises
from sleep_course.records import measured
from workbench.figures.effects import ablation_map, patch_curves
from workbench.notebook import setup

setup(panel=False)

# %% [markdown]
# ## Two contexts, one set of questions
#
# The **recipient** is a ring and eight questions about it. The **donor** is another ring. We put
# the donor's edges before the *recipient's* questions and let the task's own solver answer them:
# now every question has two answers, the recipient's and the donor's.

# %%
checkpoint = workbench.load("depo-n8-any")
found = causing.Pairs(checkpoint, count=64)
for name, batch in (("recipient", found.recipient), ("donor", found.swapped)):
    edges, asked = checkpoint.task.text(batch.examples(slice(0, 1)), 0).splitlines()
    print(f"{name:<10} {edges}\n{'':<10} {asked}")
print(f"\n{found.asked.asked.sum()} of {found.asked.asked.size} questions have two answers")

# %% [markdown]
# Both were read with $N = 4$, and every boundary of both readings was kept: `found.own[0, n]` and
# `found.donors[0, n]` stand after pass $n$ of window 0.
#
# ## All of it
#
# Sleep on the recipient's edges, evict, throw $S$ away, put the donor's $S$ in its place, and ask.
# How far are the logits from those of a model that has read the donor's edges itself?

# %%
for eviction in ("hard", "sliding"):
    apart = causing.exactness(checkpoint, eviction=eviction)
    print(f"{eviction:<8} largest difference of a logit: {apart:.3g}")

# %% [markdown]
# **Not one bit** with hard eviction. It has to be so: nothing but $S$ crosses the boundary, so a
# model that holds the donor's $S$ *is* the model that has read the donor. The workbench tests this,
# since a patch that misses here is a patch that was put in wrongly. With sliding eviction the
# newest tokens' cache crosses as well, it is still the recipient's, and the answers are a mixture.
#
# So we know *where* the answers come from. The question is which **part** of $S$ they come from.
#
# ### Exercise 1
#
# Complete `patched`: the recipient's $S$ with one head of the donor's. Both are
# `[example, gdn_head, key, value]`; others still need them as they are.


# %%
def patched(own, donors, head):
    ...  # TODO: a copy of `own`, one head of it from `donors`


exercises.check_patched(patched)


# %% jupyter={"source_hidden": true} tags=["solution"]
def patched(own, donors, head):
    S = own.copy()
    S[:, head] = donors[:, head]
    return S


exercises.check_patched(patched)

# %% [markdown]
# ## Logit difference first
#
# How do you measure what a patch did? One could count the answers that changed. But an answer
# changes only when one logit overtakes another: a part that carries a third of the evidence may
# change no answer at all. So measure first what moves first: the **logit difference**, the logit of
# the donor's answer minus that of the recipient's. Its unit is the *nat*: one more multiplies the
# odds by $e$, about 2.7.

# %%
own, donors = found.own[0, 4].memory, found.donors[0, 4].memory
before, with_all = found.differences(own), found.differences(donors)
print(f"own memory      {before.mean():+.1f} nats on average")
print(f"donor's memory  {with_all.mean():+.1f} nats on average")

# %% [markdown]
# ### Exercise 2
#
# Complete `effect`: how far has a patch gone from the one end (0) to the other (1)? All three are
# `[question]`. Some questions have their ends close together, and dividing by next to nothing
# makes a number out of noise: so divide the *means*.


# %%
def effect(after, own, donors):
    ...  # TODO: 0 if `after` is `own`, 1 if it is `donors`, on average


exercises.check_effect(effect)


# %% jupyter={"source_hidden": true} tags=["solution"]
def effect(after, own, donors):
    return (after - own).mean() / (donors - own).mean()


exercises.check_effect(effect)

# %%
S, S_donors = causing.state_of(own), causing.state_of(donors)


def tell(name, state):
    memory = causing.with_state(own, state)
    moved = effect(found.differences(memory), before, with_all)
    shares = f"became donor's {found.became_donors(memory):.2f}, stayed {found.stayed(memory):.2f}"
    print(f"{name:<24} effect {moved:5.2f}   {shares}")


for head in range(4):
    tell(f"head {head} from the donor", patched(S, S_donors, head))

# %% [markdown]
# Head 0 brings 0.91 of the effect, and nine answers in ten become the donor's. Heads 1 and 2 bring
# nothing, head 3 a little. Is this it: *head 0 carries the answers*?
#
# ## Two controls
#
# Not yet. Perhaps *any* change of head 0 as large as this one upsets the model. Two controls say:
#
# - **Random of equal norm.** A change just as large, in a random direction.
# - **Unrelated donor.** A real memory of a real ring, but of another one than the donor's.
#
# ### Exercise 3
#
# Complete `at_random`: to `before` add `noise`, scaled so that in every example and every head the
# change is as large (Frobenius norm) as the one from `before` to `after`.


# %%
def at_random(before, after, noise):
    ...  # TODO: one size for each example and head; all three are [example, gdn_head, key, value]


exercises.check_at_random(at_random)


# %% jupyter={"source_hidden": true} tags=["solution"]
def at_random(before, after, noise):
    size = np.linalg.norm(after - before, axis=(2, 3), keepdims=True)
    return before + noise * size / np.linalg.norm(noise, axis=(2, 3), keepdims=True)


exercises.check_at_random(at_random)

# %%
noise = np.random.default_rng(0).standard_normal(S.shape)
patch = patched(S, S_donors, 0)
tell("head 0 from the donor", patch)
tell("random of equal norm", at_random(S, patch, noise))
tell("unrelated donor", patched(S, np.roll(S_donors, 1, axis=0), 0))  # example i gets i - 1's
print(f"a guess among the 7 other nodes: {1 / 7:.2f}")

# %% [markdown]
# **How to read it.** The random change moves the logit difference by a quarter, and 0.09 of the
# answers become the donor's: fewer than by a guess (0.14). Now look at the unrelated donor: an
# effect of **one half**! But its answers are the donor's in 0.15, no more than by a guess. The
# recipient's answer was lost, so its logit fell; the donor's was not gained. *About half an effect
# is what a lost answer gives.* So an effect alone says little. Read the share that *became* the
# donor's, or ask how far the patch goes beyond the unrelated donor, with 0 where both are alike and
# 1 at the donor's end: (patch - unrelated) / (1 - unrelated). By both measures head 0 carries the
# answers.
#
# ## Both directions
#
# The workbench does all this by `workbench.instruments.interventions.patch_effects`, and with both
# directions. **Noise**: the recipient's reading gets the donor's part; if its answers go, the
# part was *needed*. **Denoise**: the donor's reading gets the part back from the recipient; if the
# recipient's answers return, the part is *enough*. This is recorded for 128 pairs:

# %%
heads = measured("patches-depo-n8-any-heads")
some = heads.sel(difficulty=[1, 4], direction=["noise", "denoise"])
pictures.titled(
    patch_curves(some, window=0, component="layer 1 head 0"),
    "Head 0 exchanged after each pass, next to its two controls",
)

# %% [markdown]
# **How to read it.** Each panel is a number of hops and a direction; right is later in the sleep;
# bars are 95 % intervals over examples. After pass 4 the patch is near 1 and its controls are well
# below. The same without what an unrelated donor does, and as answers:

# %%
after_4 = causing.beyond_unrelated(heads, "layer 1 head 0")
for name, by_hops in after_4.items():
    print(f"{name:<40}", "  ".join(f"{x:5.2f}" for x in by_hops))

# %% [markdown]
# The two directions agree, and here they must nearly: both contexts are rings drawn alike.
# (Had one been a broken text, as is usual elsewhere, they could differ: a part can be needed
# and not enough.)
#
# **What it cannot tell you.** That it is *one head* is a fact about this model. Another seed may
# spread it over two. And after passes 1, 2 and 3 something odd goes on, to which we come now.
#
# ## A patch that is carried on
#
# Put all of the donor's $S$ in after pass 2, in the middle of the sleep. Two things can be done
# next:
#
# - **ask at once**: evict, wake, and read the answers off. That is a *readout patch*, and it is
#   what tools give you that change an activation at the position where it is read.
# - **read on**: let passes 3 and 4 run, with the patched $S$, and then ask.
#
# ### Exercise 4
#
# Complete `read_on`. `h` are the features and `S` the patched memory after `done` of `n` passes;
# `one_pass(h, S)` gives back both after one more; `answer(S)` asks, and gives back a number.


# %%
def read_on(h, S, done, n, one_pass, answer):
    ...  # TODO: run the passes that are left, then ask


exercises.check_read_on(read_on)


# %% jupyter={"source_hidden": true} tags=["solution"]
def read_on(h, S, done, n, one_pass, answer):
    for _ in range(n - done):
        h, S = one_pass(h, S)
    return answer(S)


exercises.check_read_on(read_on)

# %%
def ask_at_once(h, S, done, n, one_pass, answer):
    return answer(S)


one_pass = boundary.one_pass_of(found.model)
pictures.curves(
    [1, 2, 3, 4],
    {"asked at once": causing.read_on_with(found, ask_at_once, one_pass),
     "read on to pass 4, then asked": causing.read_on_with(found, read_on, one_pass)},
    title="All of the donor's S put in after pass n: answers that became the donor's",
    x_title="patched after pass n", y_title="share of answers", y_range=(0, 1.02),
)  # fmt: skip

# %% [markdown]
# **How to read it.** Asked at once, the upper line is how much of the donor's ring its memory holds
# after so many passes: 0.45, then 0.84, then nearly all. Read on, the same memories are hardly
# worth anything: after pass 2 only 0.05 of the answers become the donor's. The two passes that
# follow read the *recipient's* window, whose features were never patched, and write over what was
# put in. After pass 4 nobody writes any more, and both are the same.
#
# Both lines are true. They answer different questions: *what does this memory hold?* and *what does
# it cause?* If you look at the upper line and say "by pass 2 the answer is decided", you are
# wrong by a factor of sixteen.
#
# ## Which pass carries what?
#
# So patch after the last pass, where nothing comes later, and exchange what **one pass** did:
# $S_n - S_{n-1}$. All four changes add up to $S$. Recorded, 128 pairs, the noise direction:

# %%
passes = causing.last_place(measured("patches-depo-n8-any-passes")).sel(direction="noise")
for name in passes.component.values:
    print(name)
    for control in ("patch", "unrelated donor", "random of equal norm"):
        here = passes.sel(component=name, control=control)
        moved, became = here["effect"].values, here["became_donor"].values
        print(f"    {control:<22} effect", "  ".join(f"{x:5.2f}" for x in moved),
              "   became donor's", "  ".join(f"{x:4.2f}" for x in became))

# %% [markdown]
# **How to read it.** A column is a number of hops, 1 to 4. For **one hop**, what pass 1 did is most
# of it: two answers in three become the donor's, one in ten with an unrelated ring. Exchanging what
# the last pass did changes nothing. Yet pass 4 wrote half of head 0, if you count as in notebook 5.
# The two need not agree: who wrote the memory, and whose change matters, are different questions.
#
# Now **four hops**: effects of 0.44, 0.37, 0.17, 0.09. It is tempting to say that the answer is spread
# over the passes. But the unrelated donor gives 0.44, 0.37, 0.12, 0.07, and no exchange makes more
# answers the donor's than a guess would. About the last column this experiment says **nothing**: some
# exchanges break the answer, and none brings the donor's. That is what controls are for.
#
# ## Erasing
#
# The simplest intervention of all: take a part away. But put *what* in its place?
#
# ### Exercise 5
#
# Complete `without`: a head of $S$ set to zero, or to its mean over the examples.


# %%
def without(S, head, how):
    ...  # TODO: how is "zero" or "mean"


exercises.check_without(without)


# %% jupyter={"source_hidden": true} tags=["solution"]
def without(S, head, how):
    S = S.copy()
    S[:, head] = 0 if how == "zero" else S[:, head].mean(axis=0)
    return S


exercises.check_without(without)

# %%
print("share right            1 hop  2 hops  3 hops  4 hops")
for head in range(4):
    for how in ("zero", "mean"):
        memory = causing.with_state(own, without(S, head, how))
        shares = causing.accuracy_by_hops(found, memory).values()
        print(f"head {head}, {how:<14} " + "   ".join(f"{share:5.2f}" for share in shares))

# %% [markdown]
# **How to read it.** Head 0, either way: from two hops on the answers are gone, near a guess (0.14);
# at one hop not quite half are left. Head 1: nothing happens. But **head
# 2**: erased, it costs nearly all answers at four hops and two in three at three. "Head 2 does the
# far hops!" And yet exchanging it did nothing at all. The next line tells: with the *mean* in its
# place nothing is lost. Head 2 holds much the same for every ring, a constant that the rest of the
# model counts on. Zero takes the constant away, and the model meets something that it has never
# seen. The mean takes away only what differs from ring to ring, which is the only thing that
# can be an answer.
#
# And how large is large? The records have the random change next to each:

# %%
erased = measured("ablations-depo-n8-any").isel(sleep_pass=[4])
ablation_map(erased.sel(difficulty=[1, 4]), window=0, procedure="zero")

# %% [markdown]
# **How to read it.** Left: accuracy lost without the head; right: lost by a random change of the
# same size. At four hops head 2 stands out against its control (-0.88 against -0.01), so zeroing
# it does something, though not what it seems. Head 3 does not: erasing it costs no more
# than a random change as large.
#
# **Honest limits.** One model, one task, 256 examples or fewer. We exchanged parts that *we* named,
# heads and passes. The model need not be cut where we cut it: a direction shared by two heads would
# show in neither alone. And a patch is a state that the model would never have reached by itself.
#
# ## What you have seen
#
# - All of $S$ at the last boundary is the donor, to the last bit: hard eviction leaves nothing
#   else.
# - Measure the logit difference first, then the answers; and next to each patch a random change of
#   equal norm and an unrelated donor. Near half an effect is a lost answer: look whether it became
#   the donor's.
# - A readout patch says what a memory holds. Only a patch that is carried on says what it causes.
# - Zero is not "without": it may take away what all examples share. Compare it with the mean.
#
# **To go on**: exchange the largest singular modes instead of a head
# (`workbench.instruments.patching.components.modes`); try `depo-n8-w2-any`, where a patch after window 0 has
# a whole sleep still before it. The instruments page of `workbench serve` draws the same figures,
# and `workbench measure patches` records them for a model of your own. Notebook 10 is about results
# that were made without such controls.

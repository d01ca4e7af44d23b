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
# # 7. Attribution on a recurrent state
#
# A probe said what is in the memory. **Attribution** asks: which part of it is *this answer* owed to?
# Which head, which pass? There is a good library for that, Captum, and a way to use it on a model
# that sleeps which gives numbers, colours and nonsense. Here you build the method, spring the trap,
# find the way round it, and learn when not to believe an attribution that is right by the book.
#
# About 40 minutes to read and try, some 20 seconds to run; nothing is fetched. Five exercises: a
# cell to complete, a check in a sentence, a folded solution. A solution that is run takes the place
# of your function: skip its cell to keep yours.

# %%
from itertools import permutations

import numpy as np
import torch
from captum.attr import IntegratedGradients

import workbench
from sleep_course import attributing, pictures
from sleep_course.exercises import attributing as exercises
from sleep_course.records import measured
from workbench.instruments.attribution import attribute_state
from workbench.instruments.boundaries import read_boundaries
from workbench.notebook import setup
from workbench.tasks import batch_generator

setup(panel=False)

# %% [markdown]
# ## Sharing out a difference
#
# An attribution shares out a difference: $f(x)$, the number to be explained, minus $f(x')$, the same
# with a **baseline** $x'$ in place of the input. This difference is what $x$ is *worth*. A method is
# **complete** if the shares of all features add up to it.
#
# **Integrated gradients** walk straight from $x'$ to $x$ and add up, step by step, how much each
# feature has moved $f$:
#
# $$\text{share}_i = (x_i - x'_i) \cdot \text{mean over } \alpha \text{ of }
# \frac{\partial f}{\partial x_i}\big(x' + \alpha (x - x')\big), \qquad 0 < \alpha < 1$$
#
# ### Exercise 1
#
# Complete it. `gradient(x)` gives the gradient at a point. Cut the way into `steps` equal pieces and
# take the gradient at the middle of each.


# %%
def integrated_gradients(gradient, x, baseline, steps):
    ...  # TODO: the mean gradient on the way, times the way


exercises.check_integrated_gradients(integrated_gradients)


# %% jupyter={"source_hidden": true} tags=["solution"]
def integrated_gradients(gradient, x, baseline, steps):
    way = x - baseline
    alphas = (np.arange(steps) + 0.5) / steps
    return way * np.mean([gradient(baseline + alpha * way) for alpha in alphas], axis=0)


exercises.check_integrated_gradients(integrated_gradients)

# %% [markdown]
# ### Exercise 2
#
# Completeness can be *checked*, every time, without knowing the true shares. Complete
# `completeness_error`: how far the sum of an example's attributions is from its worth, as a share of
# that worth, one number for each example.


# %%
def completeness_error(attribution, worth):
    ...  # TODO: attribution is [example, ...], worth is [example]


exercises.check_completeness_error(completeness_error)


# %% jupyter={"source_hidden": true} tags=["solution"]
def completeness_error(attribution, worth):
    total = attribution.reshape(len(attribution), -1).sum(1)
    return np.abs(total - worth) / np.abs(worth)


exercises.check_completeness_error(completeness_error)

# %% [markdown]
# A function with a steep step on the way, explained in more and more steps:

# %%
x, zero = np.array([1.0, 2.0, -1.0]), np.zeros(3)
worth = np.array([attributing.steep(x) - attributing.steep(zero)])
for steps in (1, 2, 4, 8, 16, 32):
    shares = integrated_gradients(attributing.steep_gradient, x, zero, steps)
    error = completeness_error(shares[None], worth)[0]
    print(f"{steps:2} steps: {shares.round(2)}, completeness error {error:.1e}")

# %% [markdown]
# With too few steps the walk jumps over the step. **The error tells**, and it is the first thing to
# look at.
#
# ## The trap
#
# Captum can attribute to a *module* by its name: it listens where the module is called. That is what
# its documentation shows, and what everybody tries first. But the blocks of a model that sleeps are
# called again and again. Captum keeps what the **last** call gave, and puts the points of its walk
# into **every** call. A sleep in three lines, `written = block(features)`, added to a memory:

# %%
for times in (1, 2, 3, 4):
    errors = attributing.looped_errors(times)
    listed = ", ".join(f"{name} {error:.2g}" for name, error in errors.items())
    print(f"{times} passes: completeness error {listed}")

# %% [markdown]
# Run once, all is well, and you would believe your code. With two passes the shares miss the worth
# by 40 %, too little or too much (median of 20 inputs); with three, by more than the worth. Asked
# about the **input** of the whole function, the same library is exact. Now the real model, at six
# one-hop answers. The context's embeddings go from those of another example to their own, and Captum
# listens at the last part (the MLP) of block 0, and then of block 1:

# %%
checkpoint = workbench.load("depo-n8-any")
model, task, sleep = checkpoint.model, checkpoint.task, checkpoint.sleep.with_passes(4)
batch = task.sample(32, batch_generator(1, 0, "notebook"))
near = attributing.asked(batch, difficulty=1, most=6)
for passes, block in ((1, 0), (4, 0), (4, 1)):
    how = model, near.batch, sleep.with_passes(passes), near.query
    errors = attributing.model_errors(*how, block=block)
    listed = ", ".join(f"{name} {error:.2f}" for name, error in errors.items())
    print(f"N = {passes}, block {block}: {listed}")

# %% [markdown]
# Block 0: 1.00. All of it is missing: every attribution is *exactly zero*. The last time this block
# runs, it reads the last questions; the edges have long been evicted, so what it gives is the same at
# both ends of the walk. Even $N = 1$ does not escape this, since one block reads three windows.
#
# And mind the last column. "Of the input" is the right form, but through a whole sleep the answer is
# so rough a function of the embeddings that 32 steps miss it too: by a quarter with $N = 1$, by far
# more than all with $N = 4$. **The right form is not enough; look at the error.**
#
# ## The way round: the rest of the computation
#
# What crosses the boundary is `S`, and everything later is computed from it. So cut *there*: hand
# Captum the rest of the computation as a plain function of `S`, all calls inside. Workbench readings
# can be taken up again at any **boundary** (`Boundary`), with the memory changed.
#
# ### Exercise 3
#
# Complete `make_rest`. `start` is the boundary after the sleep, and `answer(boundary)` reads on from a boundary
# and gives the logit difference: the right answer minus the strongest other. You will need
# `start.memory`, `memory.replace(fast_weights=...)` and `start.with_memory(...)`.


# %%
def make_rest(start, layer, answer):
    def rest(state):
        ...  # TODO: the same boundary, with `state` as the S of this layer: what is answered?

    return rest


exercises.check_make_rest(make_rest)


# %% jupyter={"source_hidden": true} tags=["solution"]
def make_rest(start, layer, answer):
    def rest(state):
        weights = {**start.memory.fast_weights, layer: state}
        return answer(start.with_memory(start.memory.replace(fast_weights=weights)))

    return rest


exercises.check_make_rest(make_rest)

# %%
one = attributing.asked(batch, difficulty=2, most=1)
start, answer = attributing.answer_of(model, one.batch, sleep, one.query)
S = start.memory.fast_weights[1]
rest = make_rest(start, 1, answer)
with torch.no_grad():
    worth = (rest(S) - rest(torch.zeros_like(S))).numpy()
for steps in (4, 16, 64):
    shares = IntegratedGradients(rest).attribute(S, torch.zeros_like(S), n_steps=steps).numpy()
    error = completeness_error(shares, worth)[0]
    print(f"{steps:2} steps: heads {shares.sum((0, 2, 3)).round(2)}, error {error:.1e}")

# %% [markdown]
# From a quarter to less than a millionth. The worth of this memory is some 16 nats (the unit of
# logits: one nat more multiplies the odds by $e$, about 2.7); head 0 and head 2 have most of it.
# (Captum puts many points of its walk into one call, as more cases; `answer` reads the same text for
# each.) The workbench does this for any reading, with several layers and windows, in
# `workbench.instruments.attribution`.
#
# ## Owed, compared with what?
#
# Two baselines for the same 24 answers at four hops: a memory of **zeros**, which is also the state
# *before the sleep* here, and the **mean** memory of the 24 examples.

# %%
far = attributing.asked(batch, difficulty=4, most=24)
boundary = read_boundaries(model, far.batch, sleep)[0, 4]
for baseline in ("zero", "mean"):
    how = {"query": far.query, "baseline": baseline, "steps": 24}
    found = attribute_state(model, far.batch, sleep, boundary, **how)
    heads = found["attribution"].mean("example").values.ravel().round(2) + 0.0
    error = float(found["completeness_error"].median())
    print(f"{baseline}: heads {heads}, sum {heads.sum():.2f}, completeness error {error:.0e}")

# %% [markdown]
# Against zeros, head 2 is owed as much as head 0; against the mean, nothing. Both are complete, both
# are right: they answer different questions. Head 2 holds something that is the same in every
# example. The readout needs it, so a memory without it fails; but it says nothing of *this* ring.
# **An attribution without the name of its baseline says nothing.** What you would like to ask
# decides: "what is in this memory, beyond any other?" is the mean; "what has the sleep done?" is the
# state before it.
#
# ## Passes as players
#
# Another method needs no gradient. The passes of a sleep are **players** of a game: `worth(passes)` is
# the answer's logit difference if only these passes had changed `S`. What is one player owed? What it
# adds depends on who is there already. **Shapley**: let them come in every order, and take the mean.
#
# ### Exercise 4
#
# Complete `shapley` for a handful of players: one number for each, in the order given.


# %%
def shapley(players, worth):
    ...  # TODO: permutations(players); what is it worth before and after one comes?


exercises.check_shapley(shapley)


# %% jupyter={"source_hidden": true} tags=["solution"]
def shapley(players, worth):
    orders = list(permutations(players))
    owed = dict.fromkeys(players, 0.0)
    for order in orders:
        for n, player in enumerate(order):
            owed[player] += (worth(order[: n + 1]) - worth(order[:n])) / len(orders)
    return [owed[player] for player in players]


exercises.check_shapley(shapley)

# %%
some = attributing.asked(batch, difficulty=2, most=12)
worth_of = attributing.passes_as_players(model, some.batch, sleep.with_passes(3), some.query)
everyone = worth_of((1, 2, 3))
alone = [worth_of([n]) - worth_of([]) for n in (1, 2, 3)]
without = [everyone - worth_of({1, 2, 3} - {n}) for n in (1, 2, 3)]
for name, owed in (
    ("alone", alone), ("left out", without), ("Shapley", shapley((1, 2, 3), worth_of)),
):
    print(f"{name:<9}", np.round(owed, 1), "sum", round(sum(owed), 1))
print("worth of all three:", round(everyone - worth_of([]), 1))

# %% [markdown]
# Three passes, two hops. Alone, the passes explain too little; left out one by one (Captum's feature
# ablation), too much, since what pass 1 and 2 make *together* is counted for both. Shapley values add
# up. Now the whole sleep. Four passes have 24 orders, so the values are exact. What they are values
# *of* is still a sample of rings:

# %%
larger = task.sample(200, batch_generator(1, 0, "notebook"))
for hops, most in ((1, 200), (4, 200), (4, 25)):
    some = attributing.asked(larger, difficulty=hops, most=most)
    worth_of = attributing.passes_as_players(model, some.batch, sleep, some.query)
    whole = worth_of((1, 2, 3, 4)) - worth_of(())
    shares = np.array(shapley((1, 2, 3, 4), worth_of)) / whole
    print(f"{hops} hops, {len(some.batch):3} answers: shares of passes 1..4", shares.round(2) + 0.0)

# %% [markdown]
# **How to read it.** At one hop pass 1 is owed all of it. At four hops it is owed next to nothing,
# and pass 3 the most. The last line has the same game with few answers, and other shares: exact
# values of a small sample are not exact values of the model.
#
# The heads are not separated here. Asking for (pass, head) makes 16 features with some 20 million
# million orders, so Captum draws a few at random. It has to be given the features, as a number for
# every entry.
#
# ### Exercise 5
#
# Complete `feature_mask`: an array `[pass, head, key, value]` in which each (pass, head) has one
# number, 0 and up, pass by pass, **without gaps**.


# %%
def feature_mask(passes, heads, key, value):
    ...  # TODO: one number for each (pass, head), the same for all its entries


exercises.check_feature_mask(feature_mask)


# %% jupyter={"source_hidden": true} tags=["solution"]
def feature_mask(passes, heads, key, value):
    numbers = np.arange(passes * heads).reshape(passes, heads, 1, 1)
    return np.tile(numbers, (1, 1, key, value))


exercises.check_feature_mask(feature_mask)

# %%
mask = feature_mask(4, 4, 16, 16)
with_gaps = 10 * (mask // 4) + mask % 4  # 0-3, 10-13, 20-23, 30-33
print("runs of the model for one order:", attributing.runs_needed(mask), "without gaps,",
      attributing.runs_needed(with_gaps), "with")

# %% [markdown]
# Each number that nobody has is a player that does nothing, and costs a run.
#
# ## Two methods, one answer?
#
# From records that come with the workbench: every answer of 64 rings, what each (pass, head) has
# changed in `S`, by both methods. Rows are passes, columns heads.

# %%
records = {"Shapley": measured("attribution-depo-n8-any"),
           "Int. gradients": measured("attribution-depo-n8-any-gradients")}
pictures.matrices(
    {f"{name}, {hops} hop{'s' * (hops > 1)}":
     record["attribution"].sel(difficulty=hops, layer=1).values
     for hops in (1, 4) for name, record in records.items()},
    columns=2, bound=6.0, numbers=".1f", unit="nats",
    title="What each pass's change of each head is owed",
    x_title="head", y_title="pass", y_text=["1", "2", "3", "4"],
)

# %%
for hops in (1, 4):
    for name, record in records.items():
        here = record.sel(difficulty=hops, layer=1)
        total = here["attribution"].sum("gdn_head").values.round(1)
        print(f"hops {hops}, {name:<15} by pass {total}, of {float(here['worth']):.1f} nats")
for name, record in records.items():
    worst = float(record["completeness_error"].max())
    print(f"{name:<15} completeness error at most {worst:.0e}, "
          f"unexplained {float(record['unexplained']):.2f}")

# %% [markdown]
# **How to read it.** (The colours end at 6 nats, the numbers do not.) At one hop both say: pass 1, in
# head 0, and more than all of it. What later passes changed is against the answer: slightly by
# Shapley; by gradients, pass 2 alone takes away more than a third of the worth. At four hops they
# disagree: Shapley gives each pass a share, integrated gradients take away from pass 1 and give three
# quarters to pass 3. Both are complete to one part in ten thousand, so **completeness does not
# settle it**. Where two sound methods disagree, do not rest a claim on either.
#
# Why do they? A walk in a straight line goes through memories that no sleep has ever left; Shapley
# values go through other such memories. **Infidelity** measures how far an attribution predicts what
# happens when a random half of the features goes to the baseline. *Unexplained* is its share of what
# there is to predict: 0 perfect, 1 no better than nothing. 0.19 against 0.36 speaks for Shapley here,
# but a fifth of what happens it does not predict either.
#
# ## Is it about the model at all?
#
# An attribution may only repeat the input: large entries, large shares. So shuffle all parameters of
# the model, and attribute again. What stays the same has not come from what the model has learnt.

# %%
few = attributing.asked(batch, difficulty=4, most=8)
check = attributing.against_shuffled_weights(model, few.batch, sleep, few.query)
for name in ("rank_correlation", "magnitude_correlation"):
    print(name, check[name].mean("example").values.round(2))

# %% [markdown]
# Two shuffled copies, 64 features (head, key) each. The order of the shares is lost, and so it should
# be; of their sizes a little is left.
#
# **Honest limits.** Passing these checks does not make an attribution true; failing one is enough to
# drop it. Changes of a pass are held as they were: what pass 1 did *to* pass 2 counts for pass 2. And
# this is one trained model. To know what a part does, change it and look: notebook 8.
#
# ## What you have seen
#
# - An attribution shares out $f(x) - f(\text{baseline})$. Check the sum, example by example.
# - Never hand Captum a looped module. Hand it the rest of the computation from a boundary.
# - The baseline is half of the question. Name it.
# - Complete is not correct. Two methods, infidelity, shuffled weights; where they disagree, rest no
#   claim on either.
#
# **To go on**: share out the heads instead of the passes with your `shapley`; try
# `attribute_tokens` in `workbench.instruments.attribution`, and read its error before its numbers.

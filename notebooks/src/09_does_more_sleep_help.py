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
# # 9. Does more sleep help?
#
# A model that sleeps goes $N$ times over what it has read before its cache is thrown away. The
# paper's claim: the larger $N$, the harder the questions it can answer later. In this notebook you
# train three small models with $N$ = 1, 2 and 4 and watch them learn; then you ask the same
# question of recorded runs with five seeds, and find out what they can say and what they cannot.
#
# About 40 minutes to read and try. The training takes about 3 minutes of a laptop with two cores,
# while you read on; nothing is fetched. Three exercises, as in notebook 1: a cell to complete, a
# check in a sentence, a folded solution.

# %%
import numpy as np

from workbench.lab import results
from workbench.notebook import live, setup
from workbench.notebook import more_sleep as exercises
from workbench.tasks import batch_generator, task
from workbench.views import questions

setup(panel=False)

STEPS = 2000  # of each of the three models; with fewer, little is learnt

# %% [markdown]
# ## Three models, trained now
#
# The task is Depo, small: a ring of 6 nodes is written as 6 shuffled edges, then come questions
# of the form "which node is $k$ steps after this one?", $k$ from 1 to 3. The edges are one window.
# The model sleeps on them, loses its cache, and must answer from its fast weights.

# %%
base = live.ring(nodes=6, max_hops=3)
depo = task(base.task)
edges, asked = depo.text(depo.sample(1, batch_generator(0, 0, "notebook")), 0).splitlines()
print("edges     ", edges, "\nquestions ", asked)

# %% [markdown]
# `5>4` is an edge, and `2:5=3` says that two steps from node 5 is node 3. Now start the training.
# All three models begin with the same weights and see the same batches; only $N$ differs. Each is
# a process of its own, two at a time, so the cell returns at once and you can go on reading.
# **Stop** ends them early; shutting the kernel down ends them too.

# %%
runs = live.experiment(base, passes=(1, 2, 4), steps=STEPS)
runs.widget()

# %% [markdown]
# **How to read it.** Above: loss and accuracy against training steps, a panel for each number of
# hops, a line for each $N$. One hop is an edge that was read; more hops must be put together.
# Below: accuracy against $N$ so far. Dotted and dashed lines are what guessing gives.
# Watch *which* questions a model learns, and when: accuracy waits near chance and then rises.
#
# **What it cannot tell you.** This is one seed and a short budget: another seed may turn two of
# the lines around, and a line that is still rising has not said its last word. Equal steps are not
# equal compute either. So treat it as a demonstration; the evidence is what was recorded.
#
# Call the next cell whenever you like, now and again later.

# %%
print(runs.report())

# %% [markdown]
# ## Recorded runs
#
# The workbench keeps records of its larger experiments: `depo-n8` is a ring of 8 nodes with 1 to 4
# hops, every model trained for 2,000 steps of 64 sequences (or for the same FLOPs, where its name
# says so), with five seeds. A record grows while its sweep is being run; this is what it holds.

# %%
record, data = exercises.recorded("depo-n8")
print(f"{record['title']} {len(record['runs'])} runs, tested on {data.attrs['counts']} examples")
print(f"records there are: {', '.join(exercises.records())}")
print(results.conditions(data)["condition"].values)

# %% [markdown]
# ### At equal tokens
#
# The paper's comparison: the same sequences, the same number of steps, each model tested at the
# $N$ it was trained with. `workbench.views.questions` knows which runs belong to a question; the
# results page of `workbench serve` shows the same figures.

# %%
by_name = {question.name: question for question in questions.QUESTIONS}


def show(name):
    question = by_name[name]
    print(question.means, questions.missing_words(data, question), sep="\n")
    if question in questions.answerable(data):
        return question.draw(question.table(data), "light")


show("equal_tokens")

# %% [markdown]
# **How to read it.** Each line is a number of hops; a dot is the mean over seeds, its bar the 95 %
# t interval of that mean. One hop needs no second pass. For two and more, $N = 1$ is far
# below $N = 2$, which is below $N = 4$: a staircase.
#
# **Honest limits.** Five seeds are few: a t interval of them is wide, and may run past 1 where one
# seed is far from the others. Where only one seed is recorded there is no bar at all. And means
# hide shapes: look at the five models behind one dot.

# %%
for n in (1, 2, 4):
    print(f"N = {n}, 3 hops, seed by seed:", exercises.seeds_of(data, n, 3).round(2))

# %% [markdown]
# Of the five models with $N = 2$, one has hardly learnt three hops. It is not noise around a mean;
# it is a step that this model had not taken when the budget ended. A longer training might.
#
# ### Exercise 1
#
# Models of one seed begin with the same weights and see the same batches, so compare them seed by
# seed. Complete `paired_difference`: mean of `a - b`, and the ends of its 95 % interval by the
# bootstrap: draw as many seeds as there are, with replacement, take the mean, repeat 10,000 times,
# and take the 2.5 % and 97.5 % quantiles.


# %%
def paired_difference(a, b):
    ...  # TODO: mean, low, high; np.random.default_rng(0).choice draws, np.quantile sorts


exercises.check_paired_difference(paired_difference)


# %% tags=["solution"] jupyter={"source_hidden": true}
def paired_difference(a, b):
    pairs = a - b
    drawn = np.random.default_rng(0).choice(pairs, (10_000, len(pairs)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return pairs.mean(), low, high


exercises.check_paired_difference(paired_difference)

# %%
for hops in (1, 2, 3, 4):
    four, two, one = (exercises.seeds_of(data, n, hops) for n in (4, 2, 1))
    for name, other in (("2", two), ("1", one)):
        mean, low, high = paired_difference(four, other)
        print(f"{hops} hops: N = 4 minus N = {name}: {mean:+.2f}  [{low:+.2f}, {high:+.2f}]")

# %% [markdown]
# An interval that excludes 0 suggests that the sign is not this sample's luck - for this task, this
# size and this budget. Only suggests: with five seeds a bootstrap interval covers the truth in
# about 84 % of cases, not 95, so the results page has t intervals and exact tests. Between $N = 4$ and $N = 2$ at two hops the interval reaches down to 0:
# there, four of five models have learnt it either way.
#
# ## Is it only the compute?
#
# A model that goes four times over its window computes more. The paper's cost multiplier, in
# passes over tokens:
#
# $$C(N) = \frac{T_\text{sleep}\,\bigl((1 - f) + f N\bigr) + T_\text{wake}}{T}$$
#
# $T_\text{sleep}$ tokens lie in windows that are slept on, $T_\text{wake}$ in those with questions,
# $T$ is their sum, and $f$ is the share of the blocks that is looped.
#
# ### Exercise 2
#
# Complete `cost`.


# %%
def cost(n, asleep, awake, looped=1.0):
    ...  # TODO: C(N) for tokens asleep and awake


exercises.check_cost(cost)


# %% tags=["solution"] jupyter={"source_hidden": true}
def cost(n, asleep, awake, looped=1.0):
    return (asleep * ((1 - looped) + looped * n) + awake) / (asleep + awake)


exercises.check_cost(cost)

# %%
for n in (1, 2, 4):
    print(f"N = {n}: formula {cost(n, 16, 32):.2f}, counted {exercises.counted_cost(data, n):.2f}")
print(f"the paper's Depo, 300 tokens asleep and 60 awake, N = 4: {cost(4, 300, 60):.2f}")

# %% [markdown]
# The counted multiplier (all matrix products of a training step, from the model itself) lies a
# little higher. The last pass of a sleep stops at the last fast-weight layer, since nothing above
# it is kept; with $N = 1$ that cheaper pass is the only one, with more there are whole ones too.
#
# So give $N = 1$ the FLOPs that $N = 4$ had: for more steps, in more blocks, or in wider ones.

# %%
show("equal_flops")

# %% [markdown]
# **How to read it.** A row for each way to spend the same compute, a panel for each number of
# hops; the row of $N = 1$ itself had less. If sleep is more than compute, its row lies right of
# the others. If there is no figure, those runs have not been recorded yet: then this notebook
# cannot tell you, and neither can the figure above.
#
# What is there can be set against its cost, though: here each dot stands at the FLOPs it took.

# %%
flops = by_name["flops"]
print(questions.missing_words(data, flops))
flops.draw(flops.table(data), "light")

# %% [markdown]
# **How to read it.** Further right is dearer. A point above and left of another is better and
# cheaper. Points of one line are one arm at its several $N$; that a line rises shows that compute
# spent on sleep buys accuracy, not that it buys more than compute spent otherwise.
#
# ## At an N it was not trained at
#
# $N$ is a number that one can turn at test time. What does a model do with more, or less, sleep
# than it was trained with?

# %%
show("transfer")

# %% [markdown]
# **How to read it.** A row is how a model was trained, a column the $N$ it slept in the test; a
# frame marks the $N$ of its training. Leave the frame to the right in the first row: a model that
# never slept twice gets *worse* by sleeping more. One trained at $N = 4$ holds its answers
# well past it, but does poorly on a single pass. **Limits**: means over seeds without intervals,
# and a row may have fewer seeds than the others while the record grows.
#
# ## What is solved?
#
# Accuracies between 0 and 1 make a blurred picture of something sharp: a number of hops is mostly
# learnt or not. So ask of each model how many hops it has *solved*, from 1 on without a gap.
#
# ### Exercise 3
#
# Complete `solved`: given the accuracies for 1, 2, ... hops and a threshold, how many in a row,
# from the first, reach it?


# %%
def solved(accuracy, threshold):
    ...  # TODO: a whole number; 0 if the first is not solved


exercises.check_solved(solved)


# %% tags=["solution"] jupyter={"source_hidden": true}
def solved(accuracy, threshold):
    return int(np.logical_and.accumulate(accuracy >= threshold).sum())


exercises.check_solved(solved)

# %%
for n in (1, 2, 4):
    by_hops = np.array([exercises.seeds_of(data, n, hops) for hops in (1, 2, 3, 4)])
    print(f"N = {n}: largest number of hops solved, seed by seed:", [
        solved(one_seed, 0.9) for one_seed in by_hops.T
    ])

# %% [markdown]
# A threshold is a choice. Set 0.8 in place of 0.9 and see which of these numbers move: those are
# models on the edge of a step.
#
# ## And your own three?

# %%
print(runs.report())

# %% [markdown]
# If they still train, read on and come back. When they have ended, compare: do your three agree
# with the record about *which* $N$ solves more hops? They need not. One seed of a small task
# cannot confirm or refute anything, which is why the record has five and the paper, with one and
# no intervals, leaves the question open.
#
# ## What you have seen
#
# - At equal tokens, more passes solve more hops on this task, and the intervals of the paired
#   differences from $N = 1$ exclude 0.
# - Equal tokens are not equal compute: $C(4) = 2$ here, 3.5 in the paper's Depo. Whether sleep
#   beats the same compute spent otherwise is a question of its own, with runs of its own.
# - A model is good near the $N$ it was trained at.
# - Five seeds, one task, one size, 2,000 steps. A different budget may move every step of the
#   staircase.
#
# **To go on**: another seed (`live.experiment(..., seed=1)`), other $N$ (`passes=(1, 3)`), a
# larger ring (`live.ring(nodes=8, max_hops=4)`, which needs more steps); or the same with all
# controls and seeds: the lab page of `workbench serve`, or
# `workbench sweep data/sweeps/depo-n8.toml`.

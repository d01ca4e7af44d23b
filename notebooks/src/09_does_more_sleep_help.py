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
from scipy.stats import t as student

from sleep_course import live, more_sleep
from sleep_course.exercises import more_sleep as exercises
from sleep_course.records import recorded
from workbench.lab import results
from workbench.notebook import setup
from workbench.tasks import batch_generator, task
from workbench.figures.lab.questions import question_figure
from workbench.lab.results import bundled, differences, questions

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
# a separate process, two at a time, so the cell returns at once and you can go on reading.
# **Stop** ends them early; shutting the kernel down ends them too.

# %%
runs = live.experiment(base, passes=(1, 2, 4), steps=STEPS)
runs.widget()

# %% [markdown]
# **How to read it.** Above: loss and accuracy against training steps, a panel for each number of
# hops, a line for each $N$. One hop is an edge that was read; more hops must be put together.
# Below: accuracy against $N$ so far. Dotted and dashed lines are what guessing gives (notebook 1).
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
# says so), with five seeds. This is what it holds.

# %%
record, data = recorded("depo-n8")
print(f"{record['title']} {len(record['runs'])} runs, tested on {data.attrs['counts']} examples")
print(f"records there are: {', '.join(bundled.records())}")
print(results.conditions(data)["condition"].values)

# %% [markdown]
# ### At equal tokens
#
# The paper's comparison: the same sequences, the same number of steps, each model tested at the
# $N$ it was trained with. `workbench.lab.results.questions` knows which runs belong to a question; the
# results page of `workbench serve` shows the same figures.

# %%
by_name = {question.name: question for question in questions.QUESTIONS}


def show(name):
    question = by_name[name]
    print(question.means)
    return question_figure(question.figure, question.table(data))


show("equal_tokens")

# %% [markdown]
# **How to read it.** Each line is a number of hops; a dot is the mean over seeds, its bar the 95 %
# interval of that mean. One hop needs no second pass. For two and more, $N = 1$ is far below
# $N = 4$, and the mean of $N = 2$ lies in between.
#
# **Honest limits.** Five seeds are few: look how long the bars are. And means hide shapes. Here are
# the five models behind one dot.

# %%
for n in (1, 2, 4):
    print(f"N = {n}, 3 hops, seed by seed:", more_sleep.seeds_of(data, n, 3).round(2))

# %% [markdown]
# Of the five models with $N = 2$, one has hardly learnt three hops. It is not noise around a mean;
# it is a step that this model had not taken when the budget ended. A longer training might.
#
# ### Exercise 1
#
# How sure is a mean of so few? Its standard error is $s / \sqrt{n}$, where $s$ is the standard
# deviation of the $n$ seeds (`ddof=1`). With many seeds the mean lies within 1.96 standard errors in
# 95 % of the cases. With few, $s$ itself is uncertain, and 1.96 is too small. **Student's t** has the
# right factor, by degrees of freedom $n - 1$: `student.ppf(0.975, n - 1)`, 2.78 for five seeds.
#
# Complete `seed_interval`: the mean, and the low and high end of its 95 % interval.


# %%
def seed_interval(accuracy):
    ...  # TODO: mean, low, high; accuracy is [seed]


exercises.check_seed_interval(seed_interval)


# %% tags=["solution"] jupyter={"source_hidden": true}
def seed_interval(accuracy):
    n, mean = len(accuracy), np.mean(accuracy)
    half = student.ppf(0.975, n - 1) * np.std(accuracy, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


exercises.check_seed_interval(seed_interval)

# %% [markdown]
# Does an interval hold what it promises? That can be tried: draw five numbers whose true mean we
# know, a thousand times, and count how often the interval has it. Compare yours with 1.96 standard
# errors, and with the *percentile bootstrap* (draw five of the five with replacement, many times, and
# take the middle 95 % of their means), which many papers use and this workbench once did.

# %%
intervals = {
    "1.96 standard errors": more_sleep.normal_interval,
    "percentile bootstrap": more_sleep.bootstrap_interval,
    "yours, Student's t": seed_interval,
}
for name, interval in intervals.items():
    normal, uneven = (more_sleep.coverage(interval, seeds=5, failing=p) for p in (0.0, 0.2))
    print(f"{name:<22} holds the true mean in {normal:.0%} of samples; {uneven:.0%} if one model "
          "in five fails")  # fmt: skip

# %% [markdown]
# **How to read it.** With five seeds, what should be 95 % is well below it for the first two. Student's
# t keeps its promise where seeds vary like a bell curve. The last column is a warning: if one model in
# five fails and the others agree, as with $N = 2$ here, a third of all samples has no failure in it,
# and no formula can see what is not there. Only more seeds help.
#
# ### Two arms
#
# Models of one seed begin with the same weights and see the same batches. Should one compare them seed
# by seed? That helps if their accuracies rise and fall *together*:

# %%
for hops in (2, 3, 4):
    two, one = (more_sleep.seeds_of(data, n, hops) for n in (2, 1))
    together = np.corrcoef(two, one)[0, 1]
    print(f"{hops} hops: correlation of N = 2 with N = 1 over seeds {together:+.2f}")

# %% [markdown]
# They do not. So take the two arms as independent groups: **Welch's** t interval of the difference of
# their means. And one more trap: among sixty comparisons some three pass "at 95 %" by luck alone.
# **Holm's** correction allows for all comparisons of this record at once; a star marks what stands
# after it.

# %%
family = differences.family(data)
print(more_sleep.differences(family.differences["equal_tokens"]))
stand = family.standing[0]
print(f"\n{family.size} comparisons in this record, of which {stand} stand after the correction")

# %% [markdown]
# **How to read it.** Columns are 1 to 4 hops. $N = 4$ against $N = 1$ stands at every number of hops -
# for this task, this size and this budget. Of $N = 2$ one can say less: every mean lies where the staircase would have it,
# but with one failed seed in five the intervals are wide, and from two hops on neither step, from 1 to
# 2 or from 2 to 4, stands by itself. That is not evidence that there is no such step. (The exact test
# assumes nothing about how seeds vary, and can let nothing stand here: 5 against 5 seeds can be split
# in 252 ways, so its p is at least 2/252, and with a correction for seven or more that is above 0.05.)
#
# ## The first question
#
# A model answers 8 questions in a row, and each right answer is in the text when the next one is asked.
# "Node 3 is two steps from node 7" says something about the ring, edges or no edges. How far could one
# come by that alone? The best guesser names what is most frequent among all rings that agree with the
# answers so far. For a ring of 8 this can be computed exactly. Compare it with models of the same size
# that were trained for 3,000 steps (`depo-n8-n1` and so on, which come with the workbench):

# %%
for name, shares in more_sleep.first_and_all((1, 2, 4)).items():
    print(name, *(f"\n    {which:<15}" + "  ".join(f"{x:.2f}" for x in by_hops)
                  for which, by_hops in shares.items()))

# %% [markdown]
# **How to read it.** Columns are 1 to 4 hops. Without an edge the guesser is right in 0.14 of the first
# questions, and in about half of all questions together. So an accuracy of 0.3 or 0.5 over all questions
# does not prove that the memory holds two hops: the line at 0.14 is chance for the *first* question only.
# The model of $N = 2$ is better over all questions than on the first, so it uses earlier answers. The
# model of $N = 4$ needs none: it is right on the first. The sweep's own runs were recorded over all
# questions, which the figures above show.
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
    print(f"N = {n}: formula {cost(n, 16, 32):.2f}, counted {more_sleep.counted_cost(data, n):.2f}")
print(f"the paper's Depo, 300 tokens asleep and 60 awake, N = 4: {cost(4, 300, 60):.2f}")

# %% [markdown]
# The counted multiplier (all matrix products of a training step, from the model itself) lies a
# little higher. The last pass of a sleep stops at the last fast-weight layer, since nothing above
# it is kept; with $N = 1$ that cheaper pass is the only one, with more there are whole ones too.
#
# So give $N = 1$ the FLOPs that $N = 4$ had: for more steps, in more blocks, or in wider ones.

# %%
show("equal_flops")

# %%
print(more_sleep.differences(family.differences["equal_flops"]))

# %% [markdown]
# **How to read it.** A row for each way to spend the same compute, a panel for each number of
# hops; the row of $N = 1$ itself had less. If sleep is more than compute, its row lies right of the
# others.
#
# **What was recorded.** Against wider blocks: yes, from two hops on, and by a lot. Against training for
# longer: yes, from three hops on; at two the mean is ahead by 0.4 and does not stand. Against four blocks instead of two it is not so clear. *Deeper* answers two hops as well, within a
# margin of 0.05. At three and four hops sleep's mean is well ahead, but after the correction neither
# difference stands, and *deeper* was still improving when its budget ended. The honest sentence:
# at this rate and this budget, sleep learns far hops sooner.
#
# The same set against its cost: here each dot stands at the FLOPs it took.

# %%
show("flops")

# %% [markdown]
# **How to read it.** Further right costs more. A point above and left of another is better and
# cheaper. Points of one line are one arm at its several $N$; that a line rises shows that compute
# spent on sleep buys accuracy, not that it buys more than compute spent otherwise.
#
# ## Rewriting or thinking?
#
# Notebook 1 asked: a sleep writes again and thinks again, which of the two helps? *Rewrite only* writes
# $N$ times, each time from the words themselves. *Think only* refines its features $N$ times, and keeps
# the writes of the last pass alone. Sleep does both.

# %%
show("parts")

# %%
print(more_sleep.differences(family.differences["parts"]))
for arm in ("rewrite_only", "think_only"):
    share = more_sleep.relative_flops(data, arm)
    print(f"{arm}: {share:.0%} of the training FLOPs of sleep, N = 4")

# %% [markdown]
# **How to read it.** Either alone has a higher mean than one pass from two hops on, and sleep a higher
# one than either. How much of this is more than luck? In both arms some seeds learn far hops and others
# do not, so the intervals are wide. What stands beyond one hop is a single difference: thinking alone
# beats one pass at two hops. At one hop rewriting is slightly *worse* than a single pass and than sleep,
# and that stands. "Sleep needs both" is a good guess that five seeds do not prove. Nor had all the same
# compute: rewriting skips the blocks whose features nobody reads.
#
# ## Why not loop when the question comes?
#
# The same number of passes could be spent over the *questions*: read the context once, loop when asked.

# %%
show("awake")

# %%
print(more_sleep.differences(family.differences["awake"]))

# %% [markdown]
# **How to read it.** Same training FLOPs, one difference beyond accuracy: looping awake makes every
# answer more expensive, sleeping does not. At $N = 4$ sleep is ahead at four hops, and that stands. At
# $N = 2$ and two hops the means are alike, and that does *not* say that both are equally good: the
# interval reaches from a quarter below to a quarter above. To claim equality, set a margin first, and
# show that the interval lies within it.
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
# never slept twice gets *worse* by sleeping more. One trained at $N = 4$ loses slowly beyond it,
# and does poorly on a single pass. **Limits**: means over seeds without intervals.
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
print("largest number of hops solved, seed by seed")
for n in (1, 2, 4):
    by_hops = np.array([more_sleep.seeds_of(data, n, hops) for hops in (1, 2, 3, 4)])
    for threshold in (0.8, 0.9, 0.95):
        print(f"N = {n}, threshold {threshold}:", [solved(one, threshold) for one in by_hops.T])

# %% [markdown]
# A threshold is a choice. For $N = 1$ and $N = 4$ it does not matter; for $N = 2$ it decides what you
# would report. Say which one you took, and look at two others.
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
# - At equal tokens, $N = 4$ answers more than $N = 1$ at every number of hops, and that stands after
#   correcting for all comparisons. $N = 2$ is too uneven over seeds to say as much.
# - An interval has to hold what it promises: Student's t for a few seeds, not a bootstrap. "As good
#   as" needs a margin.
# - Questions that come later can be answered in part from earlier answers. Look at the first.
# - Equal tokens are not equal compute: $C(4) = 2$ here, 3.5 in the paper's Depo. At equal compute sleep
#   beats longer and wider training at three and four hops; against more blocks it is not settled.
# - A model is good near the $N$ it was trained at.
# - Five seeds, one task, one size, 2,000 steps, one learning rate for all. A different budget may move
#   every step of the staircase.
#
# **To go on**: another seed (`live.experiment(..., seed=1)`), other $N$ (`passes=(1, 3)`), a
# larger ring (`live.ring(nodes=8, max_hops=4)`, which needs more steps); or the same with all
# controls and seeds: the lab page of `workbench serve`, or
# `workbench sweep data/sweeps/depo-n8.toml`.

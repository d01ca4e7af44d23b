"""Every axis name, defined once.

A tensor shape in a docstring, a jaxtyping annotation, an xarray dimension and a figure's axis
all use these names. Words that collide with Python or xarray (``pass``, ``head``, ``rank``,
``query`` as a method, ``size``, ``data``) are avoided.
"""

from typing import Final

BATCH: Final = "batch"
"""Sequences computed together; called `EXAMPLE` once they are results."""

EXAMPLE: Final = "example"
"""One sampled sequence: a context that is slept on, then queries."""

WINDOW: Final = "window"
"""One of the consecutive pieces of at most L tokens; the KV cache is evicted after each."""

SLEEP_PASS: Final = "sleep_pass"
"""Recurrent pass over one window: 1..N for writes; 0 is the state carried into the window."""

OTHER_PASS: Final = "other_pass"
"""Pass over the same window that a pass is compared with; as `SLEEP_PASS`."""

BOUNDARY: Final = "boundary"
"""Every boundary (window, sleep_pass) of one reading, in order."""

TOKEN: Final = "token"
"""Position inside a window (or inside a sequence, where no window is named)."""

TOKEN_IN_ENTRY: Final = "token_in_entry"
"""Position inside a window, where `TOKEN` is that inside the whole sequence."""

LAYER: Final = "layer"
"""Index of a block in the stack, attention and fast-weight blocks counted together."""

GDN_HEAD: Final = "gdn_head"
"""Head of a fast-weight layer (whatever its update rule)."""

ATTN_HEAD: Final = "attn_head"
"""Head of an attention layer."""

KEY: Final = "key"
"""Rows of a fast-weight matrix: the key dimension."""

VALUE: Final = "value"
"""Columns of a fast-weight matrix: the value dimension."""

CHANNEL: Final = "channel"
"""The residual stream's width."""

SYMBOL: Final = "symbol"
"""Entry of a task's vocabulary."""

CANDIDATE: Final = "candidate"
"""Symbol that an answer may begin with, or all others together."""

QUERY: Final = "query"
"""Question asked after the context; one difficulty each."""

DIFFICULTY: Final = "difficulty"
"""A task's own measure of hardness: hops (Depo), rollout (Rule 110)."""

MODE: Final = "mode"
"""Index of a singular value, largest first."""

SOURCE_WINDOW: Final = "source_window"
"""Window in which something that the memory holds was written."""

SOURCE_PASS: Final = "source_pass"
"""Pass in which something that the memory holds was written; as `SLEEP_PASS`."""

SOURCE_TOKEN: Final = "source_token"
"""Token, by its position in its window, that wrote something the memory holds."""

CONVENTION: Final = "convention"
"""How S is divided among writes: what is left of each, or what each changed."""

AGE: Final = "age"
"""Windows read since something was written; 0 at the end of its own window."""

TARGET: Final = "target"
"""What a probe is to tell from the memory, by name: 2-hop successors, the cells after t steps."""

ITEM: Final = "item"
"""One of the things that have a target in every example: a node, a cell."""

BASELINE: Final = "baseline"
"""What a probe's accuracy is compared with: the majority, the input, untrained weights."""

COMPONENT: Final = "component"
"""Part of the memory that an intervention changes: all of it, a layer, a head, some modes."""

CONTROL: Final = "control"
"""What an intervention's effect is compared with: another donor, a random matrix of equal norm."""

DIRECTION: Final = "direction"
"""Of a patch: "denoise" (clean into corrupted) or "noise" (corrupted into clean)."""

STRENGTH: Final = "strength"
"""Length of a change of the memory, as a multiple of the shortest that has the wanted effect."""

TREATMENT: Final = "treatment"
"""What has been done to a memory before it is decoded: nothing, erased, another text read."""

PROCEDURE: Final = "procedure"
"""How something was computed: attribution by integrated gradients, a sleep or its frozen replay.

Not "method": ``sel(method=...)`` would choose how labels are matched, and select nothing.
"""

SEED: Final = "seed"
"""Random seed of a training run, or of a measurement's splits and directions."""

STEP: Final = "step"
"""Optimiser step."""

LOGGED_STEP: Final = "logged_step"
"""Optimiser step whose loss was kept; closer together than the evaluations, which are at `STEP`."""

N_TEST: Final = "n_test"
"""Number of sleep passes N used at evaluation."""

N_TRAIN: Final = "n_train"
"""Number of sleep passes N used in training: "4", or "1-4" where it was drawn at random."""

ARM: Final = "arm"
"""Named change of one configuration whose effect an experiment asks about."""

PASSES: Final = "passes"
"""The N that an arm is run at; an arm of one pass says to which N it is matched."""

CONDITION: Final = "condition"
"""An arm at one N of training, in words: what is compared over seeds."""

BUDGET: Final = "budget"
"""What training may have spent when runs are compared on the way: seconds, or FLOPs."""

CHANCE_LINE: Final = "chance_line"
"""Name of a strategy that does not read the context, whose score is drawn as a line."""

REPEAT: Final = "repeat"
"""Number of a measurement made again and again: a latency."""

RUN: Final = "run"
"""One training run, by the name of its folder."""

CHECKPOINT: Final = "checkpoint"
"""Name of a trained model."""

ALL: Final[tuple[str, ...]] = (
    BATCH, EXAMPLE, WINDOW, SLEEP_PASS, OTHER_PASS, BOUNDARY, TOKEN, TOKEN_IN_ENTRY, LAYER,
    GDN_HEAD, ATTN_HEAD, KEY, VALUE, CHANNEL, SYMBOL, CANDIDATE, QUERY, DIFFICULTY, MODE,
    SOURCE_WINDOW, SOURCE_PASS, SOURCE_TOKEN,
    CONVENTION, AGE, TARGET, ITEM, BASELINE, COMPONENT, CONTROL, DIRECTION, STRENGTH, TREATMENT,
    PROCEDURE, SEED, STEP, LOGGED_STEP, N_TEST, N_TRAIN, ARM, PASSES, CONDITION, BUDGET,
    CHANCE_LINE, REPEAT, RUN, CHECKPOINT,
)  # fmt: skip

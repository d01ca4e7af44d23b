"""Arms: named changes of one configuration, so that experiments mean the same thing by a name.

Each takes a base configuration and N; what N means in an arm is in its description. Source of the
list: arXiv 2605.26099 (sleep, sliding, loop range), and controls that the paper does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

from workbench.config import ATTENTION, Experiment, RandomPasses, build
from workbench.errors import WorkbenchError
from workbench.lab.flops import cost
from workbench.mixers import STANDARD, mixers
from workbench.tasks import task as make_task

Change = Callable[[Experiment, int], Experiment]
DEEPEST, WIDEST = 8, 8
"""How many times deeper or wider a compute-matched model may become."""


@dataclass(frozen=True)
class Arm:
    """A named change: ``change(base, passes)`` returns another configuration.

    `name` is used in sweep files and run names, `title` in figures; `describes` says what changes,
    and what N means.
    """

    name: str
    title: str
    describes: str
    change: Change


def arm(name: str) -> Arm:
    """Return the arm of that name, or raise with the nearest one."""
    if name not in ARMS:
        close = get_close_matches(name, ARMS, n=1)
        fix = f"write {close[0]}" if close else "choose one"
        raise WorkbenchError(f"arm {name!r}", f"one of {', '.join(ARMS)}", fix)
    return ARMS[name]


def arm_title(name: str, n_train: str = "") -> str:
    """Return an arm's title; one pass of a task that reads before it sleeps is N = 0."""
    plain = name.partition("@")[0]
    title = ARMS[plain].title if plain in ARMS else plain
    return title.replace("N = 1", "N = 0") if n_train == "0" else title


def condition_words(name: str, n_train: str) -> str:
    """Return an arm, as `workbench.lab.results` names it, and its N as a reader knows them."""
    title, matched = arm_title(name, n_train), name.partition("@")[2]
    if matched:
        return f"{title} (matched to N = {matched})"
    if "N = " in title:
        return title
    return f"{title} in {n_train}" if title.endswith(" N") else f"{title}, N = {n_train}"


def trained_passes(experiment: Experiment) -> str:
    """Return the N of training as text: "4", or "1-4" where it is drawn at random."""
    passes = experiment.sleep.passes
    if isinstance(passes, RandomPasses):
        return f"{passes.low}-{passes.high}"
    return str(passes) if isinstance(passes, int) else passes.kind


def with_settings(experiment: Experiment, **sections: dict[str, Any]) -> Experiment:
    """Return `experiment` with fields of its sections replaced and checked."""
    data = experiment.model_dump()
    for section, fields in sections.items():
        data[section] = {**data[section], **fields}
    return build(Experiment, data, source="arm")


def at_equal_flops(experiment: Experiment, reference: Experiment) -> Experiment:
    """Return `experiment` with as many steps as cost what `reference`'s training costs."""
    target = cost(reference).training * reference.training.batch_size * reference.training.steps
    steps = round(target / (cost(experiment).training * experiment.training.batch_size))
    return with_settings(experiment, training={"steps": max(steps, 1)})


def _plain(base: Experiment, **more: Any) -> Experiment:
    """Return the plain hybrid, which reads each window once."""
    return _sleep(base, 1 if base.sleep.order == "mask" else 0, **more)


def _sleep(base: Experiment, passes: Any, **more: Any) -> Experiment:
    return with_settings(base, sleep={"passes": passes, **more})


def _random(base: Experiment, passes: int) -> Experiment:
    return _sleep(base, {"kind": "random", "low": 1, "high": passes})


def _deeper(base: Experiment, passes: int) -> Experiment:
    pattern, once = base.model.layers, _plain(base)
    candidates = (
        with_settings(once, model={"layers": (pattern * DEEPEST)[:depth]})
        for depth in range(len(pattern), DEEPEST * len(pattern) + 1)
    )
    return _matched(candidates, _sleep(base, passes))


def _wider(base: Experiment, passes: int) -> Experiment:
    model, once = base.model, _plain(base)
    step = 2 * model.attention_heads  # RoPE turns channels in pairs
    first = -(-model.width // step) * step
    sizes = (
        {"width": width, "mlp_width": round(model.mlp_width * width / model.width)}
        for width in range(first, WIDEST * model.width + 1, step)
    )
    candidates = (with_settings(once, model=size) for size in sizes)
    return _matched(candidates, _sleep(base, passes))


def _longer(base: Experiment, passes: int) -> Experiment:
    return at_equal_flops(_plain(base), _sleep(base, passes))


def _wake_loop(base: Experiment, passes: int) -> Experiment:
    return at_equal_flops(_plain(base, wake_passes=passes), _sleep(base, passes))


def _matched(candidates: Iterable[Experiment], reference: Experiment) -> Experiment:
    """Return the candidate (cheapest first) whose step costs nearest to the reference's.

    The number of steps makes up for the rest.
    """
    target = cost(reference).training
    best, distance = reference, float("inf")
    for candidate in candidates:
        found = cost(candidate).training
        if abs(found - target) < distance:
            best, distance = candidate, abs(found - target)
        if found > target:
            break
    return at_equal_flops(best, reference)


def _retained_cache(base: Experiment, passes: int) -> Experiment:
    task = make_task(base.task)
    if base.sleep.order == "predict_then_sleep":
        passes = 0  # nothing comes after the only window, which has been read awake
    return _sleep(base, passes, window=task.context_tokens + task.query_tokens)


def _never_written(base: Experiment, passes: int) -> Experiment:
    return _sleep(base, 0, order="predict_then_sleep", wake_writes=False)


def _rule(kind: str, base: Experiment, passes: int) -> Experiment:
    layers = tuple(k if k == ATTENTION else kind for k in base.model.layers)
    return with_settings(_sleep(base, passes), model={"layers": layers})


def _loop(part: str, base: Experiment, passes: int) -> Experiment:
    depth = len(base.model.layers)
    loop = {"upper": (depth // 2, depth), "middle": (depth // 4, depth - depth // 4)}[part]
    if loop == (0, depth):
        raise WorkbenchError(
            f"arm 'loop_{part}' on {depth} layers, where it loops all of them",
            "a deeper model",
            "use the arm sleep, or more layers",
        )
    return _sleep(base, passes, loop=loop)


RULES = {name: mixer.title for name, mixer in mixers().items() if name != STANDARD}
"""Update rules compared with the paper's, and their names in figures."""

MATCHED = ("deeper", "wider", "longer", "wake_loop")
"""Arms whose steps follow from what `sleep` at N costs."""
BY_FLOPS = "trained with the FLOPs of `sleep` at N; what the size leaves over, the steps make up"
ALL = (
    Arm("sleep", "sleep", "N passes over every window, in training and at test.", _sleep),
    Arm("random_n", "random N", "N drawn from 1..N once per training step.", _random),
    Arm("deeper", "deeper, N = 1", f"One pass, more blocks: {BY_FLOPS}.", _deeper),
    Arm(
        "wider",
        "wider, N = 1",
        f"One pass, wider blocks, the memory as large as before: {BY_FLOPS}.",
        _wider,
    ),
    Arm("longer", "longer, N = 1", "One pass, more steps: the FLOPs of `sleep` at N.", _longer),
    Arm(
        "wake_loop",
        "loop awake",
        "One pass asleep, N over every window with labels; steps for the FLOPs of `sleep` at N.",
        _wake_loop,
    ),
    Arm(
        "retained_cache",
        "cache kept",
        "Nothing is evicted: one window holds the whole sequence (an upper bound; no sleep).",
        _retained_cache,
    ),
    Arm(
        "never_written",
        "S never written",
        "Every window is read once and S stays 0: what no memory leaves to gain (a lower bound).",
        _never_written,
    ),
    Arm(
        "sliding",
        "sliding",
        "N passes; the newest L - 1 tokens' KV outlives a window.",
        partial(_sleep, eviction="sliding"),
    ),
    Arm(
        "rewrite_only",
        "rewrite only",
        "N passes that all read the embedding: S is written N times from features that no pass "
        "has refined.",
        partial(_sleep, feed_back=False),
    ),
    Arm(
        "think_only",
        "think only",
        "N passes that refine the features; S keeps only the last pass's writes.",
        partial(_sleep, write="last_pass"),
    ),
    Arm(
        "no_fast_weights",
        "no fast weights",
        "Attention in place of every fast-weight layer: nothing survives a hard eviction, so it "
        "must stay at chance.",
        partial(_rule, ATTENTION),
    ),
    *(
        Arm(
            f"loop_{part}",
            f"loop {part} half",
            f"N passes over only the {part} half of the blocks.",
            partial(_loop, part),
        )
        for part in ("upper", "middle")
    ),
    *(
        Arm(f"rule_{kind}", title, f"N passes with {title} as update rule.", partial(_rule, kind))
        for kind, title in RULES.items()
    ),
)
ARMS: dict[str, Arm] = {a.name: a for a in ALL}

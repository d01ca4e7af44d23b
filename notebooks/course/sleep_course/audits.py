"""Five findings to audit, each next to an honest result of the same kind.

Called by notebook 10; its exercises are in `sleep_course.exercises.audits`. No number is
invented: each finding was reached in a faulty way that has happened here or elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sleep_course import causing, inside, writers
from sleep_course.records import recorded
from sleep_course.writers import Write
from workbench import dims
from workbench.instruments.probing.features import fast_weights
from workbench.lab import results
from workbench.tasks import batch_generator
from workbench.trace import record
from workbench.training.checkpoints import load_checkpoint
from workbench.training.statistics import compare

TRAINED = "depo-n8-any"
TEST_SHARE = 0.25
RIDGE = 1.0


# --- 1. a probe ----------------------------------------------------------------------------------


class Probing:
    """Memories with a label each, and a linear probe that can be trained on some of them.

    `labels` are bool ``[row]``; `source`, int ``[row]``, is the ring that a row is a memory of.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, source: np.ndarray) -> None:
        self.labels, self.source = labels, source
        rows = features.astype(np.float64)
        self._inner = rows @ rows.T  # all that ridge regression needs of the features

    def score(self, train: np.ndarray, test: np.ndarray) -> float:
        """Train a ridge probe on the rows `train`; return its accuracy on the rows `test`."""
        train, test = (_numbers(rows) for rows in (train, test))
        inner = self._inner[np.ix_(train, train)]
        across = self._inner[np.ix_(test, train)]
        centre, own = inner.mean(axis=0), inner.mean()
        inner = inner - centre - centre[:, None] + own
        across = across - across.mean(axis=1, keepdims=True) - centre + own
        signs = np.where(self.labels[train], 1.0, -1.0)
        weights = np.linalg.solve(inner + RIDGE * np.eye(len(train)), signs - signs.mean())
        found = across @ weights + signs.mean() > 0
        return float((found == self.labels[test]).mean())


def by_row(probing: Probing, seed: int) -> float:
    """Return the accuracy that was published: rows drawn at random for training and test."""
    order = np.random.default_rng(seed).permutation(len(probing.source))
    count = int(len(order) * (1 - TEST_SHARE))
    return probing.score(order[:count], order[count:])


def probings(*, rings: int = 300, passes: tuple[int, ...] = (5, 6, 7, 8)) -> dict[str, Probing]:
    """Return memories of the bundled model with thrown coins, and with a fact, as labels.

    Every ring occurs once for each of `passes`. "coins" is a coin per ring; "fact" is whether the
    node after node 1 has one of the upper four names.
    """
    checkpoint = load_checkpoint(TRAINED)
    batch = checkpoint.task.sample(rings, batch_generator(3, 0, "notebook"))
    sleep = checkpoint.sleep.with_passes(max(passes))
    states = fast_weights(checkpoint.model, batch, sleep).isel({dims.WINDOW: 0, dims.LAYER: 0})
    chosen = states.sel({dims.SLEEP_PASS: list(passes)}).transpose(
        dims.EXAMPLE, dims.SLEEP_PASS, ...
    )
    features = chosen.values.reshape(rings * len(passes), -1)
    source = np.repeat(np.arange(rings), len(passes))
    one_hop = checkpoint.task.probe_targets(batch)[0].labels
    labels = {
        "coins": np.random.default_rng(0).integers(0, 2, rings) == 1,
        "fact": one_hop[:, 1] >= 4,
    }
    return {name: Probing(features, of_ring[source], source) for name, of_ring in labels.items()}


# --- 2. convergence ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slept:
    """One head through one sleep: S ``[sleep_pass = 0..n, key, value]``, and what pass 1 wrote."""

    states: np.ndarray
    writes: list[Write]


def replay(state: np.ndarray, writes: list[Write], n: int) -> np.ndarray:
    """Write the same again and again: return S at the start and after each of `n` times.

    Shape ``[sleep_pass = 0..n, key, value]``.
    """
    after = [state]
    for _ in range(n):
        for k, v, beta, decay in writes:
            state = decay * state
            state = state + beta * np.outer(k, v - state.T @ k)
        after.append(state)
    return np.stack(after)


def sleeps(*, thinking: bool, rings: int = 16, passes: int = 8, head: int = 0) -> list[Slept]:
    """Let the bundled model sleep on some rings, and return one head of each.

    If `thinking`, a pass reads what the pass before has made of the words; if not (the ablation
    "rewrite only"), every pass begins from the words again.
    """
    checkpoint = load_checkpoint(TRAINED)
    batch = checkpoint.task.sample(rings, batch_generator(1, 0, "notebook"))
    sleep = checkpoint.sleep.with_passes(passes).model_copy(update={"feed_back": thinking})
    trace = record(checkpoint.model, batch, sleep, task=checkpoint.task)
    here = {dims.WINDOW: 0, dims.LAYER: 0, dims.GDN_HEAD: head}
    states = trace["states"].to_dataset()["fast_weight"].isel(here)
    found = []
    for ring in range(rings):
        writes = writers.writes_of(trace, example=ring, gdn_head=head)
        first = writes[: len(writes) // passes]
        found.append(Slept(states.isel({dims.EXAMPLE: ring}).values.astype(float), first))
    return found


# --- 3. a lift -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lift:
    """Two ways to train, compared: claim, shares right ``[seed]``, and FLOPs of one training."""

    claim: str
    ours: np.ndarray
    theirs: np.ndarray
    our_flops: float
    their_flops: float


def lifts() -> dict[str, Lift]:
    """Return four comparisons out of the bundled record `depo-n8`, at two hops."""
    data = recorded("depo-n8")[1]
    final = results.conditions(results.final(data)["accuracy"].sel({dims.DIFFICULTY: 2}))
    tested = results.with_n_test(final)
    names = list(zip(tested[dims.ARM].values, tested[dims.N_TRAIN].values, strict=True))

    def values(arm: str, n_train: str) -> np.ndarray:
        return tested.isel({dims.CONDITION: names.index((arm, n_train))}).values

    def flops(arm: str, n_train: str) -> float:
        spent = data["training_flops"].sel({dims.ARM: arm, dims.N_TRAIN: n_train})
        return float(spent.max())

    def lift(claim: str, ours: tuple[str, str], theirs: tuple[str, str]) -> Lift:
        return Lift(claim, values(*ours), values(*theirs), flops(*ours), flops(*theirs))

    awake = lift(
        "to sleep twice beats to loop twice when asked", ("sleep", "2"), ("wake_loop@2", "1")
    )
    best = int((awake.ours - awake.theirs).argmax())
    one = Lift(
        awake.claim, awake.ours[[best]], awake.theirs[[best]], awake.our_flops, awake.their_flops
    )
    return {
        "one seed": one,
        "all seeds of it": awake,
        "more compute": lift("at the same cost, N = 4 beats N = 1", ("sleep", "4"), ("sleep", "1")),
        "honest": lift(
            "at the same cost, N = 4 beats N = 1 in wider blocks",
            ("sleep", "4"),
            ("wider@4", "1"),
        ),
    }


def interval(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean of `ours` minus that of `theirs`: low and high.

    Welch's, of two independent groups of seeds. With fewer than two seeds on
    either side it is unbounded: from minus to plus infinity.
    """
    found = compare(*(np.asarray(group, dtype=np.float64) for group in (ours, theirs)))
    if np.isnan(found.low):
        return -np.inf, np.inf
    return float(found.low), float(found.high)


# --- 4. likeness ---------------------------------------------------------------------------------


def cka(x: np.ndarray, y: np.ndarray) -> float:
    """Return linear CKA, as usually computed, of ``x`` and ``y``, both ``[example, feature]``.

    1 where both arrange the examples alike, up to rotation and scale.
    """
    a, b = ((f - f.mean(axis=0)) @ (f - f.mean(axis=0)).T for f in (x, y))
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def memories(seed: int) -> np.ndarray:
    """Return S for 16 rings, ``[sleep_pass = 1..4, example, gdn_head, entry]``."""
    checkpoint = load_checkpoint(TRAINED)
    batch = checkpoint.task.sample(16, batch_generator(seed, 0, "notebook"))
    events = inside.sleep_passes(checkpoint.model, batch, checkpoint.sleep.with_passes(4))
    found = np.stack([causing.state_of(event.memory) for event in events])
    return found.reshape(*found.shape[:3], -1).astype(np.float64)


# --- 5. answers ----------------------------------------------------------------------------------


class Reader:
    """A small reader built by hand, which goes over its questions several times before it answers.

    A context says of each of 16 names which of the 16 comes after it; the reader keeps it in a
    delta-rule memory with room for 10 keys. Then it is asked about 8 names. It reads as a language
    model does: it answers a question from what it has read so far, then reads the right answer
    too, and writes it down; then comes the next question. It does so `loops` times, and the last
    time counts. If it `carries`, each round of questions begins with the memory that the round
    before left; if not, with the memory that was brought along.
    """

    names, room, asked = 16, 10, 8

    def __init__(self, loops: int, *, carries: bool, episodes: int = 200) -> None:
        self.loops, self.carries = loops, carries
        generator = np.random.default_rng(5)
        keys = generator.standard_normal((episodes, self.names, self.room))
        self._keys = keys / np.linalg.norm(keys, axis=-1, keepdims=True)
        # a permutation an episode: which name comes after which
        self._after = generator.random((episodes, self.names)).argsort(axis=1)
        self._questions = generator.random((episodes, self.names)).argsort(axis=1)[:, : self.asked]
        self.chance = 1 / self.names

    def memories(self) -> np.ndarray:
        """Read all contexts; return S, ``[episode, key, value]``."""
        state = np.zeros((len(self._after), self.room, self.names))
        for name in self._after.argsort(axis=1).T:  # in another order
            state = self._written(state, name)
        return state

    def accuracy(self, state: np.ndarray) -> float:
        """Bring S along, ``[episode, key, value]``; return the share of questions right."""
        brought = np.asarray(state, dtype=np.float64)
        now = brought
        for _ in range(self.loops):
            now, right = (now if self.carries else brought), []
            for name in self._questions.T:
                said = np.einsum("ekv,ek->ev", now, self._key(name)).argmax(axis=1)
                right.append(said == self._answer(name))
                now = self._written(now, name)
        return float(np.mean(right))

    def _key(self, name: np.ndarray) -> np.ndarray:
        return self._keys[np.arange(len(name)), name]

    def _answer(self, name: np.ndarray) -> np.ndarray:
        return self._after[np.arange(len(name)), name]

    def _written(self, state: np.ndarray, name: np.ndarray) -> np.ndarray:
        """Write the name that comes after `name`, by the delta rule."""
        key = self._key(name)
        missing = np.eye(self.names)[self._answer(name)] - np.einsum("ekv,ek->ev", state, key)
        return state + key[:, :, None] * missing[:, None, :]


class Trained:
    """The bundled model, asked the same way: `memories`, `accuracy`, `chance`."""

    chance = 1 / 7

    def __init__(self, *, episodes: int = 64) -> None:
        checkpoint = load_checkpoint(TRAINED)
        self._model, self._sleep = checkpoint.model, checkpoint.sleep.with_passes(4)
        self._batch = checkpoint.task.sample(episodes, batch_generator(1, 0, "notebook"))

    def memories(self) -> np.ndarray:
        """Sleep on all contexts; return S, ``[episode, gdn_head, key, value]``."""
        events = inside.sleep_passes(self._model, self._batch, self._sleep)
        return causing.state_of(events[-1].memory)

    def accuracy(self, state: np.ndarray) -> float:
        """Wake with S; return the share of questions right."""
        memory = causing.with_state(self._model.empty_memory(len(state)), np.asarray(state))
        return inside.accuracy(self._model, self._batch, self._sleep, memory)


def _numbers(rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows

"""Depo's settings, and the rings that follow from them: their sizes, and which are held out."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from workbench.task_config import TaskConfig


class DepoConfig(TaskConfig):
    """Depo, k-hop retrieval on a directed cycle (Physics of Language Models 4.1).

    Attributes
    ----------
    nodes : int
        n, or the largest n where sizes vary.
    n_dist : {"fixed", "uniform", "plm4"}
        Cycle length: always `nodes`; uniform in 3..nodes; or p(n) ~ 1 / (n + sqrt(nodes)).
    max_hops : int
        K; k is uniform in 1..K.
    hops : tuple of int or None
        Draw k from these only (the paper tests at 1, 2, 4, 8, 16); None is 1..max_hops.
    queries : int
        Queries on distinct start nodes; fewer where a cycle has fewer nodes.
    names : {"depo1", "depo2", "single"}
        Node names: 1-2 of 50 letters; 5-7 of 3 letters; or one symbol per node.
    predict_ans : bool
        The marker ANS carries loss too, as in the paper.
    isolated : bool
        Each query is read alone after the context, so that it sees no earlier answer.
    held_out : float or None
        Share of all rings that training never draws and every other stream draws alone; None
        draws all rings everywhere. With one symbol a node only: other names are new anyway.
    """

    later: ClassVar[tuple[str, ...]] = ("held_out", "isolated")
    common: ClassVar[tuple[str, ...]] = ("nodes", "max_hops", "queries")

    name: Literal["depo"] = "depo"
    nodes: int = Field(75, ge=3, le=100_000)
    n_dist: Literal["fixed", "uniform", "plm4"] = "fixed"
    max_hops: int = Field(16, ge=1, le=100_000)
    hops: tuple[int, ...] | None = None
    queries: int = Field(10, ge=1, le=100_000)
    names: Literal["depo1", "depo2", "single"] = "depo1"
    predict_ans: bool = True
    isolated: bool = False
    held_out: float | None = Field(None, ge=0.01, le=0.99)

    @model_validator(mode="after")
    def _hops_in_range(self) -> Self:
        if self.held_out is not None and self.names != "single":
            raise ValueError(
                f'held_out {self.held_out} needs names = "single": with names = "{self.names}" '
                "nearly every ring is new anyway"
            )
        if self.hops is not None and not all(1 <= k <= self.max_hops for k in self.hops):
            raise ValueError(f"hops {self.hops} must lie in 1..max_hops ({self.max_hops})")
        if self.hops is not None and not self.hops:
            raise ValueError("hops must name at least one k, or be left out")
        capacity = {"depo1": 50 + 50**2, "depo2": 3**5 + 3**6 + 3**7, "single": self.nodes}
        if self.nodes > capacity[self.names] // 2 and self.names != "single":
            raise ValueError(
                f"nodes {self.nodes} leaves too few distinct names ({capacity[self.names]} "
                f"words in {self.names}); use at most {capacity[self.names] // 2}"
            )
        return self


def size_distribution(config: DepoConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return the sizes n that a cycle can have, int64 [size], and their odds [size]."""
    if config.n_dist == "fixed":
        return np.array([config.nodes]), np.ones(1)
    sizes = np.arange(3, config.nodes + 1)
    weight = np.ones(len(sizes))
    if config.n_dist == "plm4":
        weight = 1.0 / (sizes + np.sqrt(config.nodes))
    return sizes, weight / weight.sum()


def rings_held_out(ring: np.ndarray, sizes: np.ndarray, share: float) -> np.ndarray:
    """Return which rings are held out, bool [example]: a fixed property of each ring.

    A ring is hashed from its smallest name on, so that it is the same ring wherever it begins;
    the hash, as a number in [0, 1), is compared with `share`.

    `ring`: int [example, node]: names in the order of the ring, in the first ``sizes[example]``;
    `sizes`: int [example]; `share`: expected share of all rings.
    """
    size = sizes[:, None]
    place = np.arange(ring.shape[1])
    used = place < size
    begin = np.where(used, ring, np.iinfo(np.int64).max).argmin(axis=1)[:, None]
    turned = np.take_along_axis(ring, np.where(used, (place + begin) % size, place), axis=1)
    code = np.full(len(ring), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for names, inside in zip(turned.T.astype(np.uint64), used.T, strict=True):
        code = np.where(inside, _mixed(code ^ (names + np.uint64(1))), code)
    return (code >> np.uint64(11)) * 2.0**-53 < share


def _mixed(code: np.ndarray) -> np.ndarray:
    """Return a well-mixed function of each number, uint64 (SplitMix64, Steele et al. 2014)."""
    code = code + np.uint64(0x9E3779B97F4A7C15)
    code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return code ^ (code >> np.uint64(31))

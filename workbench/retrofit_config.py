"""The settings of a retrofit: which fast-weight layers a pretrained model gets, and what learns."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from workbench.task_config import Frozen

Block = Annotated[int, Field(ge=0, le=1023)]


class RetrofitConfig(Frozen):
    """A pretrained model that learns to sleep: the section ``[retrofit]`` of a run.

    Attributes
    ----------
    base : str
        The pretrained model: a folder, a GGUF file, a name such as smollm2-135m, hf:// and an id.
    insert : str
        Mixer of the new layers, of those that `workbench.mixers` knows.
    after : tuple of int
        Blocks of the base that a new layer follows. Its output projection is zero at first.
    replace : tuple of int
        Blocks of the base whose attention a new layer replaces.
    heads, dim : int or None
        Heads of a new layer, and channels of its keys and values; None: those of the attention.
    start : {"random", "induction"}
        First weights of the new layers, as ``model.fast_weights_start``.
    train : {"inserted", "lora", "all"}
        What learns: the new layers; those and LoRA adapters of the attention; or every weight.
    lora_rank : int
        Rank of the adapters.
    kl : float
        Weight of the KL divergence from the base, which has the whole text in view.
    distil : float
        Weight of the mean squared difference between each replacing layer's output and that of
        the attention it replaces, on the base's own features.
    hard_steps : int
        Steps that begin training with hard eviction, where ``sleep.eviction`` is "sliding".
    """

    base: str = Field(min_length=1, max_length=4096)
    insert: str = "gated_delta"
    after: tuple[Block, ...] = ()
    replace: tuple[Block, ...] = ()
    heads: int | None = Field(None, ge=1, le=2**12)
    dim: int | None = Field(None, ge=1, le=2**14)
    start: Literal["random", "induction"] = "random"
    train: Literal["inserted", "lora", "all"] = "inserted"
    lora_rank: int = Field(8, ge=1, le=1024)
    kl: float = Field(0.0, ge=0, le=1e6)
    distil: float = Field(0.0, ge=0, le=1e6)
    hard_steps: int = Field(0, ge=0, le=10**9)

    @model_validator(mode="after")
    def _layers_defined(self) -> Self:
        if not self.after and not self.replace:
            raise ValueError("after and replace are both empty: name blocks of the base")
        for name, blocks in (("after", self.after), ("replace", self.replace)):
            if list(blocks) != sorted(set(blocks)):
                raise ValueError(f"{name} = {list(blocks)} must ascend, each block once")
        if self.distil and not self.replace:
            raise ValueError("distil compares a layer with the attention it replaces: set replace")
        return self

    def range_of(self, begin: int, end: int) -> tuple[int, int]:
        """Return blocks ``begin <= i < end`` of the base as a range of all blocks, for a loop."""
        first, last = (n + sum(i < n for i in self.after) for n in (begin, end))
        return first, last

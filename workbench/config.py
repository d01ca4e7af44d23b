"""Configuration: frozen pydantic models, their TOML form, and overrides ``a.b=value``.

One definition serves the TOML files, the command line and the forms of the apps. Unknown keys
are refused, and so is a value outside its range; no default changes the numbers of a paper
setting silently (docs/method.md lists every option where the paper is silent).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from workbench.files import MissingFile, read_toml
from workbench.mixers import mixers
from workbench.retrofit_config import RetrofitConfig
from workbench.task_config import AnyTask
from workbench.task_config import Frozen as Frozen
from workbench.validation import apply_overrides as apply_overrides
from workbench.validation import build as build

MOST_PASSES = 10_000
"""Most passes over one window; a larger number is a mistake."""
MOST_TOKENS = 2**24
"""Most tokens of a window, or examples; a larger number is a mistake."""

ATTENTION = "attention"


def layer_kinds() -> tuple[str, ...]:
    """Return what a block may mix tokens with: attention, or a mixer of `workbench.mixers`."""
    return ATTENTION, *mixers()


def _known_kind(kind: str) -> str:
    known = layer_kinds()
    if kind not in known:
        *names, last = map(repr, known)
        context = {"expected": f"{', '.join(names)} or {last}"}
        line: Any = {"type": "literal_error", "input": kind, "ctx": context}
        raise ValidationError.from_exception_data("layers", [line])
    return kind


def _with_choices(schema: dict[str, Any]) -> None:
    schema["enum"] = list(layer_kinds())


LayerKind = Annotated[str, AfterValidator(_known_kind), Field(json_schema_extra=_with_choices)]
"""Mixer of a block: one of `layer_kinds`."""


class ModelConfig(Frozen):
    """The hybrid network.

    Attributes
    ----------
    vocabulary : int
        Number of symbols; 0 means "take it from the task" and is filled in before training.
    width : int
        Channels of the residual stream.
    layers : tuple of LayerKind
        One block per entry, in order; any interleaving.
    attention_heads : int
        Heads of an attention layer; width / attention_heads channels each, even for RoPE.
    gdn_heads : int
        Heads of a fast-weight layer, each with its own matrix.
    key_dim : int
        Rows of each fast-weight matrix.
    value_dim : int
        Columns of each fast-weight matrix.
    conv_width : int
        Taps of the short causal convolution in fast-weight layers.
    mlp_width : int
        Hidden channels of SwiGLU; 0 leaves the MLP out (Ouro + Jet layers).
    rope_base : float
        RoPE wavelength base.
    norm_eps : float
        Epsilon of every RMSNorm.
    attention_backend : {"sdpa", "flash"}
        torch SDPA, or the flash-attn package (CUDA, bf16/fp16; not installed by default).
    kernel_backend : str
        Backend of `sleep_kernels`: "auto" or an explicit one, which raises if it cannot serve.
    fast_weights_start : {"random", "induction"}
        First weights of the fast-weight layers. "induction" makes copying easy: a token's key is
        the query of the token before, and S decays slowly.
    """

    later: ClassVar[tuple[str, ...]] = ("fast_weights_start",)

    vocabulary: int = Field(0, ge=0, le=2**24)
    width: int = Field(64, ge=2, le=2**20)
    layers: tuple[LayerKind, ...] = Field(
        ("attention", "gated_delta"), min_length=1, max_length=1024
    )
    attention_heads: int = Field(4, ge=1, le=2**12)
    gdn_heads: int = Field(4, ge=1, le=2**12)
    key_dim: int = Field(16, ge=1, le=2**14)
    value_dim: int = Field(16, ge=1, le=2**14)
    conv_width: int = Field(4, ge=1, le=256)
    mlp_width: int = Field(128, ge=0, le=2**22)
    rope_base: float = Field(10_000.0, gt=1, le=1e12)
    norm_eps: float = Field(1e-6, gt=0, le=1)
    attention_backend: Literal["sdpa", "flash"] = "sdpa"
    kernel_backend: str = "auto"
    fast_weights_start: Literal["random", "induction"] = "random"

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % (2 * self.attention_heads):
            raise ValueError(
                f"width {self.width} must be a multiple of 2 x attention_heads "
                f"({self.attention_heads}), RoPE turns channels in pairs"
            )
        return self

    @model_validator(mode="after")
    def _keys_from_queries(self) -> Self:
        if self.fast_weights_start == "induction":
            dynamic = {k for k, mixer in mixers().items() if mixer.convolution == "dynamic"}
            if self.conv_width < 2 or dynamic.intersection(self.layers):
                raise ValueError(
                    "fast_weights_start = 'induction' needs a short convolution of keys: "
                    "conv_width of at least 2, and no layer of kind "
                    + " or ".join(map(repr, sorted(dynamic)))
                )
        return self


class RandomPasses(Frozen):
    """N drawn uniformly from low..high, once per batch (random N in training)."""

    kind: Literal["random"] = "random"
    low: int = Field(1, ge=0, le=MOST_PASSES)
    high: int = Field(4, ge=1, le=MOST_PASSES)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not exceed high ({self.high})")
        return self


class UntilMemorySettles(Frozen):
    """Sleep until ``||S_n - S_(n-1)|| <= tolerance ||S_n||`` in every head, or `cap` passes.

    The sequences of a batch sleep until the slowest of them has settled.
    """

    kind: Literal["until_memory_settles"] = "until_memory_settles"
    tolerance: float = Field(0.05, gt=0)
    cap: int = Field(16, ge=1, le=MOST_PASSES)


class UntilAnswersSettle(Frozen):
    """Sleep until no answer in the batch has changed for `patience` passes, or `cap` passes.

    Looks at the batch's own queries, so it measures how many passes they need; a rule that may
    not know the queries is `UntilMemorySettles`.
    """

    kind: Literal["until_answers_settle"] = "until_answers_settle"
    patience: int = Field(1, ge=1, le=MOST_PASSES)
    cap: int = Field(16, ge=1, le=MOST_PASSES)


Passes = (
    Annotated[int, Field(ge=0, le=MOST_PASSES)]
    | Annotated[RandomPasses | UntilMemorySettles | UntilAnswersSettle, Field(discriminator="kind")]
)


class SleepConfig(Frozen):
    """How the model sleeps: chosen at run time, not baked into a model.

    Attributes
    ----------
    window : int
        L, tokens per window; the KV cache is evicted after each.
    passes : int or a rule
        N: fixed, random (training), or decided after each pass. 0 only with order =
        "predict_then_sleep": the plain hybrid, which reads each window once.
    eviction : {"hard", "sliding"}
        Hard: the whole KV cache goes. Sliding: the newest L - 1 tokens' KV stays.
    loop : (int, int) or None
        Half-open range ``[a, b)`` of blocks that a sleep repeats; blocks outside it run once per
        window. None loops all blocks.
    conv_state : {"zero", "carry"}
        Short-convolution state at the start of each pass.
    final_norm : {"outside", "inside"}
        Whether the final RMSNorm belongs to the head or to every pass.
    kept_kv : {"last", "first"}
        Sliding eviction: the pass whose KV is kept.
    mask_padding : bool
        Padding is masked in attention and in writes.
    checkpointing : {"none", "pass", "window"}
        Activation checkpointing: recompute each pass, or each window's sleep, in the backward.
    write : {"every_pass", "last_pass"}
        The passes of a sleep whose S is kept. "last_pass" is "think only": earlier passes refine
        the features, and S returns to what it was before the window.
    feed_back : bool
        False is "rewrite only": every pass reads the embedding again, so that S is written N
        times from features no pass has refined.
    wake_passes : int
        Passes over a window with labels before the answer is read; 1 in the paper. More loops at
        wake time, and answering costs as many times more.
    order : {"mask", "predict_then_sleep"}
        "mask" is the paper's: a window with labels is read awake and never slept on.
        "predict_then_sleep" is for text, where every token is a label: a window with labels is read
        awake, its KV cache is dropped, and N passes without loss follow. Queries read alone are
        never slept on.
    wake_writes : bool
        predict_then_sleep: whether S keeps what the wake pass wrote. False with N = 0 never writes
        to S, so that nothing but a kept KV cache crosses a boundary.
    """

    later: ClassVar[tuple[str, ...]] = ("order", "wake_writes")

    window: int = Field(16, ge=2, le=MOST_TOKENS)
    passes: Passes = 1
    eviction: Literal["hard", "sliding"] = "hard"
    loop: tuple[int, int] | None = None
    conv_state: Literal["zero", "carry"] = "zero"
    final_norm: Literal["outside", "inside"] = "outside"
    kept_kv: Literal["last", "first"] = "last"
    mask_padding: bool = True
    checkpointing: Literal["none", "pass", "window"] = "none"
    write: Literal["every_pass", "last_pass"] = "every_pass"
    feed_back: bool = True
    wake_passes: int = Field(1, ge=1, le=MOST_PASSES)
    order: Literal["mask", "predict_then_sleep"] = "mask"
    wake_writes: bool = True

    @model_validator(mode="after")
    def _order_defined(self) -> Self:
        fewest = self.passes.low if isinstance(self.passes, RandomPasses) else self.passes
        if self.order == "mask" and fewest == 0:
            raise ValueError(
                "passes = 0 needs order = 'predict_then_sleep'; in the order 'mask' the plain "
                "hybrid, which reads each window once, is N = 1"
            )
        if self.order == "mask" and not self.wake_writes:
            raise ValueError("wake_writes = false needs order = 'predict_then_sleep'")
        if self.order != "mask" and isinstance(self.passes, UntilAnswersSettle):
            raise ValueError(
                "order = 'predict_then_sleep' needs an N that does not depend on the text still to "
                "come: fixed, random, or until_memory_settles"
            )
        return self

    @model_validator(mode="after")
    def _ablations_defined(self) -> Self:
        if self.write == "last_pass" and isinstance(
            self.passes, UntilMemorySettles | UntilAnswersSettle
        ):
            raise ValueError(
                "write = 'last_pass' needs an N known before the sleep, fixed or random: a rule "
                "decides after each pass"
            )
        if not self.feed_back and self.loop is not None and self.loop[0] > 0:
            raise ValueError(
                f"feed_back = false reads the embedding in every pass, so loop {self.loop} must "
                "begin at block 0"
            )
        return self

    def with_passes(self, passes: int) -> Self:
        """Return the same configuration with N fixed to `passes`."""
        return build(type(self), {**self.model_dump(), "passes": passes}, source="sleep")


Beta = Annotated[float, Field(ge=0, lt=1)]


class StartConfig(Frozen):
    """The trained model that a run starts from.

    `checkpoint`: a bundled name, or the folder of a checkpoint or of a finished run; ``{seed}``
    stands for the run's own seed. `tokens`: which of that model's symbols a symbol of this task
    starts as, where the two have different names; symbols in neither start as in any new model.
    """

    checkpoint: str = Field(min_length=1)
    tokens: dict[str, str] = {}


class TrainingConfig(Frozen):
    """Optimisers, schedule and housekeeping of one run.

    Attributes
    ----------
    seed : int
        Fixes the initial weights, every batch and every random N.
    steps : int
        Optimiser steps.
    batch_size : int
        Sequences per step.
    accumulate : int
        Parts that the sequences of a step are read in, one after the other, to save memory.
    muon_lr : float
        Rate of Muon, which trains the 2-D matrices of the body.
    adamw_lr : float
        Rate of AdamW, which trains all else.
    muon_adjust : {"original", "match_rms_adamw"}
        How Muon scales its rate with a matrix's shape (`torch.optim.Muon`).
    muon_momentum : float
        Share of the last step's direction that Muon keeps.
    weight_decay : float
        Applies to Muon's matrices only.
    adamw_betas : (float, float)
        AdamW's moment decays.
    clip : float
        Largest gradient norm.
    warmup : int
        Steps of linear warm-up.
    decay : {"constant", "cosine", "linear"}
        Schedule after warm-up; the last two end at zero.
    decay_fraction : float
        Share of the steps, at the end, over which the rate decays.
    log_every : int
        Steps between two losses that are written down.
    eval_every : int
        Steps between two evaluations; 0: only at the end.
    checkpoint_every : int
        Steps between two resume points.
    eval_count : int
        Examples of each evaluation, from seeds that training never draws.
    eval_passes : tuple of int
        N tested at evaluation; empty means the trained N (1..high for random N).
    final_passes : tuple of int
        N tested after the last step; empty means `eval_passes`.
    threads : int
        CPU threads; results are bit-for-bit repeatable at equal thread counts.
    device : str
        "cpu" or "cuda[:i]".
    dtype : {"float32", "bfloat16"}
        bfloat16 by autocast; fast weights stay float32.
    compile : bool
        Compile the blocks with `torch.compile` (needs a C++ compiler on a CPU). The first step
        waits for the compiler.
    cuda_graphs : bool
        Replay each training step from a CUDA graph, one per N and layout of the batch.
    start : StartConfig or None
        The trained model whose weights are the first weights; None starts from new ones.
    """

    later: ClassVar[tuple[str, ...]] = ("start", "accumulate")

    seed: int = Field(0, ge=0, lt=2**63)
    steps: int = Field(1000, ge=1, le=10**9)
    batch_size: int = Field(64, ge=1, le=MOST_TOKENS)
    accumulate: int = Field(1, ge=1, le=MOST_TOKENS)
    muon_lr: float = Field(2e-3, gt=0, le=100)
    adamw_lr: float = Field(5e-5, gt=0, le=100)
    muon_adjust: Literal["original", "match_rms_adamw"] = "match_rms_adamw"
    muon_momentum: float = Field(0.95, ge=0, lt=1)
    adamw_betas: tuple[Beta, Beta] = (0.9, 0.98)
    weight_decay: float = Field(0.0, ge=0, le=100)
    clip: float = Field(1.0, gt=0)
    warmup: int = Field(100, ge=0, le=10**9)
    decay: Literal["constant", "cosine", "linear"] = "constant"
    decay_fraction: float = Field(1.0, gt=0, le=1)
    log_every: int = Field(50, ge=1, le=10**9)
    eval_every: int = Field(0, ge=0, le=10**9)
    checkpoint_every: int = Field(200, ge=1, le=10**9)
    eval_count: int = Field(1000, ge=1, le=MOST_TOKENS)
    eval_passes: tuple[Annotated[int, Field(ge=0, le=MOST_PASSES)], ...] = ()
    final_passes: tuple[Annotated[int, Field(ge=0, le=MOST_PASSES)], ...] = ()
    threads: int = Field(1, ge=1, le=1024)
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    dtype: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    cuda_graphs: bool = False
    start: StartConfig | None = None

    @property
    def sequences(self) -> int:
        """Return how many sequences the whole training draws."""
        return self.steps * self.batch_size


class Experiment(Frozen):
    """All of one run: the file ``workbench train`` reads.

    With `retrofit` the model is a pretrained one, and `model` is filled in to describe it.
    """

    retrofit: RetrofitConfig | None = None
    model: ModelConfig = ModelConfig()
    sleep: SleepConfig = SleepConfig()
    task: AnyTask
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _loop_inside_model(self) -> Self:
        if self.sleep.loop is not None and (self.retrofit is None or self.model.vocabulary):
            first, last = self.sleep.loop
            if not 0 <= first < last <= len(self.model.layers):
                raise ValueError(
                    f"sleep.loop {self.sleep.loop} must satisfy 0 <= a < b <= "
                    f"{len(self.model.layers)} (the number of layers)"
                )
        return self

    @model_validator(mode="after")
    def _parts_defined(self) -> Self:
        training, retrofit = self.training, self.retrofit
        if training.batch_size % training.accumulate:
            raise ValueError(
                f"training.accumulate {training.accumulate} must divide training.batch_size "
                f"{training.batch_size}"
            )
        if training.cuda_graphs and (training.accumulate > 1 or retrofit is not None):
            raise ValueError("training.cuda_graphs needs accumulate = 1 and no [retrofit]")
        if retrofit is not None and training.start is not None:
            raise ValueError("[retrofit] starts from its base: leave training.start out")
        if retrofit is not None and retrofit.hard_steps and self.sleep.eviction == "hard":
            raise ValueError("retrofit.hard_steps needs sleep.eviction = 'sliding' after them")
        return self

    @model_validator(mode="after")
    def _tested_without_sleep(self) -> Self:
        tested = (*self.training.eval_passes, *self.training.final_passes)
        if 0 in tested and self.sleep.order == "mask":
            raise ValueError("testing at N = 0 needs sleep.order = 'predict_then_sleep'")
        return self


def load_experiment(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Experiment:
    """Read an `Experiment` from TOML, with overrides ``section.field=value``.

    Raises `WorkbenchError` for a field that is unknown or out of range; `UnreadableFile` if the
    file is missing, not a regular file, or not TOML.
    """
    path = Path(path)
    try:
        data = read_toml(path)
    except MissingFile:
        raise MissingFile(
            f"no configuration file at {path}", "a TOML file", "see data/configs for examples"
        ) from None
    return build(Experiment, apply_overrides(data, overrides), source=str(path))


def to_toml(config: BaseModel) -> str:
    """Return the TOML form of a configuration; None fields are left out."""
    import tomli_w

    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))

"""A pretrained model that is taught to sleep: what learns, what is kept, and what is refused."""

import json
import shutil

import pytest
import torch
from run_facts import steps_of

import workbench
from workbench.backbones.backbone import Backbone
from workbench.batch import Batch
from workbench.cli import main
from workbench.config import Experiment, apply_overrides, build
from workbench.errors import WorkbenchError
from workbench.files import file_sha256
from workbench.tasks import task as make_task
from workbench.tasks.base import draw
from workbench.training import loop as training_loop
from workbench.training.loop import train
from workbench.training.resume import read_resume_state
from workbench.training.retrofit.base_alone import IN_VIEW, WITHOUT, base_alone
from workbench.training.retrofit.steps import (
    distillation,
    first_model,
    in_one_window,
    retrofit_loss,
    sleep_at,
)

WORDS = "has apples one more fewer apple than as many and . ? Anna Bob Cleo Dan 0 1 2 3 4".split()
SETTINGS = {
    "retrofit": {"after": [1, 2], "start": "induction"},
    "sleep": {"window": 10, "passes": 2, "loop": [1, 5]},
    "task": {
        "name": "variables", "form": "words", "variables": 2, "given": 2, "names": 4,
        "modulus": 5, "max_depth": 1,
    },
    "training": {
        "steps": 4, "batch_size": 4, "muon_lr": 5e-3, "adamw_lr": 5e-3, "eval_count": 8,
        "checkpoint_every": 2, "warmup": 0,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tiny_base, tmp_path_factory):
    """The folder of a tiny pretrained model that knows the words of the task."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("bases") / "tiny"
    tiny_base("llama", 40).save_pretrained(folder)
    words = {word: number for number, word in enumerate(["PAD", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="PAD"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def experiment(base):
    """Return a maker of experiments: ``experiment("training.steps=9", ...)``."""

    def make(*overrides):
        data = {name: dict(section) for name, section in SETTINGS.items()}
        data["retrofit"]["base"] = data["task"]["tokenizer"] = str(base)
        return build(Experiment, apply_overrides(data, overrides), source="test")

    return make


@pytest.fixture(scope="module")
def finished(experiment, tmp_path_factory):
    """The folder of a retrofit of four steps."""
    folder = tmp_path_factory.mktemp("runs") / "retrofit"
    assert train(experiment("training.eval_passes=[1, 2]"), folder) == "finished"
    return folder


REPLACED = ("retrofit.after=[]", "retrofit.replace=[1]", "retrofit.distil=1", "sleep.loop=[0, 4]")


def batch_of(experiment, count=3):
    return draw(make_task(experiment.task), count, 0, 0)


def test_words_are_tokens_of_the_base(experiment):
    task = make_task(experiment().task)
    batch = draw(task, 20, 0, 0)
    assert batch.isolated == 3 and (task.solve(batch) == batch.tokens).all()
    told, asked = task.typed(batch, 0)
    again = task.parse(told, asked)
    assert (again.tokens[0] == batch.tokens[0]).all()
    assert task.render(batch, 0)[-2] == "has" and len(task.vocabulary) == len(WORDS) + 1


def test_with_one_pass_it_is_the_base_until_it_is_trained(base, experiment, tiny_base):
    made = experiment()
    model, teacher, start = first_model(made)
    tokens = torch.as_tensor(batch_of(made).tokens)
    assert model.depth == 6 and teacher is None and start.origin["licence"] == "unknown"
    assert not any(part.training for part in model.modules()), "dropout would not be resumed"
    hidden, memory = model.blocks(model.embed(tokens), model.empty_memory(3))
    with torch.no_grad():
        wanted = tiny_base("llama", 40)(tokens).logits
    assert torch.equal(model.logits(hidden), wanted)
    assert all(s.abs().max() > 0 for s in memory.fast_weights.values()), "S is written at once"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_only_new_layers_learn(base, experiment, tmp_path, dtype):
    made = experiment(f"training.dtype={dtype}", "training.steps=2")
    assert train(made, tmp_path / "run") == "finished"
    before, _, _ = first_model(made)
    after = workbench.load(tmp_path / "run").model
    new = dict(after.named_parameters())
    for name, weight in before.named_parameters():
        if name.startswith("inserted"):
            assert weight.dtype == torch.float32
            assert not torch.equal(weight, new[name]), name
        else:
            assert weight.dtype == getattr(torch, dtype)
            assert torch.equal(weight, new[name]), name


def test_its_folder_holds_what_was_added(finished, base):
    from safetensors import safe_open

    folder = finished / "checkpoint"
    assert {path.name for path in folder.iterdir()} == {
        "additions.safetensors", "config.toml", "card.md", "provenance.json",
    }  # fmt: skip
    with safe_open(folder / "additions.safetensors", "pt") as file:
        assert all(name.startswith("inserted.") for name in file.keys())
    record = json.loads((folder / "provenance.json").read_text())
    assert record["started_from"]["name"] == str(base)
    assert record["metrics"]["passes"].keys() == {"1", "2"}
    assert "gated_delta layers after blocks 1, 2" in (folder / "card.md").read_text()
    loaded = workbench.load(finished)
    assert isinstance(loaded.model, Backbone) and loaded.text.encode("Anna has").size == 2
    assert (
        loaded.sleep.loop == (1, 5)
        and loaded.identity[0] == record["hashes"]["additions.safetensors"]
    )
    point = sorted((finished / "state").iterdir())[-1]
    assert all(name.startswith("inserted.") for name in read_resume_state(point).model)


def test_another_base_or_a_damaged_folder_is_refused(finished, base, tmp_path, capsys):
    folder = shutil.copytree(finished / "checkpoint", tmp_path / "copy")
    config = folder / "config.toml"
    (folder / "additions.safetensors").write_bytes(b"cut")
    assert "additions.safetensors is not the file that was saved" in refused(folder, capsys)
    (folder / "additions.safetensors").unlink()
    assert "lacks model.safetensors" in refused(folder, capsys)
    shutil.copy(finished / "checkpoint" / "additions.safetensors", folder)
    other = shutil.copytree(base, tmp_path / "other")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    config.write_text(config.read_text().replace(str(base), str(other)))
    record = json.loads((folder / "provenance.json").read_text())
    record["hashes"]["config.toml"] = file_sha256(config)
    (folder / "provenance.json").write_text(json.dumps(record))
    assert f"{other} is not the base of" in refused(folder, capsys)


def refused(folder, capsys):
    """Return the one line with which a folder is refused."""
    with pytest.raises(SystemExit) as ended:
        main(["eval", str(folder)])
    line = capsys.readouterr().err
    assert ended.value.code == 2 and line.count("\n") == 1
    return line.removeprefix("workbench: ")


def test_a_stopped_retrofit_ends_with_the_same_weights(finished, experiment, tmp_path):
    made, folder = experiment("training.eval_passes=[1, 2]"), tmp_path / "run"
    seen = []

    def stop():
        seen.append(0)
        return len(seen) == 3

    assert train(made, folder, stop=stop) == "stopped"
    assert train(made, folder, resume=True) == "finished"
    assert steps_of(folder) == steps_of(finished)
    name = "checkpoint/additions.safetensors"
    assert (folder / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.parametrize("checkpointing", ["pass", "window"])
def test_recomputing_and_accumulating_change_no_step(experiment, tmp_path, checkpointing):
    """Losses of three steps: gradients that differ would show in the second."""

    def losses(name, *overrides):
        train(experiment("training.log_every=1", "training.steps=3", *overrides), tmp_path / name)
        lines = (tmp_path / name / "events.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    parts = ("training.accumulate=2", f"sleep.checkpointing={checkpointing}")
    assert losses("whole") == pytest.approx(losses("parts", *parts), rel=1e-5)


@pytest.mark.parametrize("kind", ["lora", "all"])
def test_the_base_may_learn_too(experiment, tmp_path, kind):
    made = experiment(f"retrofit.train={kind}", "training.steps=2", "retrofit.lora_rank=2")
    assert train(made, tmp_path / "run") == "finished"
    before, _, _ = first_model(made)
    after = dict(workbench.load(tmp_path / "run").model.named_parameters())
    changed = {n for n, w in before.named_parameters() if not torch.equal(w, after[n])}
    base = {name for name in changed if name.startswith("base.")}
    if kind == "lora":
        assert base and all(".lora_" in name for name in base)
    else:
        assert len(base) == sum(name.startswith("base.") for name in after)


def test_a_replacing_layer_learns_the_attention(experiment):
    made = experiment(*REPLACED)
    model, teacher, _ = first_model(made)
    assert model.depth == 4 and model.fast_weight_layers == (1,)
    batch = batch_of(made, 8)
    first = distillation(model, teacher, batch).detach()
    assert float(first) == pytest.approx(1.0), "the layer's output is zero at first"
    steps = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(60):
        loss = distillation(model, teacher, batch)
        loss.backward()
        steps.step()
        steps.zero_grad()
    assert float(loss.detach()) < 0.5


def test_the_attention_it_learns_from_is_the_base_s_own(experiment):
    """Against a layer whose output is put in from transformers' own forward: no difference."""
    made = experiment(*REPLACED)
    model, teacher, _ = first_model(made)
    batch = batch_of(made)
    seen = {}
    attention = teacher.base.model.layers[1].self_attn
    hook = attention.register_forward_hook(lambda _, __, out: seen.update(out=out[0]))
    teacher.base(torch.as_tensor(batch.tokens))
    hook.remove()
    layer = model.replaced["1"]
    layer.mixer.forward = lambda *_: type("M", (), {"output": seen["out"]})()
    assert float(distillation(model, teacher, batch).detach()) < 1e-10


def test_kl_is_zero_where_the_model_is_the_base(experiment):
    """One window, N = 1: the model sees what the base sees, and computes the same."""
    made = experiment("retrofit.kl=1.0", "sleep.order=predict_then_sleep")
    model, teacher, _ = first_model(made)
    batch = in_one_window(batch_of(made))
    sleep = made.sleep.model_copy(update={"window": 40, "passes": 1, "loop": None})
    bare = made.retrofit.model_copy(update={"kl": 0.0})

    def losses():
        both = made.retrofit, bare
        return [float(retrofit_loss(model, teacher, batch, sleep, r, None).detach()) for r in both]

    with_kl, without = losses()
    assert with_kl == pytest.approx(without, abs=1e-6)
    with torch.no_grad():
        for layer in model.inserted.values():
            layer.mixer.out.weight.normal_()
    with_kl, without = losses()
    assert with_kl > without + 1e-3


def test_eviction_by_stage(experiment):
    made = experiment("sleep.eviction=sliding", "retrofit.hard_steps=2")
    assert [sleep_at(made, step).eviction for step in range(4)] == ["hard"] * 2 + ["sliding"] * 2
    with pytest.raises(WorkbenchError, match=r"hard_steps needs sleep.eviction = 'sliding'"):
        experiment("retrofit.hard_steps=2")


def test_queries_read_alone_follow_their_context_in_one_window(experiment):
    batch = batch_of(experiment(), 2)
    whole = in_one_window(batch)
    assert isinstance(whole, Batch) and len(whole) == 4 and whole.isolated == 0
    context = batch.context_tokens
    for row in range(4):
        example, query = divmod(row, 2)
        assert (whole.tokens[row, :context] == batch.tokens[example, :context]).all()
        own = batch.query_tokens(query)
        assert (whole.tokens[row, context:] == batch.tokens[example, own]).all()


def test_eval_compares_it_with_its_base(finished, capsys, tiny_base):
    with pytest.raises(SystemExit) as ended:
        main(["eval", str(finished), "--passes", "1,2", "--count", "20", "--base", "--json"])
    assert ended.value.code == 0
    record = json.loads(capsys.readouterr().out)
    assert record["base"].keys() == {IN_VIEW, WITHOUT}
    loaded = workbench.load(finished)
    batch = draw(loaded.task, 20, 0, 0, "evaluation")
    right = 0
    for row in range(20):  # transformers' own forward over context and query
        for query in range(2):
            own = batch.query_tokens(query)
            tokens = [*batch.tokens[row, : batch.context_tokens], *batch.tokens[row, own]]
            with torch.no_grad():
                logits = tiny_base("llama", 40)(torch.tensor([tokens])).logits
            right += int(logits[0, -2].argmax()) == tokens[-1]
    assert record["base"][IN_VIEW]["accuracy"]["1"] == right / 40
    alone = base_alone(loaded, loaded.task, count=20, seed=0, batch_size=7)
    assert alone[IN_VIEW]["accuracy"]["1"] == right / 40


def test_the_command_counts_a_loop_in_blocks_of_the_base(base, tmp_path, capsys):
    task = {**SETTINGS["task"], "tokenizer": str(base)}
    entries = ", ".join(f"{name} = {json.dumps(value)}" for name, value in task.items())
    sets = [f"--set=task={{{entries}}}"]
    sets += ["--set=sleep.window=10", "--set=training.steps=1", "--set=training.batch_size=2"]
    sets += ["--set=training.eval_count=4", "--set=training.final_passes=[0, 1]"]
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        main(["retrofit", str(base), "--after", "0,2", "--loop", "1:3", "--out", str(out), *sets])
    told = capsys.readouterr()
    assert ended.value.code == 0, told.err
    assert "training needs at least" in told.err
    assert workbench.load(out).sleep.loop == (2, 5)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("retrofit.after=[7]", "a layer for block 7; expected blocks from 0 to 3"),
        ("task.tokenizer=words", "variables without a tokenizer"),
        ("sleep.loop=[0, 9]", r"sleep.loop \(0, 9\) must satisfy"),
        ("retrofit.after=[2, 1]", "must ascend"),
        ("training.accumulate=3", "must divide"),
    ],
)
def test_what_does_not_fit_is_refused(experiment, tmp_path, override, line):
    with pytest.raises(WorkbenchError, match=line):
        train(experiment(override), tmp_path / "run")


def test_another_base_is_refused_on_resuming(experiment, base, tmp_path):
    other = shutil.copytree(base, tmp_path / "base")
    made = experiment(f"retrofit.base={other}")
    calls = iter([False, True])
    assert train(made, tmp_path / "run", stop=lambda: next(calls)) == "stopped"
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    with pytest.raises(WorkbenchError, match="is not the base that the run"):
        train(made, tmp_path / "run", resume=True)


def test_too_little_memory_is_refused_before_the_first_step(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.limits.available_memory", lambda: 1000)
    monkeypatch.setattr(training_loop, "first_model", None)
    with pytest.raises(WorkbenchError, match="needs at least"):
        train(experiment(), tmp_path / "run")

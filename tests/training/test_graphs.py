"""The step a CUDA graph holds does what the ordinary step does; capture itself needs a GPU."""

import numpy as np
import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.model import HybridModel
from workbench.sleep import read
from workbench.tasks import batch_generator
from workbench.tasks import task as make_task
from workbench.training.graphs import GraphedSteps, StaticStep, _restore, _snapshot, layout
from workbench.training.loop import train
from workbench.training.loss import masked_cross_entropy
from workbench.training.optimisers import build_optimisers, learning_rate_scale

SETTINGS = ("training.decay=cosine", "training.warmup=3", "training.steps=6")


@pytest.fixture
def setting(tiny_experiment):
    """Return an experiment with its vocabulary filled in, and its task."""
    experiment = tiny_experiment(*SETTINGS)
    task = make_task(experiment.task)
    model = experiment.model.model_copy(update={"vocabulary": len(task.vocabulary)})
    return experiment.model_copy(update={"model": model}), task


def plain_steps(experiment, task, device="cpu", passes=2):
    """Return losses, norms and weights of the ordinary step."""
    model = HybridModel(experiment.model, seed=0).to(device)
    optimisers = build_optimisers(model, experiment.training)
    found = []
    for step in range(6):
        batch = task.sample(4, batch_generator(0, step))
        loss = masked_cross_entropy(read(model, batch, experiment.sleep.with_passes(passes)))
        loss.backward()
        found.append((float(loss.detach()), optimisers.step(step)))
    return np.array(found), [p.detach().cpu() for p in model.parameters()]


def close(found, weights, plain, rate):
    """Compare losses and norms closely, weights to what Muon's bfloat16 makes of a last bit.

    Muon orthogonalises in bfloat16: where two gradients differ in their last bit, an update of
    ``rate x 0.2 sqrt(size)`` can differ by bfloat16's epsilon, at every one of the 6 steps.
    """
    np.testing.assert_allclose(found, plain[0], rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(weights, plain[1], strict=True):
        atol = 6 * torch.finfo(torch.bfloat16).eps * rate * 0.2 * max(theirs.shape) ** 0.5
        torch.testing.assert_close(ours.detach().cpu(), theirs, rtol=1e-4, atol=atol)


def test_the_static_step_gives_the_numbers_of_the_ordinary_one(setting):
    experiment, task = setting
    model = HybridModel(experiment.model, seed=0)
    optimisers = build_optimisers(model, experiment.training, capturable=True)
    static = StaticStep(model, optimisers, experiment, task.sample(4, batch_generator(9, 9)), 2)
    found = []
    for step in range(6):
        batch = task.sample(4, batch_generator(0, step))
        static.load(batch, learning_rate_scale(step, experiment.training))
        static.run()
        found.append((float(static.loss), float(static.norm)))
    plain = plain_steps(experiment, task)
    close(np.array(found), list(model.parameters()), plain, experiment.training.muon_lr)


def test_what_a_warm_up_changed_is_put_back(setting):
    """Capture takes steps of its own first; the run must not notice, late or at its beginning."""
    experiment, task = setting

    def run(interrupted_at):
        model = HybridModel(experiment.model, seed=0)
        optimisers = build_optimisers(model, experiment.training, capturable=True)
        static = StaticStep(model, optimisers, experiment, task.sample(4, batch_generator(9, 9)), 2)
        losses = []
        for step in range(6):
            if step == interrupted_at:
                kept = _snapshot(model, optimisers)
                for _ in range(3):
                    static.run()
                _restore(model, optimisers, kept)
            scale = learning_rate_scale(step, experiment.training)
            static.load(task.sample(4, batch_generator(0, step)), scale)
            static.run()
            losses.append(float(static.loss))
        return losses

    whole = run(None)
    assert run(3) == whole
    assert run(0) == whole


def test_the_callers_batch_is_left_alone(setting):
    experiment, task = setting
    model = HybridModel(experiment.model, seed=0)
    optimisers = build_optimisers(model, experiment.training, capturable=True)
    batch = task.sample(4, batch_generator(9, 9))
    before = batch.tokens.copy()
    static = StaticStep(model, optimisers, experiment, batch, 2)
    static.load(task.sample(4, batch_generator(0, 0)), 1.0)
    np.testing.assert_array_equal(batch.tokens, before)


def test_batches_of_another_layout_get_another_graph(setting):
    _, task = setting
    one, other = (task.sample(4, batch_generator(0, step)) for step in range(2))
    assert layout(one, 2, 8) == layout(other, 2, 8)
    assert layout(one, 3, 8) != layout(one, 2, 8)
    padded = one.examples(slice(None))
    padded.valid[0, 0] = False
    assert layout(padded, 2, 8) != layout(other, 2, 8)
    assert layout(one.examples(slice(2)), 2, 8) != layout(one, 2, 8)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "cuda_graphs = true on device 'cpu'; expected a CUDA device"),
        (["training.device=cuda"], "device 'cuda'"),
    ],
)
def test_graphs_without_a_gpu_are_refused(tiny_experiment, tmp_path, overrides, message):
    if torch.cuda.is_available() and overrides:
        pytest.skip("there is a CUDA device")
    experiment = tiny_experiment("training.cuda_graphs=true", *overrides)
    with pytest.raises(WorkbenchError, match=message):
        train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.gpu
def test_graphed_steps_give_the_numbers_of_the_ordinary_one(setting, requires_cuda):
    experiment, task = setting
    training = experiment.training.model_copy(update={"device": "cuda", "cuda_graphs": True})
    experiment = experiment.model_copy(update={"training": training})
    model = HybridModel(experiment.model, seed=0).to("cuda")
    steps = GraphedSteps(model, build_optimisers(model, training, capturable=True), experiment)
    found = [steps(task.sample(4, batch_generator(0, s)), 2, s) for s in range(6)]
    plain = plain_steps(experiment, task, "cuda")
    close(np.array(found), list(model.parameters()), plain, training.muon_lr)

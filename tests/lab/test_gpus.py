"""Which GPU a run is given: from the environment and the runs at work; no GPU is asked."""

from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.identity import this_host
from workbench.lab.gpus import device, free, refusal, shown
from workbench.lab.runs import Run


def run(state="running", host=None, **status):
    status["host"] = host or this_host()
    return Run("one", Path("one"), state, status=status)


@pytest.mark.parametrize(
    ("inherited", "names"),
    [
        (None, None),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("4", ["4"]),
        ("4, 5", ["4", "5"]),
        ("4,-1,5", ["4"]),
        ("GPU-8f1c-11ec,MIG-1a2b/3/0", ["GPU-8f1c-11ec", "MIG-1a2b/3/0"]),
    ],
)
def test_what_a_process_sees_is_read_as_cuda_reads_it(inherited, names):
    assert shown(inherited) == names


def test_numbers_count_among_the_gpus_that_are_seen():
    assert [device(gpu, None) for gpu in (0, 3)] == ["0", "3"]
    assert [device(gpu, "4,5") for gpu in (0, 1)] == ["4", "5"]
    assert device(1, "0,GPU-ab") == "GPU-ab"


@pytest.mark.parametrize(
    ("gpu", "inherited", "said"),
    [
        (2, "4,5", "GPU 2 where CUDA_VISIBLE_DEVICES=4,5 shows 2 GPUs; expected a number below"),
        (0, "", "GPU 0 where CUDA_VISIBLE_DEVICES= shows 0 GPUs; expected one that is shown"),
        (1, "4", "shows 1 GPU;"),
    ],
)
def test_a_gpu_that_is_not_seen_is_refused(gpu, inherited, said):
    with pytest.raises(WorkbenchError, match=said):
        device(gpu, inherited)


def test_a_gpu_is_free_that_no_run_at_work_here_was_given():
    assert free((0, 1), [run(gpu=0, cuda="4")], "4,5") == [1]
    assert free((0, 1), [run(gpu=0, cuda="5")], "4,5") == [0], "given by a worker that sees 5 alone"
    assert free((0, 1), [run("stopped", gpu=0, cuda="4")], "4,5") == [0, 1]
    assert free((0, 1), [run(host="elsewhere", gpu=0, cuda="0")], None) == [0, 1]
    assert free((0, 1), [run(gpu=1)], None) == [0], "of a version that wrote the number alone"
    assert free((0, 1), [run(gpu=None, cuda=None)], None) == [0, 1]


@pytest.mark.parametrize(
    ("asked", "gpus", "said"),
    [
        ("cpu", (), ""),
        ("cuda", (0,), ""),
        ("cuda:0", (0,), ""),
        ("cuda", (), "asks for a GPU, and there is none"),
        ("cuda:1", (0, 1), 'write training.device = "cuda"'),
        ("cuda:1", (), "asks for the device cuda:1"),
    ],
)
def test_what_cannot_be_served_is_said(asked, gpus, said):
    found = refusal(asked, gpus, "there is none")
    assert said in found and bool(found) == bool(said)

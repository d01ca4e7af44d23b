"""Shared by every test: one thread for torch, and shape annotations checked at run time."""

import os

# Before torch is first imported. Small models on shared cores are fastest, and repeat exactly,
# with one thread; tests that never touch torch must not pay for importing it here.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

# With more, torch.compile starts a pool of processes, each of which imports torch.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

# Triton reads this when it is first imported and when a kernel is defined: both happen while tests
# are collected. It is not left set: tests elsewhere ask what serves without it. A worker of
# pytest-xdist inherits the flag from the process that started it, and by the second name knows it.
INTERPRET, OURS = "TRITON_INTERPRET", "WORKBENCH_TESTS_SET_TRITON_INTERPRET"
INTERPRETED = OURS in os.environ or (
    INTERPRET not in os.environ and not os.path.exists("/dev/nvidiactl")
)
if INTERPRETED:
    os.environ[INTERPRET] = os.environ[OURS] = "1"

import copy  # noqa: E402
import gc  # noqa: E402
import sys  # noqa: E402
import types  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

try:
    import jaxtyping
    from beartype import BeartypeConf, beartype
    from beartype.roar import BeartypeDecorHintException
    from jaxtyping import install_import_hook
except ModuleNotFoundError as error:
    pytest.exit(f"{error}; the tests need the extra 'dev': python3 run.py test", returncode=4)

# No test cuts the power, and waiting for the disk is most of what writing a small file takes.
os.fsync = lambda descriptor: None

# By default every 700 new objects are gone through: a third of the time that parsing takes.
gc.set_threshold(50_000, 10, 10)

# Floors whose annotations are checked at every call. Left out on purpose: the validated front of
# `sleep_kernels` (its own errors are what its tests look for), Triton kernels (compiled from
# source), and `workbench.sleep` (protocols that cannot be checked at run time).
CHECKED = ["workbench.model", "sleep_kernels.cpu", "sleep_kernels.reference"]
CHECKED_IN = ("kernels", "model", "sleep", "test_conftest.py")
"""Folders whose tests run with these checks. They take a small model as long as its own work does,
so that elsewhere they are off."""
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function):
    """Check a function's annotations at every call, where beartype can (not `Self`)."""
    try:
        return checked(function)
    except BeartypeDecorHintException:
        return function


# The hook takes its checker by name; conftest files have none that can be relied on.
sys.modules["checked_annotations"] = types.ModuleType("checked_annotations")
sys.modules["checked_annotations"].check = check
install_import_hook(CHECKED, "checked_annotations.check")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Check annotations in the tests of `CHECKED_IN` alone."""
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    jaxtyping.config.update("jaxtyping_disable", folder not in CHECKED_IN)


@pytest.fixture
def requires_cuda() -> None:
    """Skip a test where torch sees no CUDA device."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def tiny_model():
    """Return a maker of models small enough for float64 and a loop: ``tiny_model(*layers)``.

    Weights into the residual stream and the head are enlarged, so that what a layer does shows
    in the features from the first pass on. Each is a copy, which takes less than a new one.
    """
    made = {}

    def make(*layers, **settings):
        key = repr((layers, sorted(settings.items())))
        if key not in made:
            made[key] = make_new(*layers, **settings)
        return copy.deepcopy(made[key])

    def make_new(*layers, seed=0, dtype="float64", **settings):
        import torch

        from workbench.config import ModelConfig
        from workbench.model import HybridModel

        small = {"vocabulary": 7, "width": 8, "attention_heads": 2, "gdn_heads": 2, "key_dim": 4}
        small |= {"value_dim": 3, "mlp_width": 6, "layers": layers or ("attention", "gated_delta")}
        model = HybridModel(ModelConfig(**small | settings), seed=seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith(("out.weight", "down.weight", "head.weight")):
                    parameter *= 20
        return model.to(getattr(torch, dtype)).eval()

    return make


LONG = ("browser", "process", "notebook", "slow")


def pytest_collection_modifyitems(config, items):
    """Give files with long tests to the workers of pytest-xdist first, so that none ends late."""
    if hasattr(config, "workerinput"):
        long = {i.path for i in items if any(map(i.get_closest_marker, LONG))}
        items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish():
    """Take the interpreter's flag back, once every kernel has been defined.

    What was imported by then stays: no garbage collection needs to go through it again.
    """
    if INTERPRETED:
        for name in (INTERPRET, OURS):
            os.environ.pop(name, None)
    gc.collect()
    gc.freeze()

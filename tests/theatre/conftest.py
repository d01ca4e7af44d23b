import pytest
from untrained import untrained_checkpoints


@pytest.fixture(scope="session")
def checkpoints():
    return untrained_checkpoints()

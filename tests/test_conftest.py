"""The annotations of the lower floors are checked while tests run."""

import jaxtyping
import pytest


def test_a_wrong_type_is_refused_where_annotations_are_checked():
    from workbench.config import ModelConfig
    from workbench.model.hybrid import HybridModel

    model = HybridModel(ModelConfig(vocabulary=4, width=8))
    with pytest.raises(Exception, match="type") as refused:
        model.embed([[1, 2]])
    assert type(refused.value).__name__ == "TypeCheckError"
    jaxtyping.config.update("jaxtyping_disable", True)
    with pytest.raises(TypeError, match="embedding"):  # torch's own
        model.embed([[1, 2]])


def test_torch_has_one_thread():
    import torch

    assert torch.get_num_threads() == 1

"""Tensors as NumPy arrays, whatever their dtype, device or gradient."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_numpy(tensor: Tensor) -> np.ndarray:
    """Return a tensor's values.

    NumPy has no bfloat16, so floats become float32, except for float64; integers and truths stay
    what they are.
    """
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point() and tensor.dtype != torch.float64:
        tensor = tensor.float()
    return tensor.numpy()

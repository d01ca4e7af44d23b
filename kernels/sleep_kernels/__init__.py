"""Fast-weight operators: exact, differentiable in inputs and state; knows nothing of the rest.

Shapes: q, k ``[batch, token, gdn_head, key]``, v ``[batch, token, gdn_head, value]``, log_decay
and beta ``[batch, token, gdn_head]``, state ``[batch, gdn_head, key, value]``.
"""

from sleep_kernels.api import delta_rule, gated_delta_rule, gated_outer_product
from sleep_kernels.backends import backend_status, choose_backend
from sleep_kernels.contract import BACKENDS, CHUNK, Call, Gates, Options, OutputNorm, RuleResult
from sleep_kernels.convolution import ConvolutionResult, dynamic_convolution, short_convolution
from sleep_kernels.fused_options import prepare
from sleep_kernels.norms import rms_norm
from sleep_kernels.pointwise import rotate, silu_gate

__all__ = [
    "BACKENDS",
    "CHUNK",
    "Call",
    "ConvolutionResult",
    "Gates",
    "Options",
    "OutputNorm",
    "RuleResult",
    "backend_status",
    "choose_backend",
    "delta_rule",
    "dynamic_convolution",
    "gated_delta_rule",
    "gated_outer_product",
    "prepare",
    "rms_norm",
    "rotate",
    "short_convolution",
    "silu_gate",
]

"""The fast-weight mixers: one entry for each update rule, and the layer around it.

An entry says which of the operators' options a layer uses; docs/method.md gives the rules. The
network, the arms of the lab and the questions on Findings follow from the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.registry import registered

GROUP = "sleep_workbench.mixers"
"""Entry points of mixers."""


@dataclass(frozen=True)
class Mixer:
    """One mixer.

    Attributes
    ----------
    title : str
        Its name in figures.
    source : str
        Where it is from.
    decays : bool
        Whether each head forgets by a learnt rate: ``S <- exp(g) S`` before a write.
    corrects : bool
        Whether a write first subtracts what S returns for its key (a delta rule); else it adds.
    strength : float or None
        Largest write strength beta, ``strength * sigmoid(.)``; None: every write has strength 1.
    convolution : {"joint", "dynamic"}
        A short convolution over q, k and v together, or one over v with taps that depend on the
        token.
    order : int
        Place in lists, from the smallest.
    """

    title: str
    source: str
    decays: bool
    corrects: bool
    strength: float | None = 1.0
    convolution: Literal["joint", "dynamic"] = "joint"
    order: int = 100


GATED_DELTA = Mixer("Gated DeltaNet", "Yang et al., arXiv 2412.06464", True, True, order=0)
DELTA = Mixer("DeltaNet", "Yang et al., arXiv 2406.06484", False, True, order=1)
DELTA_NEGATIVE = Mixer(
    "DeltaNet, beta to 2", "Grazzi et al., arXiv 2411.12537", False, True, strength=2.0, order=2
)
MAMBA2 = Mixer("Mamba-2 style", "Dao and Gu, arXiv 2405.21060", True, False, order=3)
LINEAR_ATTENTION = Mixer(
    "linear attention", "Katharopoulos et al., arXiv 2006.16236", False, False, None, order=4
)
JET = Mixer("Jet layer", "Gu et al., arXiv 2508.15884", True, True, convolution="dynamic", order=5)

STANDARD = "gated_delta"
"""The mixer of the paper, which the others are compared with."""


def mixers() -> dict[str, Mixer]:
    """Return every mixer by name, ours and those of other packages."""
    return registered(GROUP, Mixer)

"""Names of what results are compared with: controls of a changed memory, baselines of a probe.

What the axes `workbench.dims.CONTROL` and `workbench.dims.BASELINE` hold; imports nothing, so that
figures can name them too.
"""

from typing import Final

INTACT: Final = "intact"
"""As the reading left it."""
PATCH: Final = "patch"
"""With a part of the donor's."""
CHANGED: Final = "changed"
"""With a part erased or scaled."""
UNRELATED: Final = "unrelated donor"
"""With the same part of an example that has nothing to do with either."""
RANDOM: Final = "random of equal norm"
"""With as large a change in every head, in a random direction."""
DONOR: Final = "donor"
"""All of the donor's."""

MAJORITY: Final = "majority"
"""The commonest class of the training examples."""
EMBEDDINGS: Final = "embeddings"
"""The embedded tokens of the text read so far."""
INPUT: Final = "input, linear"
"""What the text read so far says of each item, one-hot: of a graph, a bag of its edges."""
QUADRATIC: Final = "input, quadratic"
"""The same and all products of two of its entries: a quadratic decoder of the text."""
REPLAY: Final = "frozen replay"
"""S when what pass 1 wrote is written again as often as there were passes."""
UNTRAINED: Final = "untrained weights"
"""S of the same model with weights that were never trained."""

STRONGER: Final = (QUADRATIC,)
"""Baselines that decode more than linearly: drawn, but not what a linear probe is held against."""

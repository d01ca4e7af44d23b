"""Names of the memories that a reading goes on with: as it was, changed, or a control's.

What the axis `workbench.dims.CONTROL` holds; imports nothing, so that figures can name them too.
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

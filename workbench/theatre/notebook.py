"""The theatre in a notebook cell: JupyterLab, VS Code, Colab. Needs anywidget."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.paths import bundled_checkpoints
from workbench.theatre.asks import Asks, TraceAsks, catalogue_of
from workbench.theatre.files import MODULE
from workbench.theatre.messages import Messages
from workbench.theatre.story import story_data
from workbench.theatre.wish import check_plain
from workbench.training.checkpoints import Checkpoint, load_checkpoint

HEIGHT: Final = 900
"""Pixels of a cell's output, at most."""
THEMES: Final = ("auto", "light", "dark")


class Theatre(anywidget.AnyWidget):
    """One sleep in a cell; asks go to the kernel.

    `place` is where the reader is, and can be set: ``theatre.place = {"N": 4, "window": 0, "pass":
    2}``.
    """

    _esm = MODULE
    scene = traitlets.Bytes().tag(sync=True)
    catalogue: Any = traitlets.List().tag(sync=True)
    live = traitlets.Bool(True).tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    place = traitlets.Dict().tag(sync=True)
    story = traitlets.Dict().tag(sync=True)

    def __init__(self, asks: Asks | TraceAsks, **values: Any) -> None:
        super().__init__(**values)
        self._messages = Messages(asks, lambda message, data: self.send(message, data or None))
        self.on_msg(lambda widget, content, buffers: self._messages.hear(content))


def show(
    source: str | Path | Checkpoint | xr.DataTree,
    *,
    seed: int = 0,
    example: int = 0,
    input: str = "",
    queries: str = "",
    passes: int | None = None,
    theme: str = "auto",
    height: int = HEIGHT,
    story: bool = False,
) -> Theatre:
    """Return the theatre of one example, for a notebook cell.

    Parameters
    ----------
    source : str, Path, Checkpoint or DataTree
        A checkpoint by name or folder, one that is loaded, or a trace. A trace has its own
        examples and N, and no answers in letters.
    seed, example : int
        Which example of a checkpoint's task.
    input, queries : str
        Own input instead, as the task's `typing_help` describes it.
    passes : int or None
        N; None takes the largest of training, and a trace's own.
    theme : {"auto", "light", "dark"}
        Colours; "auto" follows the browser.
    height : int
        Most pixels of the cell's output.
    story : bool
        Begin with the story in six scenes, which has models and examples chosen for it.

    Raises
    ------
    WorkbenchError
        The checkpoint or example does not exist, or the input does not fit the task.
    """
    if theme not in THEMES:
        raise WorkbenchError(f"theme {theme!r:.40}", f"one of {', '.join(THEMES)}", "choose one")
    trace = isinstance(source, xr.DataTree) and dims.EXAMPLE in source.sizes
    if not trace and not isinstance(source, str | Path | Checkpoint):
        raise WorkbenchError(
            f"theatre of a {type(source).__name__}",
            "a checkpoint, its name or folder, or a trace",
            "give one, as workbench.load or workbench.record returns it",
        )
    ask = {"what": "scene", "example": example, "input": input, "queries": queries, "N": passes}
    check_plain(ask | {"seed": seed})
    asks: Asks | TraceAsks
    catalogue: list[dict[str, Any]] = []
    if story and isinstance(source, xr.DataTree):
        raise WorkbenchError("story with a trace", "a checkpoint", "name one, or leave story out")
    if isinstance(source, xr.DataTree):
        asks = TraceAsks(source)
    else:
        first = source if isinstance(source, Checkpoint) else load_checkpoint(source)
        others = {n: f for n, f in bundled_checkpoints().items() if n != first.name}

        def load(name: str) -> Checkpoint:
            if name != first.name and name not in others:
                known = ", ".join([first.name, *others])
                raise WorkbenchError(f"no model {name[:60]!r}", f"one of {known}", "choose another")
            return first if name == first.name else load_checkpoint(name)

        asks = Asks(load)
        ask |= {"name": first.name, "seed": seed}
        catalogue = catalogue_of({first.name: first.folder} | others)
    return Theatre(
        asks,
        scene=asks.scene(ask),
        catalogue=catalogue,
        settings={"theme": theme, "height": height},
        story={"scenes": story_data()} if story else {},
        place={"scene": 1} if story else {},
    )

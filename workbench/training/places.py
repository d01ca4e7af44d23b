"""Where checkpoints lie: bundled names, folders, the Hub. Nothing here loads torch.

A wrong name is reported at once, before seconds are spent on imports.
"""

from __future__ import annotations

from pathlib import Path

from workbench.backbones.sources import HUB, from_hub, is_pretrained
from workbench.errors import WorkbenchError
from workbench.paths import bundled_checkpoints

ADDITIONS = "additions.safetensors"
"""What a retrofit added to its base."""
WEIGHTS, CONFIG, CARD, PROVENANCE = "model.safetensors", "config.toml", "card.md", "provenance.json"


def weights_in(folder: Path) -> str:
    """Return the name of a checkpoint's weights: a retrofit holds only what it added."""
    return ADDITIONS if (folder / ADDITIONS).exists() else WEIGHTS


def find_checkpoint(name_or_folder: str | Path) -> Path:
    """Return the folder of a bundled checkpoint by name, of a folder, or of ``hf://owner/name``.

    Raises WorkbenchError: there is no such checkpoint, or a file is missing.
    """
    text = str(name_or_folder)
    if text.startswith(HUB):
        files = (WEIGHTS, ADDITIONS, CONFIG, CARD, PROVENANCE)
        return find_checkpoint(from_hub(text.removeprefix(HUB), files))
    bundled = bundled_checkpoints()
    named = isinstance(name_or_folder, str) and text in bundled
    folder = bundled[text] if named else Path(name_or_folder)
    if not named and is_pretrained(name_or_folder):
        raise WorkbenchError(
            f"{text} is a pretrained model",
            "a checkpoint of the workbench, which has a task",
            "load it with workbench.load",
        )
    if (export_folder(folder) / PROVENANCE).is_file():
        folder = export_folder(folder)
    if not text or not folder.is_dir():  # Path("") is the folder that one is in
        raise WorkbenchError(
            f"no checkpoint {text!r}",
            f"a bundled name ({', '.join(bundled) or 'none found'}), a folder, or hf://owner/name",
            "`workbench checkpoints` lists what is here",
        )
    missing = [n for n in (weights_in(folder), CONFIG, PROVENANCE) if not (folder / n).is_file()]
    if missing:
        raise WorkbenchError(
            f"{folder} lacks {', '.join(missing)}",
            f"a folder with {WEIGHTS}, {CONFIG} and {PROVENANCE}",
            "name a whole checkpoint, or the folder of a finished run",
        )
    return folder.resolve()


def export_folder(run: Path) -> Path:
    """Return where a run puts its finished checkpoint."""
    return run / "checkpoint"

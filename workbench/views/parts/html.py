"""Pieces of HTML that several pages share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from workbench.files import read_text
from workbench.views.site.assets import asset_text


def failure_html(error: object) -> str:
    """Return what went wrong, in red and announced."""
    return f'<p class="failure" role="alert">{escape(str(error))}</p>'


def grid(head: Sequence[str], body: Sequence[Sequence[str]], label: str) -> str:
    """Return a plain table as HTML; the first cell of a row is its heading."""
    heads = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    rows = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(text)}</td>" for text in others)
        + "</tr>"
        for first, *others in body
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def select(label: str, attribute: str, options: Mapping[str, str], value: str) -> str:
    """Return a choice among options, key -> text; scripts find it by its `attribute`."""
    each = "".join(
        f'<option value="{escape(key)}"{" selected" if key == value else ""}>{escape(text)}'
        "</option>"
        for key, text in options.items()
    )
    return f"<label>{escape(label)} <select {attribute}>{each}</select></label>"


def script_of(name: str, *parts: Path) -> str:
    """Return the address of one script that is put together of several files."""
    return asset_text(name, "\n".join(read_text(part) for part in parts))

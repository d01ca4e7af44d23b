"""The colours of `workbench.figures.theme` as CSS variables, for every page."""

from __future__ import annotations

from functools import cache

from workbench.figures.theme import (
    ARMS,
    DIVERGING,
    FONT,
    INKS,
    LEVELS,
    SEQUENTIAL,
    STATUS,
    Theme,
)


def variables(theme: Theme) -> dict[str, str]:
    """Return the names, without their dashes, and values of a theme."""
    found = dict(INKS[theme]._asdict())
    found["ink"] = found.pop("text")
    found |= {name: pair[theme] for name, pair in STATUS.items()}
    found |= {f"arm-{name.replace('_', '-')}": pair[theme] for name, pair in ARMS.items()}
    found |= {f"level-{number}": pair[theme] for number, pair in enumerate(LEVELS, 1)}
    found |= {"scale": _gradient(DIVERGING[theme]), "heat": _gradient(SEQUENTIAL)}
    return found


@cache
def css() -> str:
    """Return the rules that set them: as chosen, or where nothing was, as the system asks."""
    light, dark = _rules("light"), _rules("dark")
    return (
        f':root {{ --font: {FONT}; {light} }}\n:root[data-theme="dark"] {{ {dark} }}\n'
        f'@media (prefers-color-scheme: dark) {{ :root[data-theme="auto"] {{ {dark} }} }}\n'
    )


def _rules(theme: Theme) -> str:
    each = (f"--{name}: {value};" for name, value in variables(theme).items())
    return f"color-scheme: {theme}; {' '.join(each)}"


def _gradient(colours: tuple[str, ...]) -> str:
    return f"linear-gradient(to right, {', '.join(colours)})"

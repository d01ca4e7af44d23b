"""Ways to change a file at random; each takes a path and a generator and returns what it did."""

from __future__ import annotations

import json
import os
import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Change = Callable[[Path, random.Random], str]

DEEP, LONG = "@deep@", "@long@"
RAW = {f'"{DEEP}"': "[" * 50_000, f'"{LONG}"': "9" * 5_000}
"""What no writer of JSON or TOML would write, put in afterwards."""
STRANGE: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2.5, -0.0, 1e308, 10**12, 2**63, float("nan"), float("inf"), "", "x",
    "0", "\x1b[2J\n", "\u202e", "../..", [], [1], [[]], {}, {"x": 1}, [None], DEEP, LONG,
)  # fmt: skip


def a_file(path: Path, draw: random.Random) -> Path:
    """Return one of the files of a sample."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return draw.choice(files)


def flip_bits(path: Path, draw: random.Random) -> str:
    """Change some bits."""
    file = a_file(path, draw)
    data = bytearray(file.read_bytes())
    for _ in range(draw.choice((1, 1, 1, 3, 20)) if data else 0):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    file.write_bytes(data)
    return f"bits of {file.name}"


def cut_or_extend(path: Path, draw: random.Random) -> str:
    """Change the length."""
    file = a_file(path, draw)
    data = file.read_bytes()
    if draw.random() < 0.7:
        file.write_bytes(data[: draw.choice((0, 1, len(data) // 2, draw.randrange(len(data) + 1)))])
    else:
        file.write_bytes(data + draw.choice((b"\0", data, b"\xff" * 9, b"{}\n")))
    return f"length of {file.name}"


def overwrite(path: Path, draw: random.Random) -> str:
    """Replace a stretch by zeros or noise, or by another stretch of the same file."""
    file = a_file(path, draw)
    data = bytearray(file.read_bytes())
    if data:
        start, size = draw.randrange(len(data)), draw.randrange(1, 65)
        other = draw.randrange(len(data))
        stretch = len(data[start : start + size])
        data[start : start + size] = draw.choice(
            (bytes(stretch), draw.randbytes(stretch), bytes(data[other : other + size]))
        )
    file.write_bytes(data)
    return f"a stretch of {file.name}"


def replace_file(path: Path, draw: random.Random) -> str:
    """Put something in place of a file that is none, or take it away."""
    file = a_file(path, draw)
    file.unlink()
    what = draw.choice(("nothing", "pipe", "device", "folder", "huge", "loop"))
    if what == "pipe":
        os.mkfifo(file)
    elif what == "device":
        file.symlink_to(draw.choice(("/dev/zero", "/dev/null", "/dev/full")))
    elif what == "folder":
        file.mkdir()
    elif what == "loop":
        file.symlink_to(file.name)
    elif what == "huge":
        with file.open("wb") as sparse:
            sparse.truncate(2**42)
    return f"{what} for {file.name}"


def change_value(value: Any, draw: random.Random) -> Any:
    """Return a JSON value with one place of it changed."""
    if isinstance(value, dict | list) and value and draw.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = draw.choice(keys)
        what = draw.random()
        if what < 0.08:
            del value[key]
        elif what < 0.14 and isinstance(value, dict):
            value[draw.choice(("x", "", "0", f"{key}2", "\x1b"))] = value.pop(key)
        else:
            value[key] = change_value(value[key], draw)
        return value
    return draw.choice(STRANGE)


def _in_raw(text: str) -> str:
    for placeholder, raw in RAW.items():
        text = text.replace(placeholder, raw)
    return text


def change_json(path: Path, draw: random.Random) -> str:
    """Change a value in a JSON file, or in a line of a file of lines."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    file = draw.choice([f for f in files if f.suffix in (".json", ".jsonl")])
    if file.suffix == ".json":
        file.write_text(_in_raw(json.dumps(change_value(json.loads(file.read_text()), draw))))
        return f"a value in {file.name}"
    lines = file.read_text().splitlines()
    number = draw.randrange(len(lines))
    lines[number] = _in_raw(json.dumps(change_value(json.loads(lines[number]), draw)))
    file.write_text("\n".join(lines) + "\n")
    return f"a value in line {number + 1} of {file.name}"


def change_toml(path: Path, draw: random.Random) -> str:
    """Change a value in a TOML file."""
    import tomli_w

    files = [path] if path.is_file() else sorted(path.rglob("*"))
    file = draw.choice([f for f in files if f.suffix == ".toml"])
    value = change_value(tomllib.loads(file.read_text()), draw)
    try:
        text = tomli_w.dumps(value if isinstance(value, dict) else {"x": value})
    except (TypeError, ValueError, AttributeError):  # TOML has no null
        text = file.read_text().replace("=", "= null #", 1)
    file.write_text(_in_raw(text))
    return f"a value in {file.name}"


FILE_CHANGES: tuple[Change, ...] = (flip_bits, cut_or_extend, overwrite, replace_file)
TEXT_CHANGES: tuple[Change, ...] = (*FILE_CHANGES, change_json, change_json, change_json)

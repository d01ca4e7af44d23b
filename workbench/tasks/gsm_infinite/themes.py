"""The worlds that word problems are told in: places, what is counted there, and how it is named."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Theme:
    """Words of one world: ``the number of adult goats in Ashby Farm``."""

    places: tuple[str, ...]
    """Where things are, two words each."""
    things: tuple[tuple[str, str], ...]
    """What is counted, two words each: plural and singular."""
    part: str
    """What each of the things has some of, on average: the attribute of d = 3."""
    every: str
    """All things together, for totals of d = 2."""

    @cached_property
    def plural_of(self) -> dict[str, str]:
        """Singular -> plural of every thing."""
        return {singular: plural for plural, singular in self.things}

    def count(self, place: int, thing: int) -> str:
        """Return the name of a count: how many of a thing a place has."""
        return f"number of {self.things[thing][0]} in {self.places[place]}"

    def average(self, place: int, thing: int) -> str:
        """Return the name of an attribute: how many parts each of the things has on average."""
        return f"average number of {self.part} per {self.things[thing][1]} in {self.places[place]}"

    def total(self, place: int, d: int) -> str:
        """Return the name of a total: all things of a place (d = 2), or all their parts (d = 3)."""
        return f"total number of {self.every if d == 2 else self.part} in {self.places[place]}"


def _theme(places: str, kind: str, qualities: str, nouns: str, part: str, every: str) -> Theme:
    """Return a theme of every place with `kind`, and of every quality with every noun."""
    things = tuple(
        (f"{quality} {noun.split('/')[1]}", f"{quality} {noun.split('/')[0]}")
        for noun in nouns.split()
        for quality in qualities.split()
    )
    return Theme(tuple(f"{place} {kind}" for place in places.split()), things, part, every)


THEMES = {
    "farms": _theme(
        "Ashby Corley Dunmore Elmet Farrow Glenby Harwick Inver Kelby Lorne Marden Norby Oakham "
        "Penrith Rowan Selby",
        "Farm",
        "young old spotted",
        "goat/goats hen/hens pony/ponies duck/ducks sheep/sheep rabbit/rabbits",
        "brass bells",
        "farm animals",
    ),
    "libraries": _theme(
        "Abbey Bridge Castle Chapel Garden Harbour Island Market Meadow Mill Orchard Palace "
        "Quarry River Station Tower",
        "Library",
        "tall low locked",
        "shelf/shelves cabinet/cabinets trolley/trolleys chest/chests table/tables drawer/drawers",
        "bound books",
        "book stores",
    ),
    "harbours": _theme(
        "Amber Birch Cedar Copper Coral Falcon Granite Heron Ivory Jasper Lantern Maple Otter "
        "Pebble Silver Willow",
        "Bay",
        "red white painted",
        "trawler/trawlers ferry/ferries yacht/yachts canoe/canoes barge/barges tug/tugs",
        "deck hands",
        "ships",
    ),
}
"""Themes by name: 16 places and 18 things each."""

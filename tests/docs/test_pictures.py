"""The tour of README is one animated picture of bearable size, as its container says itself."""

import struct

from house import ROOT

TOUR = ROOT / "docs" / "images" / "tour.webp"


def test_the_tour_is_a_whole_animation():
    data = TOUR.read_bytes()
    assert len(data) <= 3_000_000 and "docs/images/tour.webp" in (ROOT / "README.md").read_text()
    assert (
        data[:4] + data[8:12] == b"RIFFWEBP" and struct.unpack("<I", data[4:8])[0] == len(data) - 8
    )
    at, names, milliseconds = 12, [], 0
    while at < len(data):
        name, length = struct.unpack("<4sI", data[at : at + 8])
        names.append(name)
        if name == b"ANMF":
            milliseconds += int.from_bytes(data[at + 20 : at + 23], "little")
        at += 8 + length + length % 2
    assert at == len(data) and names[:2] == [b"VP8X", b"ANIM"]
    assert names.count(b"ANMF") >= 20 and 60_000 < milliseconds < 150_000

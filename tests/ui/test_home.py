"""Home in a real browser: a sleep plays at once, the story is told, a teacher hides the answers."""

import re

from playwright.sync_api import expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)


def test_a_sleep_plays_at_once_and_the_story_is_told(page, server, serious_faults):
    page.emulate_media(reduced_motion="no-preference")
    page.goto(server)
    expect(page.get_by_role("heading", name="Language models that sleep")).to_be_visible()
    theatre = page.locator("#theatre")
    expect(theatre.get_by_role("button", name="Pause (space)")).to_be_visible()
    expect(theatre.get_by_text("If it woke now, it would answer 5 of 8 right.")).to_be_visible()
    expect(theatre.get_by_text("If it woke now, it would answer 6 of 8 right.")).to_be_visible()
    theatre.get_by_role("button", name="More passes").click()
    expect(theatre.get_by_text("The answers are hidden.")).to_be_visible()
    expect(theatre.get_by_text("of 8 right")).to_have_count(0)
    theatre.get_by_role("button", name="6, 7 and 8").click()
    expect(theatre.get_by_text("Right.", exact=True)).to_be_visible()
    expect(theatre.get_by_text("it would answer all 8 right.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?scene=4$"))
    theatre.get_by_role("button", name="One pass back").click()
    theatre.get_by_role("button", name="Back to this scene").click()
    expect(theatre.get_by_text("it would answer all 8 right.")).to_be_visible()
    expect(theatre.get_by_role("link", name="Open this moment in Explore")).to_have_attribute(
        "href", re.compile(r"/explore\?model=depo-n8-any&.*N=4.*pass=4")
    )
    assert serious_faults(page) == []
    for width in (420, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0, width


def test_a_teacher_asks_first(page, server, serious_faults):
    page.goto(f"{server}/?teacher=1")  # less motion is asked for: nothing plays
    theatre = page.locator("#theatre")
    hidden = theatre.get_by_text("The answers are hidden.")
    expect(hidden).to_be_visible()
    expect(theatre.get_by_role("button", name="Play (space)")).to_be_visible()
    expect(theatre.get_by_role("button", name="Teacher mode")).to_have_attribute(
        "aria-pressed", "true"
    )
    theatre.get_by_role("button", name="Show the answers").click()
    expect(theatre.get_by_text("it would answer all 8 right.")).to_be_visible()
    theatre.get_by_role("button", name="One pass on").click()
    expect(hidden).to_be_visible()
    assert serious_faults(page, only_colours=True) == []
    page.get_by_role("button", name="Light or dark").first.click()
    assert serious_faults(page, only_colours=True) == []
    theatre.get_by_role("button", name="Teacher mode").click()
    expect(theatre.get_by_text("of 8 right").first).to_be_visible()

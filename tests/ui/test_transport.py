"""The transport alone, with a model and a clock of the test's own: what it sends, and when."""

import base64
from pathlib import Path

import pytest
from playwright.sync_api import Page

import workbench.views.parts

SCRIPT = Path(workbench.views.parts.__file__).with_name("transport.js")
SETUP = """async (source) => {
  const {render} = await import("data:text/javascript;base64," + source)
  const watchers = {}
  window.sent = []
  window.model = {
    index: 1, count: 9, playing: false, speed: 1, serial: 0,
    on: (name, f) => (watchers[name] ??= []).push(f),
    send_msg: ({action}) => sent.push(action),
  }
  window.set = (values) => {
    for (const [name, value] of Object.entries(values)) model[name] = value
    for (const name of Object.keys(values)) for (const f of watchers[name] ?? []) f()
  }
  window.answer = (values = {}) => set({...values, serial: model.serial + 1})
  const el = document.createElement("div")
  document.body.append(el)
  render({model, el})
}"""
STEP = "[data-action=step]"


@pytest.fixture
def transport(page: Page) -> Page:
    """A page with the transport only, at stop 1 of 9; time stands still until it is moved on."""
    page.clock.install(time=0)
    page.goto("about:blank")
    page.clock.pause_at(1000)
    page.evaluate(SETUP, base64.b64encode(SCRIPT.read_bytes()).decode())
    return page


def sent(page: Page) -> list[str]:
    return page.evaluate("sent.splice(0)")


def play(page: Page) -> None:
    page.click("[data-action=play]")
    page.evaluate("answer({playing: true})")
    assert sent(page) == ["play"]


def test_playing_asks_for_a_tick_after_each_answer(transport):
    play(transport)
    transport.clock.run_for(900)
    assert sent(transport) == []
    transport.clock.run_for(200)
    assert sent(transport) == ["tick"]
    transport.clock.run_for(3000)
    assert sent(transport) == [], "the last one has not been shown yet"
    transport.evaluate("answer({index: 2})")
    transport.clock.run_for(1100)
    assert sent(transport) == ["tick"]


def test_a_jump_ends_the_timer(transport):
    """It sets `playing` alone: no action was sent, so none is answered."""
    play(transport)
    transport.clock.run_for(500)
    transport.evaluate("set({index: 5, playing: false})")
    transport.clock.run_for(5000)
    assert sent(transport) == []


def test_nothing_is_asked_for_between_pause_and_its_answer(transport):
    play(transport)
    transport.clock.run_for(900)
    transport.click("[data-action=play]")
    transport.clock.run_for(2000)
    transport.evaluate("answer({playing: false})")
    transport.clock.run_for(2000)
    assert sent(transport) == ["play"]


def test_actions_keep_their_order(transport):
    for name in ("step", "back", "last"):
        transport.click(f"[data-action={name}]")
    assert sent(transport) == ["step"]
    transport.evaluate("answer()")
    assert sent(transport) == ["back"]
    transport.click("[data-action=first]")
    transport.evaluate("answer()")
    assert sent(transport) == ["last"]
    transport.evaluate("answer()")
    assert sent(transport) == ["first"]


def test_a_lost_answer_holds_up_nothing_for_ever(transport):
    transport.click(STEP)
    transport.click("[data-action=back]")
    transport.clock.run_for(9000)
    assert sent(transport) == ["step"]
    transport.clock.run_for(2000)
    assert sent(transport) == ["back"], "what waited goes before what comes"
    transport.evaluate("answer({playing: true})")
    transport.clock.run_for(1100)
    assert sent(transport) == ["tick"]
    transport.clock.run_for(12_000)
    assert sent(transport) == ["tick"], "and playing goes on"


def test_a_button_without_effect_keeps_the_focus(transport):
    transport.focus(STEP)
    transport.evaluate("set({index: 8})")
    assert transport.evaluate("document.activeElement.dataset.action") == "step"
    assert transport.get_attribute(STEP, "aria-disabled") == "true"
    transport.keyboard.press("Enter")
    transport.evaluate("document.querySelector('[data-action=step]').click()")
    assert sent(transport) == []
    transport.evaluate("set({index: 3})")
    transport.keyboard.press("Enter")
    assert sent(transport) == ["step"]


def test_play_says_once_what_it_does(transport):
    """Its name changes with its state; a pressed state beside it would say the opposite."""
    button = transport.get_by_role("button", name="Play")
    assert button.get_attribute("aria-pressed") is None
    play(transport)
    assert transport.get_by_role("button", name="Pause").count() == 1

"""Choices made quickly: what a widget shows is not undone by what was drawn before."""

import panel as pn
import param
import pytest

from workbench.views.cursor.cursor import Cursor
from workbench.views.stepper.page import Stepper


@pytest.fixture
def stepper(shared):
    pn.extension("plotly")
    return Stepper(Cursor(), shared=shared)


def let_go(slider, value):
    """Set a slider as a browser does that lets it go."""
    with param.edit_constant(slider):
        slider.param.update(value=value, value_throttled=value)


def test_a_choice_on_its_way_is_not_undone_by_an_older_picture(stepper):
    """The thread that takes a choice up may still be at work when an older picture arrives."""
    turns, pictures = [], []
    stepper._queue.take = lambda todo, key=None: turns.append(todo)
    stepper._outbox.set = lambda changes, then=None: pictures.append(then)
    slider = stepper.screen.passes
    let_go(slider, 3)
    turns.pop(0)()
    older = [show for show in pictures if show]
    let_go(slider, 5)
    choice = turns.pop()  # taken up, not yet done
    older[-1]()
    assert (stepper.cursor.passes, slider.value) == (3, 5)
    choice()
    [show for show in pictures if show][-1]()
    assert (stepper.cursor.passes, slider.value) == (5, 5)


def test_a_slider_that_moved_on_is_not_called_back(stepper):
    """Its value may arrive before the message that it was let go: it must not jump back then."""
    slider = stepper.screen.passes
    let_go(slider, 6)
    slider.value = 7  # the next press of a key; its "let go" is still on the way
    stepper.draw()
    assert (stepper.cursor.passes, slider.value) == (6, 7)
    stepper.cursor.passes = 2  # moved by another hand: the slider follows
    assert slider.value == 2
    let_go(slider, 6)
    assert stepper.cursor.passes == 6 == slider.value

"""How an error speaks."""

from __future__ import annotations

import inspect

import pytest

from kimi_magic import errors
from kimi_magic.errors import KimiError

KINDS = [kind for name, kind in vars(errors).items() if inspect.isclass(kind) and name in errors.__all__]


def test_every_error_stands_in_the_drawing() -> None:
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in drawn] == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, KimiError)])
def test_an_error_shows_what_happened_and_the_next_step(kind: type[KimiError]) -> None:
    error = kind("It broke.", hint="Mend it.", status=500, code=3043, request_id="id-1")
    lines = error._render_traceback_()
    assert len(lines) == 3
    assert kind.__name__ in lines[0]
    assert "Mend it." in lines[1]
    assert "HTTP 500, code 3043, request id-1" in lines[2]
    assert str(error) == "It broke. (HTTP 500, code 3043, request id-1)\nMend it."


def test_a_long_or_hostile_message_stays_one_line() -> None:
    error = KimiError("x\n" * 1000 + "\x1b[2J")
    assert len(error._render_traceback_()) == 1
    assert len(error._render_traceback_()[0]) < 500
    assert "\x1b[2J" not in KimiError("\x1b[2J")._render_traceback_()[0]


def test_an_interrupt_is_no_exception_that_a_loop_swallows() -> None:
    assert issubclass(errors.Interrupted, KeyboardInterrupt)
    assert not issubclass(errors.Interrupted, Exception)

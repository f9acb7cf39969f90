"""A reply as a value, and how it shows itself."""

from __future__ import annotations

import pytest

from kimi_magic.events import Finished, Metered, Started, TextDelta, ThinkingDelta, ToolCallDelta
from kimi_magic.messages import ToolCall, Usage
from kimi_magic.reply import Draft, Reply, Timing


def draft(*events: object) -> Draft:
    ticks = iter(range(100))
    found = Draft("@cf/moonshotai/kimi-k2.6", 50, clock=lambda: float(next(ticks)))
    for event in events:
        found.add(event)  # type: ignore[arg-type]
    return found


def test_a_draft_is_the_sum_of_its_events() -> None:
    reply = draft(
        Started("id-1"),
        ThinkingDelta("hm"),
        TextDelta("Hel"),
        TextDelta("lo"),
        ToolCallDelta(0, "f:0", "f", ""),
        ToolCallDelta(0, "", "", "{}"),
        Finished("stop", Usage(1, 0, 2), "kimi-k2.6"),
    ).reply
    assert (reply.text, reply.thinking, reply.finish, reply.request_id) == ("Hello", "hm", "stop", "id-1")
    assert reply.tool_calls == (ToolCall("f:0", "f", "{}"),)
    assert reply.timing == Timing(first=1.0, text=2.0, total=3.0)
    assert reply.answered_by == "kimi-k2.6"


def test_a_draft_that_is_not_finished_is_cut_and_has_its_usage() -> None:
    reply = draft(TextDelta("Hel"), Metered(Usage(9, 0, 1))).reply
    assert reply.cut
    assert reply.usage == Usage(9, 0, 1)
    assert "Cut" in reply.notice


def test_replies_are_equal_by_content_and_frozen() -> None:
    assert Reply("x") == Reply("x")
    with pytest.raises(AttributeError):
        Reply("x").text = "y"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Here:\n```python\na = 1\n```\nand\n```py\nb = 2\n```", "a = 1\n\nb = 2"),
        ("```\nplain = 1\n```", "plain = 1"),
        ("```bash\nls\n```\n```python\na = 1\n```", "a = 1"),
        ("```sql\nselect 1\n```", "select 1"),
        ("1. step\n   ```python\n   x = 1\n   ```", "x = 1"),
        ("no code, only `inline`", ""),
        ("```python\nunfinished = 1", "unfinished = 1"),
    ],
)
def test_code_is_taken_out_of_the_fences(text: str, code: str) -> None:
    assert Reply(text).code == code


def test_json_is_read_with_and_without_a_fence() -> None:
    assert Reply('```json\n{"a": 1}\n```').json() == Reply('{"a": 1}').json() == {"a": 1}


def test_a_bundle_has_html_and_the_source() -> None:
    bundle = Reply(
        "**x**", finish="stop", model="@cf/moonshotai/kimi-k2.6", usage=Usage(1000, 900, 10)
    )._repr_mimebundle_()
    assert bundle["text/plain"] == "**x**"
    assert "<strong>x</strong>" in bundle["text/html"]
    assert "1,000 in (900 cached)" in bundle["text/html"]
    assert "$0.00028" in bundle["text/html"]


def test_no_price_shows_no_money() -> None:
    assert "$" not in "".join(Reply("x", finish="stop", model="@cf/any/model", usage=Usage(1, 0, 1)).facts)


def test_what_nobody_bills_shows_no_money() -> None:
    assert Reply("x", model="@cf/moonshotai/kimi-k2.6", usage=Usage(1, 0, 1, None, 5.0), charged=False).cost is None


def test_names_and_badges_are_text() -> None:
    html = Reply("x", finish="stop", model="<b>m</b>", badges=("<i>b</i>",)).html
    assert "<b>m" not in html
    assert "<i>b" not in html


def test_the_words_for_an_empty_reply() -> None:
    assert Reply("", finish="stop").notice == "The model ended without writing a reply."
    assert "content filter" in Reply("", finish="content_filter").notice
    assert repr(Reply("x" * 100, finish="stop")) == f"Reply('{'x' * 59}…', stop, 0 tokens)"

"""What a question was made of, and how that is shown."""

from __future__ import annotations

import base64

from kimi_magic.messages import Image, Message, Text
from kimi_magic.sent import Item, Sent

PICTURE = Image(b"\x89PNG-bytes", "image/png", 4, 3)
TABLE = Item(
    "df",
    "table",
    (Text("<b>12 rows</b> [private: ssn] [redacted: API key]"),),
    shape="12 rows × 3 columns",
    columns=("a", "b"),
    rows=6,
    withheld=("ssn",),
)
QUESTION = Message("user", (*TABLE.parts, PICTURE, Text("Why?\x1b[31m")))
SENT = Sent(
    QUESTION,
    (TABLE, Item("fig", "figure", (PICTURE,)), Item("question", "question", (Text("Why?"),))),
    before=(Message.of("user", "earlier"), Message.of("assistant", "reply")),
    system="Be brief.",
    model="@cf/moonshotai/kimi-k2.6",
    endpoint="api.cloudflare.com",
    charged=True,
    max_tokens=1_000,
)


def test_an_item_knows_its_size_and_what_was_kept_back() -> None:
    assert TABLE.bytes == len(TABLE.parts[0].text.encode())
    assert TABLE.redacted == 2
    assert TABLE.notes == "12 rows × 3 columns · withheld: ssn · 2 redacted"
    assert SENT.items[1].bytes == len(base64.b64encode(PICTURE.data))


def test_the_summary_names_what_went_beside_the_question() -> None:
    assert SENT.summary == "saw df, fig · 2 redacted"
    assert Sent(QUESTION, (Item("question", "question", ()),)).summary == ""
    many = Sent(QUESTION, tuple(Item(f"x{n}", "table", ()) for n in range(7)))
    assert many.summary == "saw x0, x1, x2, x3, 3 more"


def test_everything_of_the_request_is_counted() -> None:
    rows = [row[0] for row in SENT.report.rows]
    assert rows == ["conversation", "system message", "df", "fig", "question", "all"]
    assert SENT.bytes == len("earlierreplyBe brief.") + TABLE.bytes + SENT.items[1].bytes + len("Why?\x1b[31m")


def test_a_terminal_and_a_page_show_the_very_text_and_obey_none_of_it() -> None:
    shown = SENT._repr_mimebundle_()
    assert "<b>12 rows</b> [private: ssn]" in shown["text/plain"]
    assert "\x1b" not in shown["text/plain"]
    assert "&lt;b&gt;12 rows&lt;/b&gt;" in shown["text/html"]
    assert base64.b64encode(PICTURE.data).decode() in shown["text/html"]
    assert "Be brief." in shown["text/html"]


def test_a_price_is_told_where_somebody_bills_it() -> None:
    assert "2026-09 prices" in SENT.price
    assert Sent(QUESTION, SENT.items, model="local").price == ""
    assert "no price is known" in Sent(QUESTION, SENT.items, model="@cf/any/model", charged=True).price

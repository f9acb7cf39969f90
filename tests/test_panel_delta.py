"""What is told of an entry's changes, and what both sides make of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kimi_magic import markdown
from kimi_magic.panel import delta
from kimi_magic.panel.entries import text_piece

texts = st.text(alphabet=st.sampled_from("ab\n#*` 😀重\u2028é"), max_size=40)


@given(texts, texts, texts)
def test_a_tail_is_told_by_what_differs(same: str, before: str, after: str) -> None:
    old = {"html": same + before, "source": same + before}
    told = delta.tail_delta(old, same + after, same + after)
    assert delta.kept(old["html"], told["keep"]) + told["html"] == same + after
    assert delta.kept(old["source"], told["source_keep"]) + told["source"] == same + after


def test_positions_are_counted_as_javascript_does() -> None:
    told = delta.tail_delta({"html": "😀a", "source": "😀a"}, "😀b", "😀b")
    assert (told["keep"], told["html"]) == (2, "b")


@given(st.lists(texts, max_size=8).map("\n\n".join))
def test_the_blocks_of_a_text_are_the_whole_text(source: str) -> None:
    piece = text_piece(source)
    assert "".join(block["html"] for block in piece["blocks"]) == markdown.to_html(source)
    assert "".join(block["source"] for block in piece["blocks"]) == source


def test_what_is_sent_is_not_changed_by_what_follows() -> None:
    entry = {"seq": 0, "pieces": []}
    piece = {"kind": "thinking", "text": "", "label": ""}
    change = delta.Delta(set={"state": "thinking"}, pieces=[{"at": 0, "new": piece}, {"at": 0, "more": "hm"}])
    delta.apply(entry, change)
    assert entry == {"seq": 1, "state": "thinking", "pieces": [{"kind": "thinking", "text": "hm", "label": ""}]}
    assert piece["text"] == ""

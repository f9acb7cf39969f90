"""What may be typed and chosen in the panel: slash commands, completion, objects, files, models, conversations."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from kimi_magic.errors import CommandError
from kimi_magic.panel import slash
from kimi_magic.panel.attachments import LIMITS, checked
from tests.harness.panel import Front, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Seen
    from tests.harness.kernel import Kernel


@pytest.fixture
def front(kernel: Kernel) -> Front:
    front = Front(kernel, "import kimi_magic\nkimi_magic.chat('words')")
    front.send(type="ask", text="/new")
    front.until(lambda: not front.entries)
    return front


def asked(seen: Seen) -> Any:
    return json.loads(str(seen.last()["body"]))["messages"][-1]["content"]


def noted(front: Front, text: str) -> dict[str, Any]:
    """Type a command, and give the note that it leaves."""
    known = {entry["id"] for entry in front.entries}
    front.send(type="ask", text=text)
    note: dict[str, Any] = front.until(
        lambda: next((one for one in front.entries if one["kind"] == "note" and one["id"] not in known), None)
    )
    front.rest()
    return note


def png(size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, kind)
    return file.getvalue()


# slash commands


def test_help_lists_every_command(front: Front) -> None:
    note = noted(front, "/help")
    assert all(f"/{one['name']}" in note["text"] for one in front.traits["commands"])
    assert "<table>" in note["html"]


def test_a_word_that_there_is_not_names_the_nearest(front: Front) -> None:
    note = noted(front, "/exprot x.md")
    assert note["error"]
    assert "/export" in note["text"]


@pytest.mark.parametrize("text", ["/usr/bin/env is what?", " /fix is a word", "what is /help?"])
def test_what_only_looks_like_a_command_is_a_question(text: str) -> None:
    found = slash.parse(text)
    assert found is None or text.startswith(" ")


def test_fix_asks_about_the_last_error(front: Front, seen: Seen) -> None:
    front.run("1 / 0")
    front.ask("/fix")
    assert "ZeroDivisionError" in str(asked(seen))
    assert "corrected code" in str(asked(seen))


def test_explain_asks_about_the_last_cell_or_an_object(front: Front, seen: Seen) -> None:
    front.run("fish = 'a very red herring'")
    front.ask("/explain")
    assert "fish = 'a very red herring'" in str(asked(seen))
    front.ask("/explain fish")
    assert "a very red herring" in str(asked(seen))
    assert "fish =" not in str(asked(seen))


def test_fork_and_switch_go_between_conversations(front: Front) -> None:
    front.ask("<<say one>>")
    noted(front, "/fork aside")
    assert front.traits["choices"]["conversation"]["value"] == "aside"
    front.ask("<<say two>>")
    front.send(type="set", name="conversation", value=next(
        one["value"] for one in front.traits["choices"]["conversation"]["options"] if one["detail"] == "1 turn"
    ))  # fmt: skip
    front.until(lambda: [text_of(one) for one in front.entries if one["kind"] == "turn"] == ["one"])


def test_undo_takes_the_last_turn_back(front: Front) -> None:
    front.ask("<<say one>>")
    front.ask("<<say two>>")
    noted(front, "/undo")
    front.until(lambda: [one["turn"] for one in front.entries if one["kind"] == "turn"] == [1])


def test_export_writes_a_file(front: Front, kernel: Kernel) -> None:
    front.ask("<<say exported words>>")
    kernel.run("import pathlib; pathlib.Path('talk.md').unlink(missing_ok=True)")
    assert noted(front, "/export talk.md")["title"] == "Written to talk.md"
    assert "exported words" in kernel.value("pathlib.Path('talk.md').read_text()")
    assert noted(front, "/export talk.md")["error"]


def test_a_question_can_be_asked_for_later(front: Front) -> None:
    front.send(type="later", text="<<say it took a while>>", attachments=[])
    front.until(lambda: any(one["kind"] == "note" and "Asked for later" in one["title"] for one in front.entries))
    front.until(lambda: [text_of(one) for one in front.entries if one["kind"] == "turn"] == ["it took a while"])
    assert "it took a while" in noted(front, "/jobs")["text"]


# choices


def test_effort_is_that_of_the_cells_too(front: Front, kernel: Kernel) -> None:
    front.send(type="set", name="effort", value="low")
    front.until(lambda: front.traits["choices"]["effort"]["value"] == "low")
    assert kernel.value("kimi_magic.kernel.resolve().effort") == "low"
    front.send(type="set", name="effort", value="")
    front.until(lambda: front.traits["choices"]["effort"]["value"] == "")


def test_a_choice_that_there_is_not_is_told(front: Front) -> None:
    front.send(type="set", name="model", value="no such model")
    front.until(lambda: front.entries and front.entries[-1]["error"])
    assert front.traits["choices"]["model"]["value"] == "local"


def test_the_line_of_usage_says_what_is_left(front: Front) -> None:
    front.ask("<<say one>>")
    usage = front.until(lambda: front.traits["usage"]["window"]["used"] and front.traits["usage"])
    assert usage["window"]["of"] == 8192
    assert "fresh" in usage["text"]


# completion and objects


def complete(front: Front, text: str) -> list[str]:
    found = front.answer(front.send(type="complete", text=text, cursor=len(text.encode("utf-16-le")) // 2))
    return [text.encode("utf-16-le")[: 2 * found["start"]].decode("utf-16-le") + one["text"] for one in found["items"]]


def test_commands_and_their_arguments_are_completed(front: Front) -> None:
    assert "/export " in complete(front, "/ex")
    assert "/tools kernel" in complete(front, "/tools ker")
    front.run("def words_tool(): 'A tool.'")
    assert "/tools kernel, words_tool" in complete(front, "/tools kernel, words_t")


def test_live_objects_are_completed_inside_of_braces(front: Front) -> None:
    front.run("import pandas as pd\nmy_frame = pd.DataFrame({'alpha': [1]})")
    assert "😀 what is {{ my_frame" in complete(front, "😀 what is {{ my_f")
    assert complete(front, "what is my_f") == []


def test_the_picker_lists_objects_with_type_and_shape(front: Front) -> None:
    front.run("import pandas as pd\nmy_frame = pd.DataFrame({'alpha': [1]})\nseven = 7")
    items = front.answer(front.send(type="objects"))["items"]
    found = {one["name"]: (one["type"], one["detail"]) for one in items}
    assert found["my_frame"][0] == "DataFrame"
    assert "1" in found["my_frame"][1]
    assert found["seven"][0] == "int"
    assert not {"In", "Out", "get_ipython", "pd"} & set(found)
    names = [one["name"] for one in items]
    assert names.index("my_frame") < names.index("seven")


def test_a_private_object_does_not_show_its_value(front: Front) -> None:
    front.run("secret_code = 'sesame-opens-4711'\nimport kimi_magic; kimi_magic.private(None, ['secret_code'])")
    items = front.answer(front.send(type="objects"))["items"]
    assert [one["detail"] for one in items if one["name"] == "secret_code"] == ["private"]


# what goes along


def test_the_preview_says_what_goes_along(front: Front, seen: Seen) -> None:
    front.run("numbers = list(range(50))")
    told = front.answer(front.send(type="preview", text="What are {{ numbers }}?", attachments=[]))
    assert [part["name"] for part in told["parts"]] == ["numbers", "question"]
    assert told["tokens"] > 20
    assert told["text"].startswith("about")
    assert seen.all() == []


def test_a_preview_computes_nothing(front: Front, kernel: Kernel) -> None:
    front.run("basket = [1, 2, 3]\nshelf = {'a': basket}")
    told = front.answer(front.send(type="preview", text="{{ basket.pop() }} of {{ shelf['a'] }}", attachments=[]))
    assert kernel.value("basket") == [1, 2, 3]
    assert {part["name"]: part["notes"] for part in told["parts"]}[
        "basket.pop()"
    ] == "left out: computed when it is sent"
    assert "shelf['a']" in [part["name"] for part in told["parts"]]


def test_a_preview_of_what_cannot_be_sent_says_why(front: Front) -> None:
    told = front.answer(front.send(type="preview", text="{{ nobody_here }}", attachments=[]))
    assert "nobody_here" in told["error"]


def test_a_text_file_goes_along(front: Front, seen: Seen) -> None:
    key = front.send("line one\nline zwei ü".encode(), type="attach", name="../notes/list.txt", media="text/plain")
    told = front.answer(key)
    assert (told["ok"], told["kind"], told["name"], told["detail"]) == (True, "text", "list.txt", "2 lines")
    entry = front.ask("What is in it?", attachments=[key])
    assert [chip["name"] for chip in entry["question"]["chips"]] == ["list.txt"]
    assert "line zwei ü" in str(asked(seen))


def test_a_picture_is_shown_small(front: Front) -> None:
    key = front.send(png(), type="attach", name="shot.png", media="image/png")
    told = front.answer(key)
    assert (told["kind"], told["detail"]) == ("image", "40 × 30")
    assert told["html"].startswith('<img alt="40 × 30 pixels" src="data:image/jpeg;base64,')
    preview = front.answer(front.send(type="preview", text="What is it?", attachments=[key]))
    assert "does not see pictures" in preview["error"]


def test_a_file_is_refused_by_what_it_is(front: Front) -> None:
    told = front.answer(front.send(b"\x7fELF\x00\x00\xff\xfe", type="attach", name="photo.png", media="image/png"))
    assert not told["ok"]
    assert "neither a picture nor text" in told["error"]


def test_a_file_is_kept_until_its_question_is_sent(front: Front, seen: Seen) -> None:
    key = front.send(b"to be kept", type="attach", name="a.txt")
    front.answer(key)
    front.ask("{{ nobody_there }}", attachments=[key])
    front.until(lambda: any(one["type"] == "refill" and one["attachments"] == [key] for one in front.messages))
    front.ask("What?", attachments=[key])
    assert "to be kept" in str(asked(seen))


def test_a_file_that_is_taken_away_does_not_go_along(front: Front, seen: Seen) -> None:
    key = front.send(b"not to be sent", type="attach", name="a.txt")
    front.answer(key)
    front.send(type="detach", key=key)
    front.ask("What?", attachments=[key])
    assert "not to be sent" not in str(asked(seen))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"x" * (int(str(LIMITS["bytes"])) + 1), "bytes"),
        (png()[:60], "cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n\0\xff", "neither"),
        (b"a\0b", "neither"),
    ],
    ids=["large", "torn", "postscript", "binary"],
)
def test_a_file_is_checked(data: bytes, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        checked("file.png", data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_pictures_of_every_common_kind_are_taken(kind: str) -> None:
    assert checked("x", png(kind=kind)).detail == "40 × 30"


def test_a_name_cannot_point_anywhere_or_break_a_line() -> None:
    assert checked("C:\\x\\..\\e\nvil\x1b[2J.txt", b"x").name == "e vil␛[2J.txt"
    assert checked("", b"x").name == "file"
    assert len(checked("n" * 999, b"x").name) == 80


def test_a_conversation_of_before_can_be_chosen(environment: dict[str, str], tmp_path: Path) -> None:
    from tests.harness.kernel import Kernel as Fresh

    with Fresh(environment, tmp_path) as kernel:
        kernel.run("%load_ext kimi_magic")
        Front(kernel, "%kimi chat first").ask("<<say one>>")
    with Fresh(environment, tmp_path) as kernel:
        kernel.run("%load_ext kimi_magic")
        front = Front(kernel, "%kimi chat second")
        front.until(lambda: any(one["value"] == "kept:first" for one in options(front)))
        front.send(type="set", name="conversation", value="kept:first")
        front.until(lambda: [text_of(one) for one in front.entries] == ["one"])


def options(front: Front) -> list[dict[str, str]]:
    found: list[dict[str, str]] = front.traits.get("choices", {}).get("conversation", {}).get("options", [])
    return found

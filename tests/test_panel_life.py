"""How long the panel lives: shown twice, while a cell runs, after a restart, with many turns, and when it ends."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.harness.kernel import Kernel
from tests.harness.panel import Front, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kimi_magic.local.launch import Local
    from tests.conftest import Seen

LOAD = "%load_ext kimi_magic"


@pytest.fixture
def account(environment: dict[str, str], server: Local, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel that asks the scripted server as Cloudflare, so that replies have a price."""
    keys = {"CLOUDFLARE_ACCOUNT_ID": "0123456789abcdef" * 2, "CLOUDFLARE_API_TOKEN": server.token}
    known = environment | keys | {"CLOUDFLARE_API_BASE_URL": server.url, "KIMI_HOME": str(tmp_path / "home")}
    with Kernel(known, tmp_path) as kernel:
        kernel.run(LOAD)
        yield kernel


def test_shown_twice_it_is_one_panel(kernel: Kernel) -> None:
    front = Front(kernel, "%kimi chat twice")
    again = kernel.run("%kimi chat")
    assert again.count("comm_open") == 0
    views = [output["data"].get("application/vnd.jupyter.widget-view+json") for output in again.outputs]
    assert views[-1]["model_id"] == front.comm
    static = [output["id"] for output in (*front.cell.outputs, *again.outputs) if output["id"]]
    assert len(set(static)) == 1


def test_as_a_value_it_is_shown_only_where_it_is_evaluated(kernel: Kernel) -> None:
    cell = kernel.run("import kimi_magic\npanel = kimi_magic.chat('quiet')")
    assert cell.outputs == []
    assert len(kernel.run("panel").outputs) == 2


@pytest.mark.usefixtures("here")
def test_a_terminal_is_told_what_to_do() -> None:
    import kimi_magic

    with pytest.raises(kimi_magic.KimiError, match="needs a notebook"):
        kimi_magic.chat()


def subshell(kernel: Kernel) -> str:
    """Make a subshell, as JupyterLab does for comms."""
    message = kernel.client.session.msg("create_subshell_request", {})
    kernel.client.control_channel.send(message)
    reply = kernel.client.get_control_msg(timeout=20)
    return str(reply["content"]["subshell_id"])


def test_it_works_while_a_cell_runs(kernel: Kernel) -> None:
    front = Front(kernel, "%kimi chat busy")
    front.subshell = subshell(kernel)
    front.send(type="objects")
    request = kernel.client.execute("import time\nstop = False\nwhile not stop:\n    time.sleep(0.02)")
    known = {entry["id"] for entry in front.entries}
    front.send(type="ask", text="<<say in the meantime>>")
    entry = front.ended(known)
    assert text_of(entry) == "in the meantime"
    front.send(type="ask", text="/usage")
    front.until(lambda: front.entries[-1]["kind"] == "note")
    assert front.idle != request
    kernel.interrupt()
    front.until(lambda: front.idle == request)


def test_it_waits_for_the_question_of_a_cell(kernel: Kernel) -> None:
    front = Front(kernel, "%kimi chat polite")
    front.subshell = subshell(kernel)
    request = kernel.client.execute("%%kimi\n<<tokens 150>><<rate 60>>")
    front.until(lambda: request in front.displayed)
    front.send(type="ask", text="<<say after it>>")
    front.until(lambda: any("cell comes first" in entry.get("line", "") for entry in front.entries))
    front.until(lambda: front.idle == request)
    front.rest()
    assert [text_of(entry) for entry in front.entries][-1] == "after it"
    assert [entry["turn"] for entry in front.entries] == [1, 2]


def test_interrupting_a_cell_leaves_the_panels_reply_alone(kernel: Kernel) -> None:
    front = Front(kernel, "%kimi chat steady")
    front.subshell = subshell(kernel)
    front.send(type="ask", text="<<tokens 100>><<rate 50>>")
    front.until(lambda: front.entries and text_of(front.entries[-1]))
    request = kernel.client.execute("import time\nprint('begun', flush=True)\ntime.sleep(60)")
    front.until(lambda: request in front.printed)
    kernel.interrupt()
    front.until(lambda: front.idle == request)
    front.rest()
    assert front.entries[-1]["state"] == "done"


def test_after_a_restart_it_comes_back_from_the_store(environment: dict[str, str], tmp_path: Path) -> None:
    known = environment | {"KIMI_HOME": str(tmp_path / "home")}
    with Kernel(known, tmp_path) as kernel:
        kernel.run(LOAD)
        front = Front(kernel)
        front.ask("What is it? <<say kept>>")
        front.ask("<<say kept, too>>")
    with Kernel(known, tmp_path) as kernel:
        kernel.run(LOAD)
        front = Front(kernel)
        front.rest()
        assert [text_of(entry) for entry in front.entries] == ["kept", "kept, too"]
        assert "kept, too" in front.cell.outputs[0]["data"]["text/plain"]
        front.ask("<<say more>>")
        assert [entry["turn"] for entry in front.entries] == [1, 2, 3]


def test_a_name_opens_the_conversation_of_that_name(kernel: Kernel) -> None:
    Front(kernel, "%kimi chat").ask("<<say main>>")
    assert kernel.run("%kimi chat aside").ok
    assert kernel.value("__import__('kimi_magic').kernel.current().conversation.name") == "aside"
    assert not kernel.run("%kimi chat 'not a name'").ok


def test_a_session_that_was_closed_says_so(kernel: Kernel) -> None:
    front = Front(kernel, "%kimi chat ended")
    front.run("%reload_ext kimi_magic")
    front.until(lambda: front.traits["status"]["attached"] is False)
    key = front.send(type="ask", text="<<say nothing>>")
    front.until(lambda: front.messages == [{"type": "ack", "key": key}])
    fresh = Front(kernel, "%kimi chat fresh")
    assert fresh.comm != front.comm


def test_a_closed_panel_ends_what_runs(kernel: Kernel) -> None:
    front = Front(kernel, "import kimi_magic\npanel = kimi_magic.chat('closing')\npanel")
    front.send(type="ask", text="<<tokens 4000>><<rate 20>>")
    front.until(lambda: front.entries and text_of(front.entries[-1]))
    front.run("panel.close()")
    front.until(lambda: kernel.value("kimi_magic.kernel.current().wait_for_turn(5)"))
    assert kernel.value("kimi_magic.kernel.current().conversation.turns[-1].reply.cut") is True
    assert Front(kernel, "kimi_magic.chat('closing')").comm != front.comm


MANY = """
import kimi_magic
from kimi_magic import kernel as k
from kimi_magic.conversation import Turn
from kimi_magic.messages import Message
from kimi_magic.reply import Reply
c = k.current().conversation
for n in range(1, 501):
    c.append(Turn((Message.of("user", f"question {n}"),), Reply(f"reply **{n}**", finish="stop"), parent=c.head))
"""


def test_a_long_conversation_opens_with_its_end(kernel: Kernel) -> None:
    kernel.run(MANY)
    front = Front(kernel)
    assert [entry["turn"] for entry in front.entries] == list(range(471, 501))
    assert front.traits["earlier"] == 470
    front.send(type="more", count=50)
    front.until(lambda: front.traits["earlier"] == 420)
    assert [entry["turn"] for entry in front.entries] == list(range(421, 501))
    while front.traits["earlier"]:
        left = front.traits["earlier"]
        front.send(type="more", count=1000)
        front.until(lambda left=left: front.traits["earlier"] < left)
    assert [entry["turn"] for entry in front.entries] == list(range(1, 501))
    front.ask("<<say the next>>")
    assert len(front.entries) == 501
    assert front.state()["transcript"] == front.entries


def test_a_saved_notebook_carries_the_end_of_a_long_conversation(kernel: Kernel) -> None:
    kernel.run(MANY.replace("reply **{n}**", "x" * 2000 + "{n}"))
    front = Front(kernel)
    plain = front.cell.outputs[0]["data"]["text/plain"]
    assert "earlier turns are not carried here" in plain
    assert plain.endswith("x500")
    assert len(plain) < 200_000


def test_bytes_grow_with_the_reply_and_not_with_its_square(kernel: Kernel) -> None:
    front = Front(kernel, "%kimi chat long")
    before = front.bytes
    entry = front.ask("<<tokens 10000>><<rate 4000>>")
    told = (front.bytes - before) / len(text_of(entry))
    assert told < 10


def test_a_long_block_of_code_is_sent_once(kernel: Kernel) -> None:
    front = Front(kernel, "%kimi chat code")
    before = front.bytes
    code = "\n".join(f"value_{n} = compute({n}, 'text')" for n in range(300))
    entry = front.ask(f"<<say ```python\n{code}\n```\n>><<rate 2000>>")
    assert (front.bytes - before) / len(text_of(entry)) < 25


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(file, "PNG")
    return file.getvalue()


def test_with_an_account_there_are_models_prices_and_pictures(account: Kernel, seen: Seen) -> None:
    front = Front(account)
    models = front.until(lambda: front.traits["choices"]["model"]["options"])
    assert {one["label"] for one in models} >= {"kimi-k2.6", "kimi-k2.7-code"}
    assert "local" not in {one["value"] for one in models}
    front.send(type="set", name="model", value="@cf/moonshotai/kimi-k2.7-code")
    front.until(lambda: front.traits["choices"]["model"]["value"].endswith("k2.7-code"))
    account.run("%kimi budget $2")
    key = front.send(png(), type="attach", name="shot.png", media="image/png")
    front.answer(key)
    preview = front.answer(front.send(type="preview", text="What is it?", attachments=[key]))
    assert [part["name"] for part in preview["parts"]] == ["shot.png", "question"]
    assert "$" in preview["text"]
    entry = front.ask("What is it?", attachments=[key])
    assert entry["question"]["chips"][0]["html"].startswith("<img")
    body: dict[str, Any] = json.loads(str(seen.last()["body"]))
    assert [part["type"] for part in body["messages"][-1]["content"]] == ["text", "image_url", "text"]
    assert "k2.7-code" in str(seen.last())
    usage = front.traits["usage"]["text"]
    assert "in this kernel" in usage
    assert "budget $2.00: $" in usage


def test_the_kernels_interrupt_stops_a_reply_where_no_cell_runs(kernel: Kernel) -> None:
    front = Front(kernel, "%kimi chat interrupted")
    front.send(type="ask", text="<<tokens 4000>><<rate 40>>")
    front.until(lambda: front.entries and text_of(front.entries[-1]))
    kernel.interrupt()
    assert front.ended(set())["state"] == "cut"
    assert kernel.run("1 + 1").ok


def test_new_objects_and_functions_can_be_chosen_once_a_cell_has_made_them(kernel: Kernel) -> None:
    kernel.run("import pandas as pd")
    front = Front(kernel, "%kimi chat offers")
    front.run("fresh_frame = pd.DataFrame({'a': [1]})\ndef fresh_tool(): 'A tool.'")
    front.until(lambda: "fresh_tool" in {one["value"] for one in front.traits["choices"]["tools"]["options"]})
    front.until(lambda: any("{{ fresh_frame }}" in one["text"] for one in front.traits["suggestions"]))


def test_what_became_private_is_not_written_into_the_notebook(kernel: Kernel) -> None:
    kernel.run("import pandas as pd, kimi_magic\npatients = pd.DataFrame({'name_of': ['Zacharias Quimby']})")
    front = Front(kernel, "%kimi chat secrets")
    front.ask("<<say It is Zacharias Quimby.>>")
    front.until(lambda: "Quimby" in front.static.get("text/plain", ""))
    front.run("kimi_magic.private(patients, ['name_of'])")
    front.until(lambda: "withheld" in front.static["text/plain"])
    assert "Quimby" not in front.static["text/plain"] + front.static["text/html"]


def test_what_a_tool_prints_stands_with_the_panel(kernel: Kernel) -> None:
    kernel.run("def noisy() -> str:\n    'Make noise.'\n    print('NOISE')\n    return 'made'")
    front = Front(kernel, "%kimi chat noise")
    front.send(type="set", name="tools", value=["noisy"])
    front.run("1")
    front.ask("<<tool noisy {}>><<say done>>")
    front.until(lambda: front.printed)
    assert front.printed == {front.cell.messages[0]["parent_header"]["msg_id"]: "NOISE\n"}

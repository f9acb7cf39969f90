"""Objects in a question, from the cell to the bytes at the server, in a real kernel."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.conftest import Seen
    from tests.harness.kernel import Kernel

DATA = """
import numpy as np, pandas as pd, kimi_magic
ssn = [f"078-05-{1000 + n}" for n in range(60)]
frame = pd.DataFrame({"city": ["Oslo", "Rome", "Lima"] * 20, "people": range(60), "ssn": ssn})
name, number, words = "Ada", 42, "two\\nlines {{ number }}"
records = [{"city": "Oslo", "ssn": "078-05-1001"}]
"""


@pytest.fixture(scope="module", autouse=True)
def data(warm_kernel: Kernel) -> None:
    assert warm_kernel.run(DATA).ok


def question(seen: Seen) -> Any:
    """The last user message, as it arrived."""
    return json.loads(str(seen.last()["body"]))["messages"][-1]["content"]


def test_short_values_stand_in_the_sentence(kernel: Kernel, seen: Seen) -> None:
    assert kernel.run("%%kimi -q\nI am {{ name }}, {{ number + 1 }} years, {{ len(frame) }} rows, {{ None }}.").ok
    assert question(seen) == "I am Ada, 43 years, 60 rows, None."


def test_what_a_value_contains_is_not_expanded_again(kernel: Kernel, seen: Seen) -> None:
    assert kernel.run("%%kimi -q\nSay: {{ words }}").ok
    assert question(seen) == "Say: two\nlines {{ number }}"


def test_a_table_stands_between_marks_on_lines_of_its_own(kernel: Kernel, seen: Seen) -> None:
    assert kernel.run("%%kimi -q\nWhat is odd in {{ frame }}?").ok
    text = question(seen)
    assert text.startswith('What is odd in \n<context name="frame">\n')
    assert text.endswith("\n</context>\n?")
    assert all(word in text for word in ("60 rows", "city", "people", "Oslo"))


def test_context_beside_the_question_comes_first(kernel: Kernel, seen: Seen) -> None:
    assert kernel.run("%%kimi -q -c frame frame[\"city\"] 'records[0]'\nCompare.").ok
    text = question(seen)
    assert [
        text.index(f'<context name="{name}">') for name in ("frame", "frame[&quot;city&quot;]", "records[0]")
    ] == sorted(text.index(f'<context name="{name}">') for name in ("frame", "frame[&quot;city&quot;]", "records[0]"))
    assert text.endswith("</context>\n\nCompare.")


def test_a_destination_may_stand_before_the_context(kernel: Kernel) -> None:
    assert kernel.run("%%kimi -q answer -c frame\n<<say ok>>").ok
    assert kernel.value("str(answer)") == "ok"
    cell = kernel.run("%%kimi -q -c frame bogus\nhi")
    assert "no variable 'bogus'" in cell.text
    assert "stands first" in cell.text


def test_ask_takes_objects_and_names_them(kernel: Kernel, seen: Seen) -> None:
    assert kernel.run("kimi_magic.ask('Hm? {{ x }}', frame, [1, 2], quiet=True);").ok
    text = question(seen)
    assert '<context name="frame">' in text
    assert '<context name="value 2">' in text
    assert text.endswith("Hm? {{ x }}")


def test_what_is_meant_by_commas_and_missing_names(kernel: Kernel, seen: Seen) -> None:
    assert kernel.run("%%kimi -q -c frame, number\nhi").ok
    assert question(seen).count("<context name=") == 2
    assert kernel.run("%%kimi -q -c frame,number (number,name)\nhi").ok
    assert question(seen).count("<context name=") == 3
    assert "-c needs the name" in kernel.run("%%kimi -c\nhi").text
    assert kernel.run("%%kimi -q -c --rows 2\nhi").reply["ename"] == "CommandError"


def test_a_reply_does_not_take_the_place_of_data(kernel: Kernel) -> None:
    cell = kernel.run("%%kimi frame\nWhat is odd in it?")
    assert "frame holds a DataFrame" in cell.text
    assert "-c frame" in cell.text
    assert kernel.value("type(frame).__name__") == "DataFrame"
    kernel.run("answer = 'an older one'")
    assert kernel.run("%%kimi -q answer\n<<say ok>>").ok
    assert kernel.value("str(answer)") == "ok"


def test_a_format_in_braces_is_told_how_to_be_written(kernel: Kernel) -> None:
    assert 'f"{number:.2f}"' in kernel.run("%%kimi\n{{ number:.2f }}").text


def test_a_line_can_bring_context(kernel: Kernel, seen: Seen) -> None:
    assert kernel.run('%kimi ask -q -c frame["city"] -c number What is it?').ok
    assert 'name="frame[&quot;city&quot;]"' in question(seen)
    assert question(seen).endswith("What is it?")


def test_out_in_and_underscore_are_names(cold_kernel: Kernel, seen: Seen) -> None:
    cold_kernel.run("%load_ext kimi_magic")
    count = cold_kernel.run("6 * 7").reply["execution_count"]
    assert cold_kernel.run(f"%%kimi -q\n{{{{ _ }}}} {{{{ Out[{count}] }}}} {{{{ In[{count}] }}}}").ok
    assert question(seen) == "42 42 6 * 7"


def test_an_unknown_name_stops_before_anything_is_sent(kernel: Kernel, seen: Seen) -> None:
    cell = kernel.run("%%kimi\nWhat is {{ fraem }}?")
    assert cell.reply["ename"] == "CommandError"
    assert "Did you mean frame" in cell.text
    assert seen.all() == []


def test_raw_leaves_braces_alone(kernel: Kernel, seen: Seen) -> None:
    assert kernel.run("%%kimi -q --raw\n{{ fraem }} {{ number }}").ok
    assert question(seen) == "{{ fraem }} {{ number }}"


def test_rows_columns_and_full(kernel: Kernel, seen: Seen) -> None:
    kernel.run("%%kimi -q -c frame --rows 2 --columns city\nhi")
    assert "people" not in question(seen)
    kernel.run("%%kimi -q -c frame --full\nhi")
    assert "Lima,59" in question(seen)
    assert kernel.run("%%kimi -c frame --columns ciyt\nhi").reply["ename"] == "CommandError"
    assert kernel.run("%%kimi -c frame --rows many\nhi").reply["ename"] == "CommandError"


def test_cells_bring_inputs_and_outputs(kernel: Kernel, seen: Seen) -> None:
    first = kernel.run("print('printed'); 6 * 7").reply["execution_count"]
    assert kernel.run(f"%%kimi -q --cells {first}\nWhat happened?").ok
    text = question(seen)
    assert all(word in text for word in ("6 * 7", "printed", "42"))
    assert kernel.run("%%kimi -q --cells -2:\nWhat happened?").ok
    assert kernel.run("%%kimi --cells 99999\nWhat happened?").reply["ename"] == "CommandError"


def test_the_local_model_is_refused_pictures_before_anything_is_sent(kernel: Kernel, seen: Seen) -> None:
    kernel.run("from PIL import Image as I; picture = I.new('RGB', (64, 48), 'teal')")
    cell = kernel.run("%%kimi -c picture\nWhat is it?")
    assert cell.reply["ename"] == "CommandError"
    assert "does not see pictures" in cell.text
    assert seen.all() == []
    assert kernel.run("%%kimi -q -c picture --detail none\nWhat is it?").ok
    assert "64 × 48" in question(seen)


def test_a_picture_arrives_as_it_was_shown(kernel: Kernel, seen: Seen) -> None:
    kernel.run("from PIL import Image as I; picture = I.new('RGB', (64, 48), (0, 128, 128))")
    assert kernel.run("%%kimi answer -q -m k2.6 -c picture --detail high\nWhat is it?").ok
    parts = question(seen)
    pictures = [part["image_url"] for part in parts if part["type"] == "image_url"]
    assert len(pictures) == 1
    assert pictures[0]["detail"] == "high"
    kind, data = pictures[0]["url"].split(",")
    assert kind == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (image.size, image.convert("RGB").getpixel((5, 5))) == ((64, 48), (0, 128, 128))
    assert data in kernel.run("%kimi sent").html


def test_a_picture_in_out_is_sent_as_one(kernel: Kernel, seen: Seen) -> None:
    count = kernel.run("from IPython.display import Image as Shown\nShown(picture._repr_png_())").reply[
        "execution_count"
    ]
    assert kernel.run(f"%%kimi -q -m k2.6 -c Out[{count}]\nWhat is it?").ok
    assert [part["type"] for part in question(seen)] == ["text", "image_url", "text"]


def test_a_figure_brings_a_picture_and_its_text(kernel: Kernel, seen: Seen) -> None:
    kernel.run(
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2, 3], [4, 5, 6], label='growth');"
    )
    assert kernel.run("%%kimi -q -m k2.6\nExplain {{ fig }}").ok
    parts = question(seen)
    assert [part["type"] for part in parts] == ["text", "image_url", "text"]
    assert "growth" in parts[0]["text"] + parts[2]["text"]


def test_what_kimi_saw_folds_out_of_the_footer(kernel: Kernel) -> None:
    cell = kernel.run("%%kimi answer -c frame number\n<<say ok>>")
    assert cell.text == "ok"
    assert "saw frame, number" in cell.html
    assert cell.html.index("<details") < cell.html.index("60 rows")
    items = kernel.value("[(i.source, i.kind, i.bytes > 0, i.tokens > 0) for i in answer.sent.items]")
    assert [item[0] for item in items] == ["frame", "number", "question"]
    assert all(item[2] and item[3] for item in items)


def test_sent_prints_exactly_what_was_sent(kernel: Kernel, seen: Seen) -> None:
    kernel.run("%%kimi -q -s 'Be brief.'\nfirst {{ name }}")
    kernel.run("%%kimi -q -c frame\nsecond <b>&</b> {{ number }}")
    assert question(seen) in kernel.run("%kimi sent").text
    first = kernel.run("%kimi sent 1")
    assert "first Ada" in first.text
    assert "Be brief." in first.text
    assert "second &lt;b&gt;" in kernel.run("%kimi sent 2").html
    assert "has no turn 3" in kernel.run("%kimi sent 3").text
    assert kernel.value("type(get_ipython().run_line_magic('kimi', 'sent')).__name__") == "Sent"


def test_a_dry_run_shows_the_price_and_sends_nothing(kernel: Kernel, seen: Seen) -> None:
    cell = kernel.run("%%kimi plan --dry-run -c frame\nhi")
    assert "What Kimi would see" in cell.text
    assert kernel.value("plan.dry") is True
    assert seen.all() == []
    assert "Nothing was asked yet" in kernel.run("%kimi usage").text
    assert "Nothing was sent yet" in kernel.run("%kimi sent").text


def test_a_dry_run_for_the_account_names_the_price(account_kernel: Kernel, seen: Seen) -> None:
    cell = account_kernel.run("%%kimi --dry-run\nhi")
    assert "kimi-k2.6, 127.0.0.1" in cell.text
    assert "$0.0000" in cell.text
    assert "2026-09 prices" in cell.text
    assert seen.all() == []


@pytest.fixture(scope="module")
def account_kernel(server: Any, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with an account, at the scripted server."""
    from tests.harness.kernel import Kernel

    account = {
        "CLOUDFLARE_ACCOUNT_ID": "0" * 32,
        "CLOUDFLARE_API_TOKEN": server.token,
        "CLOUDFLARE_API_BASE_URL": server.url,
        "KIMI_HOME": str(home),
    }
    with Kernel(account, tmp_path_factory.mktemp("account")) as kernel:
        assert kernel.run("%load_ext kimi_magic").ok
        yield kernel


def test_fix_sends_the_last_error_and_puts_code_into_the_next_cell(kernel: Kernel, seen: Seen) -> None:
    kernel.run("def share(frame, column):\n    return frame[column] / frame[column].sum()\n")
    kernel.run("share(frame, 'peple')")
    kernel.run("%%kimi --bogus\nour own errors do not count")
    code = '"Because.\\n```python\\nshare(frame, \\"people\\")\\n```\\n"'
    cell = kernel.run(f"%kimi fix Why? <<say-json {code}>>")
    assert cell.ok, cell.text
    assert cell.next_cell == 'share(frame, "people")'
    text = question(seen)
    assert all(word in text for word in ("KeyError", "peple", "return frame[column]", "60", "people"))
    assert text.endswith(">>")
    assert kernel.run("%kimi fix").ok
    assert "corrected code" in question(seen)


def test_fix_with_nothing_to_fix_says_so(cold_kernel: Kernel) -> None:
    cold_kernel.run("%load_ext kimi_magic")
    assert "No cell has failed" in cold_kernel.run("%kimi fix").text


def test_secrets_are_redacted_visibly(kernel: Kernel, seen: Seen) -> None:
    key = "sk-proj-" + "A1b2C3d4" * 6
    kernel.run(f"key = {key!r}")
    cell = kernel.run("%%kimi -s 'my key is " + key + "'\nUse {{ key }} or " + key + " <<say ok>>")
    assert cell.ok, cell.text
    assert key not in str(seen.last()["body"])
    assert str(seen.last()["body"]).count("[redacted: API key]") == 3
    assert "2 redacted" in cell.html


def test_private_columns_stay_and_the_ledger_tells_what_left(kernel: Kernel, seen: Seen) -> None:
    assert "guarded" in kernel.run("%kimi private frame ssn").text
    assert kernel.run("%%kimi -q -c frame --full\nhi {{ records }} {{ frame.ssn[3] }} {{ frame.head() }}").ok
    assert "078-05-" not in str(seen.last()["body"])
    assert "private" in question(seen)
    ledger = kernel.run("%kimi egress").text
    assert "frame" in ledger
    assert "city, people" in ledger
    assert "ssn" in ledger
    assert "this machine" in ledger
    assert kernel.run("%kimi private --release ssn").ok
    assert kernel.run("%kimi private frame sssn").reply["ename"] == "CommandError"
    kernel.run("%%kimi -q -c frame\nhi")
    assert "078-05-" in str(seen.last()["body"])


def test_what_became_private_later_is_not_sent_again(kernel: Kernel, seen: Seen) -> None:
    assert kernel.run("%%kimi -q -c frame\nfirst").ok
    kernel.run("%kimi private frame ssn")
    seen.clear()
    cell = kernel.run("%%kimi\nsecond")
    assert "An earlier turn holds values of ssn" in cell.text
    assert seen.all() == []
    assert kernel.run("%%kimi -q --new\nsecond").ok
    assert kernel.run("%%kimi -q\nthird").ok
    assert "078-05-" not in str(seen.last()["body"])
    kernel.run("%kimi private --release ssn")


def test_a_branch_that_holds_private_values_is_not_sent_either(kernel: Kernel, seen: Seen) -> None:
    kernel.run("%%kimi -q\nplain <<say ok>>", metadata={"cellId": "a"})
    kernel.run("%%kimi -q -c frame\nwith data <<say ok>>", metadata={"cellId": "b"})
    kernel.run("%kimi undo\n%kimi private frame ssn")
    assert kernel.run("%%kimi -q\nother branch <<say ok>>").ok
    kernel.run("%kimi restore 2")
    seen.clear()
    assert "An earlier turn holds values of ssn" in kernel.run("%%kimi\nagain").text
    assert seen.all() == []
    kernel.run("%kimi private --release ssn")


def test_what_is_sent_again_is_on_the_ledger_too(kernel: Kernel) -> None:
    kernel.run("%%kimi -q -c frame --columns city\nfirst")
    kernel.run("%%kimi -q -s 'Use sk-proj-abcdefghij0123456789abcdefghij0123456789'\nsecond")
    rows = [line for line in kernel.run("%kimi egress").text.splitlines() if "this machine" in line]
    assert ["conversation" in row for row in rows[-3:]] == [True, False, False]
    assert "city" in rows[-3]
    assert "system message" in rows[-2]
    assert "1 redacted" in rows[-2]


def test_values_of_other_tables_with_a_private_name_are_known_too(kernel: Kernel, seen: Seen) -> None:
    kernel.run("other = pd.DataFrame({'ssn': ['219-09-2000', '219-09-2001'], 'x': [1, 2]})")
    kernel.run("%kimi private frame ssn")
    assert kernel.run("%%kimi -q\n{{ other.ssn.tolist() }} {{ other.to_csv() }}").ok
    assert "219-09-" not in str(seen.last()["body"])
    kernel.run("other.loc[2] = ['219-09-2002', 3]")
    assert kernel.run("%%kimi -q\n{{ other.ssn.tolist() }}").ok
    assert "219-09-" not in str(seen.last()["body"])
    kernel.run("%kimi private --release ssn")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("%%kimi\nWhat is {{ fra", "frame"), ("%%kimi\nWhat is {{ frame.pe", "frame.people"), ("%%kimi -c fra", "frame"),
     ("%%kimi -c number fra", "frame"), ("%kimi private fra", "frame"), ("%kimi private frame s", "ssn"),
     ("%kimi ask is {{ fra", "frame"), ("%%kimi --detail ", "low"), ("%%kimi -c frame --ro", "--rows"),
     ("%kimi se", "sent")],
)  # fmt: skip
def test_live_names_are_offered(kernel: Kernel, typed: str, offered: str) -> None:
    reply: Any = kernel.client.complete(typed, len(typed), reply=True, timeout=20)
    assert offered in reply["content"]["matches"]


def test_live_names_are_not_offered_in_plain_text(kernel: Kernel) -> None:
    text = "%%kimi\nfra"
    reply: Any = kernel.client.complete(text, len(text), reply=True, timeout=20)
    assert all(match["type"] != "kimi" for match in reply["content"]["metadata"]["_jupyter_types_experimental"])


def test_own_describers_are_used(kernel: Kernel, seen: Seen) -> None:
    kernel.run(
        "class Sensor:\n    pass\nclass Model:\n    def _repr_llm_(self):\n        return 'a model of mine'\n"
        "kimi_magic.describe.register(Sensor, lambda sensor: 'a sensor at 21 °C')"
    )
    assert kernel.run("%%kimi -q\n{{ Sensor() }} and {{ Model() }}").ok
    assert question(seen) == "a sensor at 21 °C and a model of mine"


def test_what_does_not_fit_is_named_with_its_size(kernel: Kernel, seen: Seen) -> None:
    kernel.run("long = 'word ' * 30_000")
    cell = kernel.run("%%kimi\n{{ long }}")
    assert cell.ok, cell.text
    assert "left out" in question(seen)
    body = "many words " * 6_000
    cell = kernel.run(f"%%kimi -c frame\n{body}")
    assert cell.reply["ename"] == "TooLarge"
    assert "question about" in cell.text
    assert "frame about" in cell.text


def test_a_script_can_bring_objects(tmp_path: Path, environment: Mapping[str, str], seen: Seen) -> None:
    import subprocess
    import sys

    script = tmp_path / "script.py"
    script.write_text(
        "import kimi_magic\nrows = [1, 2]\nprint(kimi_magic.ask('<<say ok>>', rows).sent.items[0].source)\n"
    )
    import os

    done = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "rows"
    assert '<context name="rows">' in question(seen)


def test_what_takes_long_to_look_at_is_named_meanwhile(kernel: Kernel) -> None:
    shown: list[str] = []

    def watch(message: dict[str, Any]) -> None:
        shown.append(message["content"].get("data", {}).get("text/plain", ""))

    kernel.run(
        "import time, duckdb\ndef slow(relation):\n    time.sleep(2.2)\n    return 'slow'\n"
        "kimi_magic.describe.register('duckdb.DuckDBPyRelation', slow)\n"
        "relation = duckdb.sql('select 1')"
    )
    cell = kernel.run("%%kimi -c relation\n<<say ok>>", watch=watch)
    assert cell.text == "ok"
    assert [output["type"] for output in cell.outputs] == ["display_data"]
    assert any("Looking at relation" in text for text in shown)
    kernel.run("kimi_magic.describe.unregister('duckdb.DuckDBPyRelation')")

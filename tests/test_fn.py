"""A function whose docstring is the question: what it asks, what it gives, and how a test replays it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import kimi_magic
from kimi_magic.errors import CommandError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Seen
    from tests.harness.kernel import Kernel


@dataclass
class Person:
    name: str
    age: int


# What can be asked


def test_it_looks_like_the_function_it_was() -> None:
    def mood(text: str, *, language: str = "en") -> str:
        """Say the mood of {{ text }}."""

    asked = kimi_magic.fn(mood)
    assert (asked.__name__, asked.__doc__, asked.__module__) == ("mood", "Say the mood of {{ text }}.", __name__)
    assert inspect.signature(asked) == inspect.signature(mood)
    assert repr(asked) == f"<kimi_magic.fn mood{inspect.signature(mood)}>"


def test_bodies_that_do_nothing_are_fine() -> None:
    def ellipsis() -> str:
        """Ask."""
        ...  # noqa: PIE790  # what is tested

    def passing() -> str:
        """Ask."""
        pass  # noqa: PIE790  # see above

    def closing() -> Person:
        """Ask."""

    assert all(kimi_magic.fn(one) for one in (ellipsis, passing, closing))


def no_docstring() -> str: ...


def code(text: str) -> str:
    """Ask."""
    return text.upper()


def constant() -> int:
    """Ask."""
    return 5


def generator() -> Any:
    """Ask."""
    yield


async def later() -> str:
    """Ask."""


def nothing() -> None:
    """Ask."""


def no_schema() -> Path:
    """Ask."""


def undefined() -> list[Nowhere]:  # type: ignore[name-defined]  # noqa: F821
    """Ask."""


def unreadable() -> object():  # type: ignore[valid-type]
    """Ask."""


def braces() -> str:
    """Ask {{ 1 + }}."""


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (no_docstring, "has no docstring"), (code, "has code in its body"), (constant, "has code in its body"),
        (generator, "has code in its body"), (later, "later is async"), (nothing, "returns None"),
        (undefined, "is not a type"), (unreadable, "is not a type"), (braces, "no Python expression"),
        (len, "takes a function"), (Person, "takes a function"), (5, "takes a function"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_when_it_is_defined(function: Any, told: str) -> None:
    with pytest.raises(CommandError, match=told) as caught:
        kimi_magic.fn(function)
    assert caught.value.hint


def test_a_type_without_a_schema_is_refused_when_it_is_defined() -> None:
    class Opaque:
        pass

    def opaque() -> Opaque:
        """Ask."""

    def deep() -> list[dict[str, Opaque]]:
        """Ask."""

    for function in (opaque, deep):
        with pytest.raises(CommandError, match="has no JSON Schema"):
            kimi_magic.fn(function)


def test_options_are_checked_when_it_is_defined() -> None:
    with pytest.raises(CommandError, match="effort"):
        kimi_magic.fn(effort="much")
    with pytest.raises(TypeError):
        kimi_magic.fn(effrot="high")  # type: ignore[call-overload]


def test_wrong_arguments_are_a_type_error_that_names_the_function() -> None:
    @kimi_magic.fn
    def mood(text: str) -> str:
        """Say the mood of {{ text }}."""

    with pytest.raises(TypeError, match=r"mood\(\) missing a required argument: 'text'"):
        mood()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"mood\(\) got an unexpected keyword argument 'txt'"):
        mood("a", txt="a")  # type: ignore[call-arg]


@pytest.mark.parametrize("values", ["words", b"bytes", {"a": 1}, 5])
def test_map_takes_many_values(values: Any) -> None:
    @kimi_magic.fn
    def mood(text: str) -> str:
        """Say the mood of {{ text }}."""

    with pytest.raises(CommandError, match=r"\.map takes a column or a list"):
        mood.map(values)


# What is asked, in a kernel


SET_UP = """
import kimi_magic
from typing import Literal
from dataclasses import dataclass
from kimi_magic import fn

@dataclass
class Person:
    name: str
    age: int

@fn
def say(words: str) -> str:
    "{{ words }}"

@fn
def mood(text) -> Literal["good", "bad"]:
    "What is the mood of {{ text }}?"

@fn
def people(text) -> list[Person]:
    "Who is in {{ text }}?"

def json(value):
    import json
    return f"<<say {json.dumps(value)}>>"

# It says something else when it is told what is wrong with it, which is no better.
BAD = r'<<say-json "{\\"value\\": \\"<<say dunno\\u003e\\u003e\\"}">>'
"""


@pytest.fixture
def asking(kernel: Kernel) -> Kernel:
    cell = kernel.run(SET_UP)
    assert cell.ok, cell.text
    return kernel


def question(seen: Seen) -> str:
    messages = json.loads(str(seen.last()["body"]))["messages"]
    assert [message["role"] for message in messages] == ["user"]
    text: str = messages[0]["content"]
    return text


def test_what_is_named_stands_in_the_question_and_the_rest_beside_it(asking: Kernel, seen: Seen) -> None:
    cell = asking.run(
        "@fn\ndef ask(text: str, table, note=None, *, n=3, **more):\n"
        "    '''Say {{ text.upper() }} {{ n + 1 }} times.\n\n    Then stop.\n    '''\n"
        "ask('<<say hi>>', {'a': 1}, other='{{ words }}')"
    )
    assert cell.text == "'hi'" or "HI" in cell.text
    text = question(seen)
    assert text.endswith("Say <<SAY HI>> 4 times.\n\nThen stop.")
    assert '<context name="table">\n' in text
    assert '<context name="other">\n{{ words }}\n' in text
    assert "note" not in text


def test_a_long_text_goes_whole(asking: Kernel, seen: Seen) -> None:
    asking.run("text = '\\n'.join(f'line {n}' for n in range(3_000))\nsay(text + '<<say hi>>')")
    assert question(seen).count("line") == 3_000
    asking.run("@fn\ndef beside(text, other):\n    'Say {{ text }}'\nbeside('<<say hi>>', text)")
    assert question(seen).count("line") == 3_000


def test_it_is_asked_outside_of_the_conversation_and_quietly(asking: Kernel, seen: Seen) -> None:
    asking.run("%%kimi\n<<say in the conversation>>")
    cell = asking.run("first = say('<<say one>>')")
    assert cell.outputs == []
    assert "in the conversation" not in question(seen)
    asking.run("%%kimi\n<<say again>>")
    assert "say one" not in str(seen.last()["body"])
    assert asking.value("first") == "one"


def test_the_reply_is_what_it_is_annotated_to_return(asking: Kernel) -> None:
    assert asking.value("mood(json({'value': 'good'}))") == "good"
    assert asking.run("people(json({'rows': [{'name': 'Ada', 'age': '36'}]}))").text == "[Person(name='Ada', age=36)]"
    asking.run("@fn\ndef short(text) -> 'name, age int':\n    'Who is {{ text }}?'")
    assert asking.value("short(json({'name': 'Ada', 'age': 36}))") == {"name": "Ada", "age": 36}
    future = "from __future__ import annotations\n@fn\ndef later(text) -> {}:\n    'Which {{{{ text }}}}?'"
    asking.run(f"exec({future.format('Literal[0, 1]')!r})")
    assert asking.value("later(json({'value': 1}))") == 1
    asking.run(f"exec({future.format(repr('name, age int'))!r})")
    assert asking.value("later(json({'name': 'Ada', 'age': 36}))['age']") == 36


def test_a_reply_that_is_not_that_is_an_error_with_the_reply(asking: Kernel, seen: Seen) -> None:
    asking.run("try:\n    mood(BAD)\nexcept kimi_magic.InvalidReply as error:\n    found = error")
    assert asking.value("found.reply.text") == "dunno"
    assert len(seen.all()) == 2  # it was asked to mend it
    asking.run(
        "try:\n    say('<<say half a>><<finish length>>')\nexcept kimi_magic.InvalidReply as error:\n    cut = error"
    )
    assert "was cut at" in asking.value("str(cut)")
    assert asking.value("cut.reply.text") == "half a"


def test_a_reply_can_be_had_whole_and_shows_itself(asking: Kernel) -> None:
    cell = asking.run("say.reply('<<say *hi*>>')")
    assert "<em>hi</em>" in cell.html
    assert asking.value("people.reply(json({'rows': [{'name': 'A', 'age': 1}]})).value[0].name") == "A"


def test_text_streams_in_pieces_and_rows_as_they_come(asking: Kernel) -> None:
    assert asking.value("''.join(say.stream('<<say hello there, all of you>>'))") == "hello there, all of you"
    assert asking.value("len(list(say.stream('<<say hello there, all of you>>'))) > 2") is True
    asking.run(
        "rows = [{'name': 'A' * 30, 'age': n} for n in range(4)]\nimport time\narrived = []\n"
        "for row in people.stream('<<rate 40>>' + json({'rows': rows})): arrived.append((row.age, time.monotonic()))\n"
    )
    assert asking.value("[age for age, _ in arrived]") == [0, 1, 2, 3]
    assert asking.value("arrived[-1][1] > arrived[0][1]") is True
    assert asking.value("list(mood.stream(json({'value': 'bad'})))") == ["bad"]


def test_other_questions_are_asked_while_a_stream_is_held(asking: Kernel, seen: Seen) -> None:
    asking.run("pieces = say.stream('<<rate 60>><<say one two three four five six>>')\nfirst = next(pieces)")
    assert asking.value("say('<<say beside>>')") == "beside"
    assert asking.run("%%kimi\n<<say and in the conversation>>").text == "and in the conversation"
    assert asking.value("''.join([first, *pieces])") == "one two three four five six"
    asking.run("found = '<<rate 40>>' + json({'rows': [{'name': name, 'age': 1} for name in ('Ada', 'Bob', 'Eve')]})")
    assert asking.value("[say(f'<<say {row.name}>>') for row in people.stream(found)]") == ["Ada", "Bob", "Eve"]
    assert len(seen.all()) == 7


def test_a_tool_may_leave_a_stream_and_ask_on(asking: Kernel) -> None:
    asking.run(
        "def leaves() -> str:\n    'Ask and do not wait.'\n"
        "    global pieces\n    pieces = say.stream('<<rate 60>><<say some of it>>')\n"
        "    return next(pieces) + say('<<say beside>>')"
    )
    asking.run("%%kimi answer -t leaves\n<<tool leaves>><<then>><<say So.>>")
    assert asking.value("(str(answer), answer.calls[0].text, ''.join(pieces))") == ("So.", "somebeside", " of it")


@pytest.mark.parametrize("leave", ["pieces.close()", "del pieces"])
def test_a_stream_that_is_left_is_ended(asking: Kernel, seen: Seen, leave: str) -> None:
    asking.run("import gc\ngc.disable()\npieces = say.stream('<<rate 5>><<tokens 500>>')\nfirst = next(pieces)")
    asking.run(leave)
    deadline = time.monotonic() + 10
    while seen.last()["ended"] != "client-closed":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    asking.run("gc.enable()")


def test_options_and_tools_go_with_each_call(asking: Kernel, seen: Seen) -> None:
    asking.run(
        "def add(a: int, b: int) -> int:\n    'Add.'\n    return a + b\n"
        "@fn(system='Be brief.', temperature=0, max_tokens=77, tools=[add])\n"
        "def total(text):\n    'Add up: {{ text }}'\n"
        'found = total(\'<<tool add {"a": 1, "b": 2}>>\')'
    )
    body = json.loads(str(seen.all()[0]["body"]))
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["temperature"], body["max_completion_tokens"]) == (0, 77)
    assert "3" in asking.value("found")


def test_a_method_sends_its_object_only_where_it_is_named(asking: Kernel, seen: Seen) -> None:
    asking.run(
        "class Desk:\n    name = 'desk'\n"
        "    @fn\n    def plain(self, text) -> str:\n        'Ask {{ text }}'\n"
        "    @fn\n    def own(self, text) -> str:\n        'Ask {{ self.name }} {{ text }}'\n"
        "    @staticmethod\n    @fn\n    def free(text) -> str:\n        'Ask {{ text }}'\n"
        "    @classmethod\n    @fn\n    def of(cls, text) -> str:\n        'Ask {{ text }}'\n"
        "desk = Desk()"
    )
    assert asking.value("desk.plain('<<say hi>>')") == "hi"
    assert question(seen) == "Ask <<say hi>>"
    assert asking.value("desk.own.map(['<<say hi>>'])") == ["hi"]
    assert question(seen) == "Ask desk <<say hi>>"
    assert asking.value("[Desk.plain(desk, '<<say hi>>'), Desk.free('<<say ho>>')]") == ["hi", "ho"]
    assert asking.value("Desk.of('<<say ha>>')") == "ha"
    assert question(seen) == "Ask <<say ha>>"
    assert asking.value("str(__import__('inspect').signature(desk.plain))") == "(text) -> str"


def test_a_name_that_is_nowhere_is_told_with_one_that_is_near(asking: Kernel) -> None:
    cell = asking.run("@fn\ndef wrong(text):\n    'Say {{ txet }}'\nwrong('a')")
    assert "There is no variable 'txet'" in cell.text
    assert "text" in cell.text.partition("Did you mean")[2]


def test_what_is_private_stays_here(asking: Kernel, seen: Seen) -> None:
    asking.run(
        "import pandas as pd\ndf = pd.DataFrame({'name': ['Ada'], 'ssn': ['123-45-6789']})\n%kimi private df ssn"
    )
    asking.run("@fn\ndef about(text, table):\n    'Say {{ text }}'\nabout('<<say hi>> 123-45-6789', df)")
    assert "Ada" in question(seen)
    assert "123-45-6789" not in question(seen)


# map


def test_map_gives_values_in_order_and_asks_equal_ones_once(asking: Kernel, seen: Seen) -> None:
    asking.run("texts = [json({'value': v}) for v in ('good', 'bad', 'good')]")
    assert asking.value("mood.map(texts)") == ["good", "bad", "good"]
    assert len(seen.all()) == 2
    assert asking.value("mood.map(text for text in texts)") == ["good", "bad", "good"]
    assert asking.value("mood.map([])") == []
    assert asking.value("say.map([['<<say a>>'], {'b': 1}][:1])") == ["a"]  # what has no hash


def test_map_passes_the_other_arguments_to_each(asking: Kernel, seen: Seen) -> None:
    asking.run("@fn\ndef tell(text, tone) -> str:\n    'In a {{ tone }} tone: {{ text }}'")
    assert asking.value("tell.map(['<<say a>>', '<<say b>>'], tone='kind')") == ["a", "b"]
    assert "In a kind tone" in question(seen)


def test_a_pandas_series_keeps_its_index_and_name(asking: Kernel, seen: Seen) -> None:
    asking.run(
        "import pandas as pd\n"
        "texts = [json({'value': 'good'}), None, json({'value': 'bad'})]\n"
        "found = mood.map(pd.Series(texts, index=['x', 'y', 'z'], name='words'))"
    )
    assert asking.value("(found.name, list(found.index), found.tolist()[::2], found.isna().tolist())") == (
        "words", ["x", "y", "z"], ["good", "bad"], [False, True, False],
    )  # fmt: skip
    assert len(seen.all()) == 2
    asking.run("found = people.map(pd.Series([json({'rows': [{'name': 'A', 'age': 1}]})]))")
    assert asking.value("found[0][0].name") == "A"
    assert "a whole table" in asking.run("mood.map(pd.DataFrame({'a': []}))").text


def test_a_polars_series_keeps_its_name(asking: Kernel) -> None:
    asking.run(
        "import polars as pl\n"
        "found = mood.map(pl.Series('words', [json({'value': 'good'}), None]))\n"
        "@fn\ndef person(text) -> Person:\n    'Who is {{ text }}?'\n"
        "objects = person.map(pl.Series('words', [json({'name': 'A', 'age': 1})]))"
    )
    assert asking.value("(found.name, found.to_list())") == ("words", ["good", None])
    assert asking.value("objects[0].name") == "A"


def test_a_map_that_fails_keeps_what_was_done(asking: Kernel) -> None:
    asking.run(
        "try:\n    mood.map([json({'value': 'good'}), BAD, json({'value': 'bad'})])\n"
        "except kimi_magic.KimiError as error:\n    found = error"
    )
    assert asking.value("(type(found).__name__, found.done)") == ("InvalidReply", ["good", None, None])


def test_ctrl_c_keeps_what_was_done_and_running_again_goes_on(asking: Kernel, seen: Seen) -> None:
    asking.run("import sys\n%config KimiMagics.rerun = 'replay'")
    asking.run("texts = ['<<say one more>>', '<<first 30>><<say two>>']")
    stop = asking.interrupt_when(lambda message: "say: 1 of 2" in str(message["content"].get("data", "")))
    cell = asking.run("say.map(texts)", watch=stop, timeout=30)
    assert not cell.ok
    assert "Stopped after 1 of 2; run again, it goes on from there." in cell.text
    asking.run("try:\n    raise sys.last_value\nexcept kimi_magic.Interrupted as stopped:\n    done = stopped.done")
    assert asking.value("done") == ["one more", None]
    sent = len(seen.all())
    assert asking.value("say.map(texts[:1])") == ["one more"]
    assert len(seen.all()) == sent


def test_a_long_map_shows_how_far_it_is(asking: Kernel) -> None:
    assert asking.run("found = say.map(['<<say a>>', '<<say b>>'])").outputs == []
    cell = asking.run("found = say.map([f'<<first 0.9>><<say {n}>>' for n in range(4)])")
    assert len(cell.outputs) == 1
    assert "say: 4 of 4" in cell.text
    assert "width:100%" in cell.html
    assert cell.count("update_display_data") >= 1


# Replay


TEST = """
import kimi_magic
from typing import Literal

@kimi_magic.fn
def mood(text: str) -> Literal["good", "bad"]:
    "What is the mood of {{ text }}?"

print(mood('<<say {"value": "good"}>>'), mood.map(['<<say {"value": "bad"}>>'] * 2))
"""


def test_a_script_replays_what_was_recorded_and_sends_nothing(
    environment: dict[str, str], seen: Seen, tmp_path: Path
) -> None:
    ours = {"PATH": "", "PYTHONPATH": ":".join(sys.path), "KIMI_HOME": str(tmp_path)}

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", TEST], env=ours | more, capture_output=True, text=True, timeout=60, check=False
        )

    asked = environment | {"KIMI_HOME": str(tmp_path)}
    before = run(KIMI_RERUN="only")
    assert "NotRecorded" in before.stderr
    recorded = run(**asked | {"KIMI_RERUN": "replay"})
    assert recorded.stdout.split(maxsplit=1) == ["good", "['bad', 'bad']\n"], recorded.stderr
    assert len(seen.all()) == 2
    replayed = run(KIMI_RERUN="only")  # no address, no account
    assert replayed.stdout == recorded.stdout, replayed.stderr
    assert len(seen.all()) == 2

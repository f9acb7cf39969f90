"""A function becomes a Tool and stays a function; names of the notebook become tools, or a clear error."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any

import pytest

import kimi_magic.tools
from kimi_magic.errors import CommandError
from kimi_magic.tools import Tool, named, tool


def load(path: str, rows: int = 10) -> str:
    """Load a file.

    With more to say.
    """
    return path * rows


@tool(name="order-it", approve=True, timeout=5)
def order(item: str) -> str:
    return item


async def fetch(url: str) -> str:
    return url


class Client:
    """Something with methods."""

    @tool(timeout=1)
    def search(self, words: str) -> str:
        """Search."""
        return f"{type(self).__name__} {words}"

    def _secret(self) -> None: ...


class Callable_:  # noqa: N801
    async def __call__(self, n: int) -> int:
        return n


NAMESPACE: dict[str, Any] = {
    "load": load,
    "order": order,
    "fetch": fetch,
    "client": Client(),
    "Client": Client,
    "double": lambda x: x * 2,
    "part": functools.partial(load, rows=1),
    "later": functools.partial(fetch),
    "number": 5,
    "caller": Callable_(),
    "made": Tool("made", load),
}


def names(words: str) -> list[str]:
    return [one.name for one in named(words, NAMESPACE)]


def problem(words: Any, **more: Any) -> str:
    with pytest.raises(CommandError) as caught:
        named(words, NAMESPACE, **more)
    return str(caught.value)


def test_the_decorator_gives_the_function_itself() -> None:
    assert order("tea") == "tea"
    assert kimi_magic.tools.tool(load) is load
    assert Tool.of(order) == Tool("order-it", order, approve=True, timeout=5)


def test_a_plain_function_is_a_tool_with_its_docstring_and_schema() -> None:
    (found,) = named("load", NAMESPACE)
    assert (found.name, found.description, found.approve, found.timeout) == ("load", "Load a file.", False, 60.0)
    assert found.schema["required"] == ["path"]
    assert found.schema["properties"]["rows"] == {"type": "integer", "default": 10}


def test_tools_are_sorted_by_name_and_come_once() -> None:
    assert names("order, load,double,load") == ["double", "load", "order-it"]


def test_methods_partials_lambdas_objects_that_are_called_and_tools_have_names() -> None:
    assert names("client.search,part,double,caller,made") == ["caller", "double", "made", "part", "search"]


def test_a_method_runs_on_its_object() -> None:
    (found,) = named("client.search", NAMESPACE)
    assert (found.function("tea"), found.timeout) == ("Client tea", 1)


@pytest.mark.parametrize(
    ("word", "asynchronous"), [("fetch", True), ("later", True), ("caller", True), ("load", False)]
)
def test_async_functions_are_known(word: str, asynchronous: bool) -> None:  # noqa: FBT001
    assert named(word, NAMESPACE)[0].asynchronous is asynchronous


def test_functions_and_tools_can_be_given_themselves() -> None:
    assert [one.name for one in named([load, Tool("x", load), "fetch"], NAMESPACE)] == ["fetch", "load", "x"]


def test_a_set_and_the_tools_in_it_have_names_after_those_of_the_notebook() -> None:
    sets = {"kernel": (Tool("peek", load), Tool("load", fetch))}
    assert [one.name for one in named("kernel", NAMESPACE, sets)] == ["load", "peek"]
    assert [one.name for one in named("peek", NAMESPACE, sets)] == ["peek"]
    assert named("load", NAMESPACE, sets)[0].function is load


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("laod", "There is no tool 'laod'.\nDid you mean load?"),
        ("zzz", "There is no tool 'zzz'."),
        ("Client", "Client is a class"),
        ("number", "number is a int, which cannot be called.\nName a function."),
        ("client", "client is a Client, which cannot be called.\nName its methods: client.search"),
        ("client.serach", "client has no 'serach'.\nDid you mean client.search?"),
        ("", "Which tools?"),
        (" , ", "Which tools?"),
        ([5], "it is a int"),
        ([{}.pop], "no signature"),
    ],
)
def test_what_is_no_tool_is_told_with_what_is_near(words: Any, said: str) -> None:
    assert said in problem(words)


def test_two_tools_of_one_name_are_refused() -> None:
    assert "Two tools have the name load." in problem([load, Tool("load", fetch)])


def test_more_tools_than_the_service_takes_are_refused() -> None:
    assert "129 tools; the service takes 128" in problem([Tool(f"t{n}", load) for n in range(129)])


def test_a_type_without_a_schema_is_told_before_anything_is_asked() -> None:
    def odd(a: int, *rest: object, b: Any, c: list[Client]) -> None: ...

    assert "'c'" in problem([odd])


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 65, "a.b", "a\n"])
def test_a_name_that_the_service_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="cannot be the name of a tool"):
        Tool(name, load)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_timeout_that_cannot_be_is_refused(seconds: float) -> None:
    with pytest.raises(CommandError, match="timeout"):
        tool(timeout=seconds)(fetch)


@pytest.mark.parametrize("thing", [Client, 5, len])
def test_the_decorator_refuses_what_is_no_function_of_the_user(thing: Any) -> None:
    with pytest.raises(CommandError):
        tool(thing)


def test_marking_a_tool_loads_nothing_heavy() -> None:
    code = (
        "import sys, kimi_magic\nfrom kimi_magic.tools import tool\n@tool\ndef f(a: int): ...\n"
        "heavy = ['pydantic', 'narwhals', 'asyncio', 'nest_asyncio2', 'PIL', 'kimi_magic.context.guard', 'httpx']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_wrapper_of_a_tool_runs_as_the_wrapper() -> None:
    @functools.wraps(order)
    def wrapped(item: str) -> str:
        return order(item).upper()

    (found,) = named([wrapped], {})
    assert (found.name, found.approve, found.function("tea")) == ("order-it", True, "TEA")


class Rude:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class RudeCall(Rude):
    def __call__(self, a: int) -> int:
        return a


def test_an_object_that_refuses_its_attributes_is_told_of() -> None:
    with pytest.raises(CommandError, match="rude is a Rude, which cannot be called"):
        named("rude", {"rude": Rude()})
    with pytest.raises(CommandError, match="which cannot be called"):
        named([Rude()], {})  # type: ignore[list-item]  # what is tested
    with pytest.raises(CommandError, match="What RudeCall takes cannot be read: RuntimeError"):
        named([RudeCall()], {})


def test_what_is_built_in_is_told_of() -> None:
    with pytest.raises(CommandError) as caught:
        named("len", {})
    assert "built into Python" in str(caught.value.hint)
    with pytest.raises(CommandError, match="len cannot be marked as a tool: it is built into Python"):
        tool(len)


@pytest.mark.parametrize("timeout", ["5", True, 0])
def test_a_timeout_is_a_number_of_seconds(timeout: Any) -> None:
    with pytest.raises(CommandError, match=f"The timeout of f is {timeout!r}"):
        tool(name="f", timeout=timeout)(lambda: None)

"""Any object at all has a description: legible, within its room, the same each time, without what is private."""

from __future__ import annotations

import asyncio
import base64
import collections
import dataclasses
import datetime  # noqa: ICN001
import decimal
import enum
import functools
import importlib.metadata
import json
import math
import pathlib
import re
import subprocess
import sys
import types
import unittest.mock
import uuid
import xmlrpc.client
from typing import Any

import IPython.display
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

import kimi_magic
from kimi_magic.context import describers, kinds
from kimi_magic.context.description import Description, Look
from kimi_magic.context.guard import Guard
from kimi_magic.context.registry import Describe
from kimi_magic.errors import CommandError
from kimi_magic.messages import Text

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

describe = Describe()


def guard() -> Guard:
    found = Guard()
    found.hide(None, "ssn")
    return found


def look(room: int = 12_000, **more: Any) -> Look:
    return Look(guard(), room=room, **more)


def text(obj: object, room: int = 12_000, **more: Any) -> str:
    return kinds.describe(obj, look(room, **more)).text


def brief(obj: object) -> str:
    return kinds.brief(obj, look())


class Colour(enum.Enum):
    RED = 1


class Named(str, enum.Enum):  # noqa: UP042  # what people have
    A = "a"


@dataclasses.dataclass
class Point:
    """A point."""

    x: int
    ssn: str = "123-45-6789"
    cache: list[int] = dataclasses.field(default_factory=lambda: [9] * 99, repr=False)


class Plain:
    """A plain thing.

    With more to say.
    """

    def __init__(self) -> None:
        self.size = 3
        self.ssn = "123-45-6789"
        self._own = 1

    def grow(self, by: int) -> None:
        """Grow."""


# Text and values


def test_a_text_is_itself_and_what_cannot_be_seen_is_made_visible() -> None:
    found = kinds.describe("one\n\ttwo 你好 👩\u200d🚀 \x1b[31m \u202e \ud800\r\n", look())
    assert (found.kind, found.text) == ("text", "one\n\ttwo 你好 👩\u200d🚀 \\x1b[31m \\u202e \\ud800\n")


def test_a_long_text_loses_its_middle_and_says_so() -> None:
    found = kinds.describe("a" * 5_000 + "z" * 5_000, look(1_000))
    assert len(found.text) <= 1_000
    assert "characters left out" in found.text
    assert (found.text[0], found.text[-1], found.shape) == ("a", "z", "10,000 characters")
    assert found.omitted


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (5, "int", "5"),
        (True, "bool", "True"),
        (None, "NoneType", "None"),
        (1.5, "float", "1.5"),
        (math.nan, "float", "nan"),
        (2j, "complex", "2j"),
        (Colour.RED, "Colour", "Colour.RED"),
        (Named.A, "Named", "Named.A"),
        (datetime.date(2020, 1, 2), "date", "2020-01-02"),
        (decimal.Decimal("1.10"), "Decimal", "1.10"),
        (uuid.UUID(int=5), "UUID", "00000000-0000-0000-0000-000000000005"),
        (range(5), "range", "range(0, 5)"),
        pytest.param(10**5_000, "int", "an integer of 16,610 bits", id="huge"),
        (..., "ellipsis", "Ellipsis"),
    ],
)
def test_values_are_written_as_python_writes_them(value: object, kind: str, words: str) -> None:
    found = kinds.describe(value, look())
    assert (found.kind, found.text) == (kind, words)


# Containers


def test_a_small_container_is_shown_whole_as_json() -> None:
    value = {"b": [1, 2.5, None, True], "a": {"x": "y\n\u202e"}, 3: (), "d": datetime.date(2020, 1, 1)}
    found = kinds.describe(value, look())
    assert json.loads(found.text) == {
        "b": [1, 2.5, None, True],
        "a": {"x": "y\n\u202e"},
        "3": [],
        "d": "2020-01-01",
    }
    assert (found.kind, found.shape, found.omitted) == ("dict", "4 keys", "")
    assert "\\u202e" in found.text
    assert "\n" not in found.text


def test_a_long_list_is_its_ends_and_a_count() -> None:
    found = kinds.describe(list(range(10_000)), look())
    shown = json.loads(found.text)
    assert shown[:3] == [0, 1, 2]
    assert shown[-3:] == [9_997, 9_998, 9_999]
    (words,) = [item for item in shown if isinstance(item, str)]
    left = 10_000 - (len(shown) - 1)
    assert words == f"… {left:,} more items …"
    assert found.omitted == f"{left:,} items"
    assert found.shape == "10,000 items"


def test_all_is_shown_where_all_is_asked_for_and_fits() -> None:
    assert json.loads(text(list(range(2_000)), full=True)) == list(range(2_000))


def test_a_large_dict_keeps_its_order_and_its_ends() -> None:
    shown = json.loads(text({f"k{n}": {"v": "x" * 500} for n in range(9_999, 0, -1)}, 2_000))
    keys = list(shown)
    assert keys[0] == "k9999"
    assert keys[-1] == "k1"
    assert "more keys" in shown["…"]


def test_what_lies_deep_is_counted() -> None:
    value: list[Any] = []
    for _ in range(3_000):
        value = [value, 1]
    found = kinds.describe(value, look())
    assert "list, 2 items" in found.text
    assert found.omitted == "what lies deeper"


def test_a_cycle_is_named() -> None:
    value: dict[str, Any] = {"a": 1}
    value["self"] = [value]
    twice = [1]
    assert json.loads(text(value)) == {"a": 1, "self": ["<cycle>"]}
    assert json.loads(text([twice, twice])) == [[1], [1]]


def test_a_long_string_in_a_container_is_cut_in_its_middle() -> None:
    shown = json.loads(text({"a": "b" * 9_000 + "e", "n": 1}, 1_000))
    assert shown["n"] == 1
    assert re.fullmatch(r"b+\[… [\d,]+ characters …\]b+e", shown["a"])


def test_tables_and_objects_in_containers_are_mentioned() -> None:
    shown = json.loads(text({"t": pd.DataFrame({"a": [1, 2]}), "o": Plain(), "f": len, "c": Colour.RED}))
    assert "DataFrame" in shown["t"]
    assert shown["o"] == "Plain object"
    assert shown["f"].startswith("function len(")
    assert shown["c"] == "Colour.RED"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (collections.deque([1, 2]), [1, 2]),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        ({"b", "c", "a"}, ["a", "b", "c"]),
        ({1: 2}.keys(), [1]),
        ({(1, "a"): 2}, {"(1, 'a')": 2}),
        (collections.namedtuple("Row", "a b")(1, 2), {"a": 1, "b": 2}),  # noqa: PYI024
        ([np.int64(3), np.float64(1.5), np.str_("a"), math.inf], [3, 1.5, "a", math.inf]),
        ([np.datetime64(1, "ns"), np.timedelta64(5, "ns")], ["1970-01-01T00:00:00.000000001", "5 nanoseconds"]),
        (types.SimpleNamespace(a=1), {"a": 1}),
    ],
)
def test_other_containers_are_json_too(value: object, shown: object) -> None:
    assert json.loads(text(value)) == shown


def test_an_ordered_dict_keeps_the_order_it_was_given() -> None:
    value = collections.OrderedDict(a=1, b=2)
    value.move_to_end("a")
    assert list(json.loads(text(value))) == ["b", "a"]


def test_a_subclass_cannot_lie_about_its_items() -> None:
    class Lying(dict):  # type: ignore[type-arg]
        def items(self) -> Any:
            raise RuntimeError

        def __iter__(self) -> Any:
            raise RuntimeError

        def __len__(self) -> int:
            raise RuntimeError

    class Endless(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            while True:
                yield 1

    assert json.loads(text(Lying(a=1))) == {"a": 1}
    assert json.loads(text(Endless([1, 2]))) == [1, 2]


# Records


def test_a_dataclass_shows_its_fields_and_what_is_left_out_of_its_repr_stays_out() -> None:
    found = kinds.describe(Point(1), look())
    assert (found.kind, found.shape, found.withheld) == ("Point", "3 fields", ("ssn",))
    assert json.loads(found.text) == {"x": 1, "ssn": "[private: ssn]", "cache": "<left out of its repr>"}
    assert json.loads(text([Point(2)]))[0]["<type>"] == "Point"


def test_a_pydantic_model_keeps_its_secrets() -> None:
    class Account(BaseModel):
        name: str
        token: SecretStr
        inner: str = Field("hidden-value", repr=False)
        point: Point

    shown = text(Account(name="n", token="hunter-two-9", point=Point(1)))  # type: ignore[arg-type]
    assert json.loads(shown)["name"] == "n"
    assert json.loads(shown)["point"]["ssn"] == "[private: ssn]"
    assert "hunter" not in shown
    assert "hidden-value" not in shown


def test_an_attrs_object_is_a_record() -> None:
    import attrs

    made = attrs.make_class("Made", {"a": attrs.field(), "b": attrs.field(repr=False)}, slots=True)
    assert json.loads(text(made(1, "x"))) == {"a": 1, "b": "<left out of its repr>"}


# What is private


@pytest.mark.parametrize(
    "value",
    [
        {"ssn": "123-45-6789"},
        [{"ssn": "123-45-6789", "a": n} for n in range(100)],
        {"ssn": ["123-45-6789"] * 5},
        {"a": {"b": [{"ssn": {"deep": "123-45-6789"}}]}},
        {("x", "ssn"): "123-45-6789"},
        collections.namedtuple("Row", "ssn a")("123-45-6789", 1),  # noqa: PYI024
        types.SimpleNamespace(inner={"ssn": "123-45-6789"}),
        Point(1),
        Plain(),
        {"p": [Point(1)]},
        functools.partial(print, ssn="123-45-6789"),
    ],
)
@pytest.mark.parametrize("room", [400, 12_000])
def test_the_value_of_a_private_key_stays_at_any_depth(value: object, room: int) -> None:
    assert "6789" not in text(value, room) + brief(value)


def test_values_of_a_private_column_are_known_without_their_name() -> None:
    frame = pd.DataFrame({"ssn": [f"123-45-{n:04}" for n in range(50)], "age": range(50)})
    own = Guard()
    own.hide(frame, "ssn")
    for value in (frame.ssn.tolist(), {"renamed": frame.ssn.tolist()}, set(frame.ssn), dict.fromkeys(frame.ssn, 1)):
        assert "123-45" not in kinds.describe(value, Look(own)).text
        assert "123-45" not in kinds.brief(value, Look(own))
    assert "123-45" not in kinds.describe("x" * 500 + "123-45-0007" + "y" * 500, Look(own, room=700)).text


def test_what_cannot_be_read_is_not_shown_by_its_repr_where_that_has_values() -> None:
    @dataclasses.dataclass
    class Broken:
        ssn: str

        def __getattribute__(self, name: str) -> Any:
            if name == "__class__":
                raise RuntimeError
            return object.__getattribute__(self, name)

    assert "6789" not in text(Broken("123-45-6789")) + brief(Broken("123-45-6789"))


# Objects


def test_a_plain_object_shows_its_attributes() -> None:
    found = kinds.describe(Plain(), look())
    assert found.text.splitlines() == [
        "Plain object: A plain thing.",
        "  size = int 3",
        "  ssn = [private: ssn]",
        "methods: grow",
    ]
    assert found.withheld == ("ssn",)


def test_slots_are_attributes_and_many_are_counted() -> None:
    class Slotted:
        __slots__ = ("a", "b")

        def __init__(self) -> None:
            self.a = 1

    assert "  a = int 1" in text(Slotted())
    many = Plain()
    many.__dict__.update({f"n{n}": n for n in range(1_000)})
    assert "… 962 more attributes …" in text(many)


class Bad:
    def __repr__(self) -> str:
        raise ValueError("no")


class Number:
    def __repr__(self) -> str:
        return 5  # type: ignore[return-value]


class Endless:
    def __repr__(self) -> str:
        return repr(self)


class Huge:
    def __repr__(self) -> str:
        return "x" * 10**8


class Exiting:
    def __repr__(self) -> str:
        sys.exit(3)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Bad(), "<Bad, whose repr failed: ValueError>"),
        (Number(), "<Number, whose repr failed: TypeError>"),
        (Endless(), "<Endless, whose repr failed: RecursionError>"),
        (Exiting(), "<Exiting, whose repr failed: SystemExit>"),
        (Huge(), "<Huge, whose repr has 100,000,000 characters>"),
    ],
)
def test_a_repr_that_fails_is_told(value: object, words: str) -> None:
    assert text(value) == brief(value) == words
    assert json.loads(text([value])) == [words]


class Meta(type):
    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError(name)


class Hostile(metaclass=Meta):
    __module__ = None  # type: ignore[assignment]

    @property
    def __class__(self) -> Any:
        raise RuntimeError

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise KeyError


@pytest.mark.parametrize(
    "make",
    [
        Hostile,
        lambda: Hostile,
        lambda: [Hostile()],
        lambda: {Hostile(): Hostile()},
        unittest.mock.MagicMock,
        lambda: unittest.mock.MagicMock(spec=dict),
        lambda: xmlrpc.client.ServerProxy("http://localhost:1"),
        lambda: (n for n in range(3)),
        lambda: iter([1]),
        lambda: memoryview(b"abc"),
        object,
        type("a\nb|`", (), {}),
        lambda: b"\xff" * 1_000,
        lambda: NotImplemented,
        lambda: types.MappingProxyType({"a": 1}),
    ],
)
def test_any_object_has_a_description_and_a_line(make: Any) -> None:
    found = kinds.describe(make(), look(500))
    assert 0 < len(found.text) <= 500
    assert "0x" not in found.text
    line = brief(make())
    assert line
    assert "\n" not in line + found.kind


def test_looking_at_an_iterator_does_not_consume_it() -> None:
    numbers = (n for n in range(3))
    text([numbers])
    assert list(numbers) == [0, 1, 2]


def test_a_keyboard_interrupt_passes() -> None:
    class Stopped:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        text([Stopped()])


def test_the_same_values_are_the_same_text_in_another_process() -> None:
    code = (
        "import unittest.mock, threading, functools\n"
        "from kimi_magic import describe\n"
        "class Foo:\n  def __init__(self): self.a = {'x', 'y', 'zz'}\n"
        "class Own:\n  def __repr__(self): return object.__repr__(self)\n"
        "f = lambda: 1\n"
        "values = [Foo(), Own(), {'b', 'a', 'cc'}, {frozenset(['p', 'q', 'r'])}, f, unittest.mock.MagicMock(), [Foo()],"
        " threading.current_thread(), {('k', frozenset('abc')): Own()}, object(), functools.partial(f, Foo())]\n"
        "print(*(describe(v).text for v in values), sep='\\n')"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": str(seed)}
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(runs) == 1
    assert b"0x" not in runs.pop()


# Any value at all


class Odd:
    """Equal values have equal reprs, some of which fail."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __hash__(self) -> int:
        return self.seed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Odd) and self.seed == other.seed

    def __repr__(self) -> str:
        if self.seed % 3 == 0:
            raise ValueError
        return f"Odd({self.seed})\n\x1b[0m|`"


SECRET = "zq-private-value-zq"
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=200)
    | st.binary(max_size=20)
    | st.dates()
    | st.decimals()
    | st.builds(Odd, st.integers(0, 9))
    | st.sampled_from([Colour.RED, Named.A, len, int, Plain, "x" * 20_000])
    | st.builds(lambda: 10**5_000)
    | st.just(pathlib.PurePosixPath("a/b"))
)
keys = st.text(max_size=5) | st.integers() | st.builds(Odd, st.integers(0, 9)) | st.tuples(st.text(max_size=3))
PRIVATE = st.sampled_from([{"ssn": SECRET}, [{"ssn": SECRET, "a": 1}], {"ssn": [SECRET] * 3}, {("ssn", 1): SECRET}])


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(inner, max_size=30)
        | st.dictionaries(keys, inner, max_size=10)
        | st.tuples(inner, inner)
        | st.builds(collections.deque, st.lists(inner, max_size=4))
        | st.frozensets(st.text(max_size=4) | st.builds(Odd, st.integers(0, 9)), max_size=9)
        | st.builds(Point, inner)
        | PRIVATE
    )


values = st.recursive(leaves | PRIVATE, containers, max_leaves=40)
SHARED = look(600)


@settings(max_examples=400, deadline=None)
@given(value=values, room=st.sampled_from([400, 600, 3_000, 12_000]))
def test_any_value_is_described_within_its_room_and_nothing_private_appears(value: Any, room: int) -> None:
    found = kinds.describe(value, look(room))
    assert len(found.text) <= room
    assert SECRET not in found.text
    line = kinds.brief(value, look(room))
    assert SECRET not in line
    assert "\n" not in line
    assert len(line) <= 300
    found.text.encode()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_equal_values_are_equal_texts(data: st.DataObject) -> None:
    import copy

    value = data.draw(values)
    assert text(value, 2_000) == text(copy.deepcopy(value), 2_000)


@settings(max_examples=200, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text('xyzß\n"\\\u202e'), inner),
        max_leaves=20,
    ).filter(lambda value: isinstance(value, list | dict))
)
def test_what_fits_is_json_that_says_the_same(value: Any) -> None:
    found = Describe()(value, full=True, room=200_000)
    assert json.loads(found.text) == value


# Functions, classes, modules


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def inner(*given: Any) -> Any:
        return function(*given)

    return inner


@decorated
def sample(x: int, *, y: str = "z") -> str:
    """Say something.

    At length.
    """
    return f"{x}{y}"  # the end


def test_a_function_is_its_source_with_its_decorators() -> None:
    found = kinds.describe(sample, look())
    assert found.kind == "function"
    assert found.text.startswith("@decorated\ndef sample(x: int")
    assert found.text.endswith("# the end")
    assert found.shape == "7 lines"


def test_other_callables_lead_to_their_source() -> None:
    assert text(functools.lru_cache(sample)).startswith("@decorated")
    partial = text(functools.partial(sample, 5, y="k"))
    assert partial.startswith('functools.partial of sample with (int 5, y=str "k")\n@decorated')
    assert text(Plain().grow).startswith("# a method bound to a Plain\ndef grow(self, by: int)")
    assert kinds.describe(Plain().grow, look()).kind == "method"


def test_a_builtin_is_its_signature_and_docstring() -> None:
    assert text(len).splitlines() == ["len(obj, /)", "    Return the number of items in a container."]
    assert text(np.add).startswith("add(x1, x2, /")


def test_a_class_is_its_source_or_where_that_is_long_its_outline() -> None:
    assert text(Plain).startswith('class Plain:\n    """A plain thing.')
    found = kinds.describe(pd.DataFrame, look())
    assert found.kind == "class"
    assert "bodies" in found.omitted
    assert "class DataFrame(" in found.text
    assert len(found.text) <= 12_000


def test_a_module_is_its_public_names_and_nothing_is_imported_for_it() -> None:
    code = (
        "import sys, xml, kimi_magic as r; r.describe(1); before = set(sys.modules);"
        "print(r.describe(xml).text); import json; found = r.describe(json).text;"
        "print(found); print([m for m in set(sys.modules) - before if m.startswith(('xml', 'json.tool'))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "module json 2.0.9" in out
    assert "  dumps(obj, *, skipkeys=False" in out
    assert "  JSONEncoder: Extensible JSON" in out
    assert out.endswith("[]\n")


def test_a_lazy_module_is_not_woken() -> None:
    lazy = types.ModuleType("lazy", "Is lazy.\n\nMore.")
    lazy.__dict__.update(__getattr__=pytest.fail, __all__=["heavy", "light"], light=sample, __version__="1.2")
    shown = text(lazy)
    assert shown.startswith("module lazy 1.2\nIs lazy.\n")
    assert "other names: heavy" in shown
    assert "light(x: int, *, y: str = 'z') -> str: Say something." in shown


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (sample, "function sample(x: int, *, y: str = 'z') -> str"),
        (Plain, "class Plain()"),
        (json, "module json 2.0.9"),
        ("abc", 'str "abc"'),
        ([1, 2], "list, 2 items: [1, 2]"),
        (Point(1), 'Point, 3 fields: {"x": 1, "ssn": "[private: ssn]", "cache": "<left out of its repr>"}'),
        (ValueError("no"), "ValueError: no"),
        (None, "None"),
        (5, "int 5"),
    ],
)
def test_a_line_says_what_it_is(value: object, line: str) -> None:
    assert brief(value) == line


def test_an_exception_is_described_as_an_error() -> None:
    found = kinds.describe(ValueError("no"), look())
    assert (found.kind, found.text) == ("error", "ValueError: no")


# Models


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    n = np.arange(40)
    return pd.DataFrame({"age": n * 1.0, "income": (n * 7 % 11) * 1.0, "ssn": n % 5, "y": np.sin(n)})


def test_an_estimator_shows_parameters_and_what_it_learned(people: pd.DataFrame) -> None:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.5)
    assert text(model) == "LogisticRegression(C=0.5), not fitted"
    found = kinds.describe(model.fit(people[["age", "income"]], people.y > 0), look())
    assert (found.kind, found.shape) == ("model", "fitted on 2 features")
    assert "feature_names_in_: age, income" in found.text
    assert re.search(r"^coef_: ", found.text, re.MULTILINE)
    assert brief(model) == "LogisticRegression(C=0.5), fitted on 2 features"


def test_a_pipeline_shows_its_steps_and_hides_private_features(people: pd.DataFrame) -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    coded = people.assign(ssn=people.ssn.map(lambda n: f"secret-{n}"))
    steps = [("scaled", StandardScaler(), ["age", "income"]), ("coded", OneHotEncoder(), ["ssn"])]
    model = make_pipeline(ColumnTransformer(steps), LinearRegression()).fit(coded.drop(columns="y"), coded.y)
    found = kinds.describe(model, look())
    assert "step columntransformer:" in found.text
    assert "  step scaled on age, income:" in found.text
    assert "mean_: " in found.text
    assert "step coded on [private]:" in found.text
    assert "secret-" not in found.text
    assert "ssn" not in found.text
    assert found.withheld == ("ssn",)


def test_a_statsmodels_summary_has_no_clock_and_no_private_names(people: pd.DataFrame) -> None:
    from statsmodels.formula.api import ols

    found = kinds.describe(ols("y ~ age + C(ssn)", people).fit(), look())
    assert found.kind == "model"
    assert "R-squared" in found.text
    assert "\nage " in found.text
    assert not re.search(r"Date:|Time:|\d\d:\d\d:\d\d", found.text)
    assert "ssn" not in found.text
    assert found.text.count("[private]") == 4


def test_a_results_object_without_a_summary_still_has_a_description(people: pd.DataFrame) -> None:
    from statsmodels.api import OLS

    assert "OLS" in text(OLS(people.y, people[["age"]]))


def test_a_network_is_its_layers_and_a_count() -> None:
    torch = pytest.importorskip("torch")
    assert text(torch.nn.Linear(2, 3)).endswith("9 parameters")


# What an object or a package says of a class


class Llm:
    def _repr_llm_(self) -> str:
        return "an Llm"


class Failing:
    def _repr_llm_(self) -> str:
        raise ValueError("oh")

    def __repr__(self) -> str:
        return "Failing()"


class Bundle:
    def _ai_repr_(self, **how: object) -> Any:
        return {"text/plain": f"a bundle {how}", "image/png": base64.b64encode(PIXEL).decode()}


class PlainBundle:
    def _ai_repr_(self) -> Any:
        return {"text/plain": "a bundle without keywords"}


class OfNotebooks:
    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002
        return {"text/html": "<b>bundled</b>", "text/plain": f"bundled {object()}"}


class OfMarkdown:
    def _repr_markdown_(self) -> str:
        return "# head"


class OfLatex:
    def _repr_latex_(self) -> str:
        return "$x$"


class Silent:
    def _repr_markdown_(self) -> None:
        return None

    def _repr_latex_(self) -> str:
        raise ValueError


class AsyncBundle:
    async def _ai_repr_(self, **_: object) -> Any:
        return {"text/markdown": "*ready*"}


class Waiting:
    async def _ai_repr_(self, **_: object) -> Any:
        await asyncio.sleep(0)


class Png:
    def _repr_png_(self) -> bytes:
        return PIXEL


class Measured:
    pass


class MeasuredMore(Measured):
    pass


def test_an_object_says_what_it_is_to_a_model() -> None:
    found = kinds.describe(Llm(), look())
    assert (found.kind, found.text) == ("Llm", "an Llm")
    assert brief(Llm()) == "Llm an Llm"
    assert text(Llm).startswith("class Llm:")


def test_a_hook_that_fails_is_noted_and_the_next_way_taken() -> None:
    assert text(Failing()) == "Failing()\n[_repr_llm_ failed: ValueError: oh]"
    assert "it waits for something" in text(Waiting())
    assert text(Waiting()).startswith("Waiting object")


def test_a_mime_bundle_is_text_and_picture() -> None:
    found = kinds.describe(Bundle(), look())
    assert found.text == "a bundle {'multimodal': True}"
    assert [image.media_type for image in found.images] == ["image/png"]
    assert text(AsyncBundle()) == "*ready*"
    assert text(PlainBundle()) == "a bundle without keywords"


@pytest.mark.parametrize("name", ["HTML", "Markdown", "Latex", "Math", "Javascript", "Pretty", "Code"])
def test_what_ipython_displays_is_described_by_its_data(name: str) -> None:
    found = kinds.describe(getattr(IPython.display, name)("<b>of 123-45-6789\x1b</b>"), look())
    assert (found.kind, found.text) == (name, "<b>of 123-45-6789\\x1b</b>")


def test_the_data_of_json_is_json() -> None:
    assert text(IPython.display.JSON({"a": [1, "é"]})) == '{"a": [1, "é"]}'


def test_an_object_without_a_repr_says_what_it_shows_in_a_notebook() -> None:
    assert text(OfNotebooks()) == "bundled <object object>"
    assert text(OfMarkdown()) == "# head"
    assert text(OfLatex()) == "$x$"
    assert text(Silent()).startswith("Silent object")


def test_what_a_notebook_shows_of_private_attributes_is_not_described() -> None:
    row = OfMarkdown()
    row.ssn = "123-45-6789"  # type: ignore[attr-defined]
    assert "[private: ssn]" in text(row)


def test_a_damaged_picture_is_noted_and_the_text_stays() -> None:
    class Damaged:
        def _ai_repr_(self, **_: object) -> Any:
            return {"text/plain": "some words", "image/png": base64.b64encode(PIXEL[:30]).decode()}

    found = kinds.describe(Damaged(), look())
    assert found.text.startswith("some words")
    assert found.images == ()


def test_a_table_that_cannot_be_read_is_not_shown_by_its_own_repr() -> None:
    class Broken(pd.DataFrame):
        @property
        def columns(self) -> Any:
            raise OSError("gone")

        def __len__(self) -> int:
            raise OSError("gone")

        def __repr__(self) -> str:
            return "ssn 123-45-6789"

    broken = Broken({"ssn": ["123-45-6789"]})
    for shown in (text(broken), brief(broken), text([broken])):
        assert "6789" not in shown
        assert "Broken" in shown


def test_an_object_that_only_draws_itself_is_its_picture() -> None:
    found = kinds.describe(Png(), look())
    assert found.kind == "Png"
    assert len(found.images) == 1


def test_a_registered_describer_comes_first_and_may_give_anything() -> None:
    frame = pd.DataFrame({"a": [1], "ssn": ["123-45-6789"]})
    describe.register(Measured, lambda _: frame)
    try:
        found = kinds.describe(MeasuredMore(), look())
        assert found.kind == "table"
        assert found.withheld == ("ssn",)
        describe.register(MeasuredMore, lambda _, how: Description.of("measure", "m" * how.room * 2))
        found = kinds.describe(MeasuredMore(), look(500))
        assert (found.kind, len(found.text) <= 500) == ("measure", True)
        describe.register(MeasuredMore, lambda _: 1 / 0)
        assert "its describer failed: ZeroDivisionError" in text(MeasuredMore())
    finally:
        describe.unregister(Measured)
        describe.unregister(MeasuredMore)
    with pytest.raises(CommandError, match="No describer"):
        describe.unregister(Measured)


def test_a_describer_can_be_registered_by_name_and_as_a_decorator() -> None:
    name = f"{__name__}.Measured"

    @describe.register(name)
    def measured(_: object) -> str:
        return "by name, 123-45-6789"

    try:
        assert text(MeasuredMore()) == measured(None)
        assert brief(Measured()) == "Measured by name, 123-45-6789"
    finally:
        describe.unregister(name)
    with pytest.raises(CommandError):
        describe.register("nodots", measured)
    with pytest.raises(CommandError):
        describe.register(Measured, 5)  # type: ignore[type-var]


def test_a_name_by_which_a_library_gives_its_class_out_is_enough() -> None:
    describe.register("pandas.DataFrame", lambda frame: f"{len(frame)} rows of mine")
    try:
        assert text(pd.DataFrame({"a": [1, 2]})) == "2 rows of mine"
    finally:
        describe.unregister("pandas.DataFrame")


def package(folder: pathlib.Path, target: str) -> None:
    """Install a package of one module beside its metadata, as pip does."""
    (folder / "thinglib.py").write_text(
        "class Thing:\n    pass\n\ndef of_thing(thing):\n    return 'a Thing, from its package'\n"
    )
    info = folder / "thinglib-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thinglib\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{describers.GROUP}]\nthinglib.Thing = {target}\n")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("thinglib:of_thing", "a Thing, from its package"),
        (
            "thinglib:missing",
            "CommandError: The describer of thinglib.Thing, from the package thinglib, cannot be load",
        ),
    ],
)
def test_a_package_describes_its_own_objects(tmp_path: pathlib.Path, target: str, said: str) -> None:
    package(tmp_path, target)
    code = (
        "import sys; from kimi_magic import describe\n"
        "from pathlib import PurePath; describe([1]); describe(PurePath('a')); assert 'thinglib' not in sys.modules\n"
        "import thinglib\n"
        "try: print(describe(thinglib.Thing()).text)\n"
        "except Exception as error: print(type(error).__name__ + ':', error)"
    )
    root = str(pathlib.Path(kimi_magic.__file__).parent.parent)
    path = {"PYTHONPATH": f"{tmp_path}{':' if sys.platform != 'win32' else ';'}{root}"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path).stdout
    assert out.startswith(said)


def test_no_entry_points_means_no_describers() -> None:
    assert not importlib.metadata.entry_points(group=describers.GROUP)
    assert describers.find(Measured) is None


def test_the_public_face_uses_its_guard() -> None:
    own = Describe(guard)
    assert own({"ssn": 5}).withheld == ("ssn",)
    assert isinstance(own("x").parts[0], Text)

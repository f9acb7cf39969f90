# ruff: noqa: A002, ARG005, FBT001, FBT002, PLC2401, PYI061, UP006, UP007, UP035, UP042, UP045
"""What people write: over 60 signatures of functions and over 40 types of replies, each with an example.

The rules that are off are those against old spellings and unused arguments: people write both.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Dict,
    Generic,
    List,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)
from uuid import UUID

import pydantic
import typing_extensions
from pydantic import BaseModel, ConfigDict, Field, RootModel

UTC = dt.timezone.utc  # noqa: UP017  # the old spelling
DAY = dt.date(2026, 2, 3)
NOON = dt.datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
KEY = UUID("12345678-1234-5678-1234-567812345678")


class Mood(enum.Enum):
    """How it sounds."""

    GOOD = "good"
    BAD = "bad"


class Unit(str, enum.Enum):
    METRE = "m"
    FOOT = "ft"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Person(BaseModel):
    """A person."""

    name: str = Field(description="the whole name")
    age: Annotated[int, Field(ge=0, le=150)]
    email: str | None = None
    tags: list[str] = []


class Address(BaseModel):
    street: str
    city: str = "Berlin"
    zip: Annotated[str, Field(pattern=r"^[0-9]{5}$")]


class Customer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    home: Address
    work: Address | None = Field(None, description="where they work")
    mood: Mood
    other: Mood = Field(Mood.BAD, description="the other mood")


class Node(BaseModel):
    """A tree."""

    name: str
    children: list[Node] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    breed: str


class Aliased(BaseModel):
    first: int = Field(alias="First Value")


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")

    known: int


class Names(RootModel[list[str]]):
    pass


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    when: dt.datetime
    count: int


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]
    more: bool


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """From here to there."""

    start: Point
    end: Point
    names: list[str] = dataclasses.field(default_factory=list)


@pydantic.dataclasses.dataclass
class Checked:
    even: Annotated[int, Field(multiple_of=2)]


class Film(TypedDict):
    title: str
    year: int
    rating: typing.NotRequired[float]


class Shelf(TypedDict, total=False):
    films: typing.Required[list[Film]]
    label: str


class Newer(typing_extensions.TypedDict):
    key: str


class Pair(NamedTuple):
    left: int
    right: str = "r"


Identity = NewType("Identity", int)
Rating = Annotated[int, Field(ge=1, le=5, description="stars")]

OUTPUTS: dict[str, tuple[Any, Any]] = {
    "str": (str, "a “word”\n"),
    "int": (int, -7),
    "float": (float, 1.5),
    "bool": (bool, True),
    "date": (dt.date, DAY),
    "datetime": (dt.datetime, NOON),
    "time": (dt.time, dt.time(12, 30)),
    "timedelta": (dt.timedelta, dt.timedelta(days=1, seconds=90)),
    "Decimal": (Decimal, Decimal("12.50")),
    "UUID": (UUID, KEY),
    "bytes": (bytes, b"abc"),
    "Any": (Any, {"a": [1, None]}),
    "Enum": (Mood, Mood.GOOD),
    "str Enum": (Unit, Unit.FOOT),
    "IntEnum": (Level, Level.HIGH),
    "Literal": (Literal["yes", "no"], "no"),
    "Literal of several kinds": (Literal["yes", 1, None], 1),
    "Optional": (Optional[int], None),
    "Union": (Union[int, str], "x"),
    "new union": (int | list[int], [1, 2]),
    "NewType": (Identity, 4),
    "Annotated": (Rating, 5),
    "constrained text": (Annotated[str, Field(min_length=2, max_length=5)], "abc"),
    "pattern": (Annotated[str, Field(pattern=r"^[A-Z]{3}-[0-9]+$")], "ABC-12"),
    "pattern without anchors": (Annotated[str, Field(pattern=r"[A-Z]{3}")], "ABC"),
    "list": (list[str], ["a", "b"]),
    "typing List": (List[int], [1]),
    "Sequence": (Sequence[int], [1, 2]),
    "Iterable": (Iterable[int], [3]),
    "list of one to three": (Annotated[list[int], Field(min_length=1, max_length=3)], [1]),
    "set": (set[int], {1, 2}),
    "frozenset": (frozenset[str], frozenset("ab")),
    "tuple of two": (tuple[int, str], (1, "a")),
    "tuple of many": (tuple[float, ...], (1.0, 2.5)),
    "dict": (dict[str, int], {"a": 1}),
    "typing Dict": (Dict[str, List[int]], {"a": [1]}),
    "dict by int": (dict[int, str], {1: "a"}),
    "dict by choices": (dict[Literal["a", "b"], int], {"a": 1, "b": 2}),
    "dict of models": (dict[str, Address], {"x": Address(street="s", zip="12345")}),
    "bare list": (list, [1, "a"]),
    "bare dict": (dict, {"a": 1}),
    "model": (Person, Person(name="Ada", age=36)),
    "nested model": (Customer, Customer(home=Address(street="s", zip="10115"), mood=Mood.GOOD)),
    "recursive model": (Node, Node(name="a", children=[Node(name="b")])),
    "recursive rows": (list[Node], [Node(name="a", children=[Node(name="b", children=[])])]),
    "rows of models": (list[Person], [Person(name="Ada", age=36, tags=["x"]), Person(name="Bob", age=0)]),
    "optional model": (Person | None, Person(name="Ada", age=36)),
    "union of models": (Cat | Dog, Dog(kind="dog", breed="pug")),
    "told apart": (Annotated[Cat | Dog, Field(discriminator="kind")], Cat(kind="cat", lives=9)),
    "rows of a union": (list[Cat | Dog], [Cat(kind="cat", lives=9), Dog(kind="dog", breed="pug")]),
    "alias": (Aliased, Aliased(**{"First Value": 1})),
    "other keys": (Loose, Loose(known=1, other="x")),
    "root model": (Names, Names(["a"])),
    "strict model": (Strict, Strict(when=NOON, count=1)),
    "generic model": (Page[Point], Page[Point](items=[Point(1, 2)], more=False)),
    "dataclass": (Point, Point(1.0, 2.0)),
    "nested dataclass": (Line, Line(Point(0.0), Point(1.0, 2.0), ["a"])),
    "rows of dataclasses": (list[Point], [Point(1.0, 2.0)]),
    "pydantic dataclass": (Checked, Checked(even=4)),
    "TypedDict": (Film, {"title": "Solaris", "year": 1972, "rating": 8.1}),
    "TypedDict without a key": (Film, {"title": "Solaris", "year": 1972}),
    "TypedDict in another": (Shelf, {"films": [{"title": "Solaris", "year": 1972}], "label": "x"}),
    "rows of TypedDicts": (list[Film], [{"title": "Solaris", "year": 1972}]),
    "newer TypedDict": (Newer, {"key": "k"}),
    "NamedTuple": (Pair, Pair(1, "x")),
    "rows of NamedTuples": (list[Pair], [Pair(1, "x"), Pair(2)]),
    "fields": ("name, age int", {"name": "Ada", "age": 36}),
    "fields with colons": ("name: str, born: date, tags: list[str]", {"name": "A", "born": DAY, "tags": ["x"]}),
    "fields of every kind": (
        "a str, b int, c float, d bool, e date, f datetime, g list[int], h x|y|z, i 1|2, j int?",
        {"a": "", "b": 1, "c": 0.5, "d": False, "e": DAY, "f": NOON, "g": [1], "h": "z", "i": 2, "j": None},
    ),
    "described fields": ("mood good|bad 'how it sounds', size? float \"in metres\"", {"mood": "bad", "size": 2.0}),
    "rows of fields": ("[name, age int?]", [{"name": "Ada", "age": None}]),
    "fields of the user's types": (
        "who Person, moods list[Mood]",
        {"who": Person(name="A", age=1), "moods": [Mood.BAD]},
    ),
    "choices": ("good|bad|so-so", "so-so"),
    "list of choices": ("[good|bad]", ["bad"]),
    "a name": ("Person", Person(name="Ada", age=36)),
    "a type in text": ("dict[str, list[Point] | None]", {"a": [Point(1.0)], "b": None}),
}
"""By name: a type, and a value of it."""

DUMPED: dict[str, Any] = {
    "NamedTuple": {"left": 1, "right": "x"},
    "rows of NamedTuples": [{"left": 1, "right": "x"}, {"left": 2, "right": "r"}],
    "alias": {"First Value": 1},
}
"""How values are written that pydantic alone would write otherwise."""


class Shop:
    """Sells things."""

    def find(self, name: str, at_most: Decimal | None = None) -> list[str]: ...
    @classmethod
    def opened(cls, year: int) -> Shop: ...
    @staticmethod
    def greet(loud: bool = False) -> str: ...
    def __call__(self, item: str, count: int = 1) -> None:
        """Buy."""

    async def wait(self, seconds: float) -> None: ...


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def nothing() -> None: ...
def plain(a, b): ...
def defaults(a, b=2, c="x"): ...
def text(q: str): ...
def number(n: int): ...
def real(x: float): ...
def flag(on: bool): ...
def day(when: dt.date): ...
def moment(when: dt.datetime, for_: dt.timedelta = dt.timedelta(0)): ...
def clock(at: dt.time): ...
def money(amount: Decimal): ...
def key(id: UUID): ...
def optional(a: Optional[int] = None): ...
def nullable(a: int | None): ...
def either(a: int | str): ...
def choice(a: Literal["x", "y"]): ...
def choice_default(a: Literal["x", "y"] = "y"): ...
def mood(m: Mood): ...
def mood_default(m: Mood = Mood.BAD): ...
def unit(u: Unit = Unit.METRE): ...
def level(n: Level): ...
def words(ws: list[str]): ...
def old_words(ws: List[str]): ...
def numbers(xs: Sequence[float]): ...
def stream(xs: Iterable[int]): ...
def unique(xs: set[int]): ...
def pair(p: tuple[int, str]): ...
def many(p: tuple[int, ...]): ...
def table(d: dict[str, int]): ...
def mapping(d: Mapping[str, list[int]]): ...
def anything(x: Any): ...
def model(p: Person): ...
def models(ps: list[Person]): ...
def nested(c: Customer | None = None): ...
def tree(n: Node): ...
def told_apart(pet: Annotated[Cat | Dog, Field(discriminator="kind")]): ...
def point(p: Point): ...
def line(at: Line, to: Point = Point(1.0)): ...  # noqa: B008  # people do
def film(f: Film): ...
def films(fs: list[Film]): ...
def named(p: Pair): ...
def new(i: Identity): ...
def stars(n: Rating): ...
def bounded(n: Annotated[int, Field(gt=0, lt=10)]): ...
def with_words(city: Annotated[str, "the city, in English"]): ...
def keyword(*, a: int, b: str = "b"): ...
def positional(a: int, b: int = 2, /, c: int = 3): ...
def mixed(a: int, /, b: int, *, c: int): ...
def star(*xs: float): ...
def star_after(a: int = 1, *xs: str, last: bool = False): ...
def starred(a: int, **more: Any): ...
def starred_points(p: Point, **more: Annotated[Point, "points by their names"]): ...
def connected(q: str, conn: Callable[[], None] = print): ...
def unspeakable(q: str, marker: Any = object()): ...  # noqa: B008
def infinite(x: float = float("inf")): ...
def odd_names(class_: str, _private: int, naïve: bool): ...
def shadows(json: str, schema: int, model_config: float): ...
def listed(xs: list[int] = [1, 2]): ...  # noqa: B006
def nested_lists(m: list[list[float]]): ...
def quoted(p: Person, q: Optional[Mood] = None): ...
async def fetch(url: str, tries: int = 3): ...
@decorated
def wrapped(a: int, b: str = "b"): ...
@functools.lru_cache
def cached(a: int): ...


def google(city: str, days: int = 3):
    """Look up the weather.

    It may rain.

    Args:
        city: Where, as people
            write it.
        days (int): How many: at most 7.

    Returns:
        The weather.
    """


def numpy(x, y=0):
    """Add.

    Parameters
    ----------
    x : float
        The first
        number.
    y : float, optional
        The second.

    Returns
    -------
    float
    """


def sphinx(a: int, b: str = ""):
    """Do it.

    :param a: how often
    :param str b: in which
        way
    :returns: nothing
    """


SHOP = Shop()
ADA = {"name": "Ada", "age": 36}
FILM = {"title": "Solaris", "year": 1972}

CALLS: list[tuple[Callable[..., Any], dict[str, Any], tuple[Any, ...], dict[str, Any]]] = [
    (nothing, {}, (), {}),
    (plain, {"a": 1, "b": [None]}, (1, [None]), {}),
    (defaults, {"a": "x"}, ("x",), {}),
    (defaults, {"a": "x", "c": "y"}, ("x",), {"c": "y"}),
    (text, {"q": "x"}, ("x",), {}),
    (number, {"n": 3}, (3,), {}),
    (real, {"x": 2}, (2.0,), {}),
    (flag, {"on": True}, (True,), {}),
    (day, {"when": "2026-02-03"}, (DAY,), {}),
    (moment, {"when": "2026-02-03T12:00:00Z", "for_": "PT90S"}, (NOON, dt.timedelta(seconds=90)), {}),
    (clock, {"at": "12:30:00"}, (dt.time(12, 30),), {}),
    (money, {"amount": "12.50"}, (Decimal("12.50"),), {}),
    (key, {"id": str(KEY)}, (KEY,), {}),
    (optional, {"a": None}, (None,), {}),
    (nullable, {"a": None}, (None,), {}),
    (either, {"a": "x"}, ("x",), {}),
    (choice, {"a": "x"}, ("x",), {}),
    (choice_default, {}, (), {}),
    (mood, {"m": "good"}, (Mood.GOOD,), {}),
    (mood_default, {"m": "good"}, (Mood.GOOD,), {}),
    (unit, {"u": "ft"}, (Unit.FOOT,), {}),
    (level, {"n": 2}, (Level.HIGH,), {}),
    (words, {"ws": ["a"]}, (["a"],), {}),
    (old_words, {"ws": ["a"]}, (["a"],), {}),
    (numbers, {"xs": [1, 2.5]}, ([1.0, 2.5],), {}),
    (stream, {"xs": [1, 2]}, ([1, 2],), {}),
    (unique, {"xs": [1, 2]}, ({1, 2},), {}),
    (pair, {"p": [1, "a"]}, ((1, "a"),), {}),
    (many, {"p": [1, 2, 3]}, ((1, 2, 3),), {}),
    (table, {"d": {"a": 1}}, ({"a": 1},), {}),
    (mapping, {"d": {"a": [1]}}, ({"a": [1]},), {}),
    (anything, {"x": {"a": None}}, ({"a": None},), {}),
    (model, {"p": ADA}, (Person(name="Ada", age=36),), {}),
    (models, {"ps": [ADA]}, ([Person(name="Ada", age=36)],), {}),
    (nested, {"c": None}, (None,), {}),
    (tree, {"n": {"name": "a", "children": [{"name": "b"}]}}, (Node(name="a", children=[Node(name="b")]),), {}),
    (told_apart, {"pet": {"kind": "cat", "lives": 9}}, (Cat(kind="cat", lives=9),), {}),
    (point, {"p": {"x": 1, "y": 2}}, (Point(1.0, 2.0),), {}),
    (line, {"at": {"start": {"x": 0}, "end": {"x": 1}}}, (Line(Point(0.0), Point(1.0)),), {}),
    (film, {"f": FILM}, (FILM,), {}),
    (films, {"fs": [FILM]}, ([FILM],), {}),
    (named, {"p": {"left": 1, "right": "x"}}, (Pair(1, "x"),), {}),
    (new, {"i": 4}, (4,), {}),
    (stars, {"n": 5}, (5,), {}),
    (bounded, {"n": 5}, (5,), {}),
    (with_words, {"city": "Rome"}, ("Rome",), {}),
    (keyword, {"a": 1}, (), {"a": 1}),
    (positional, {"a": 1, "c": 4}, (1, 2, 4), {}),
    (mixed, {"a": 1, "b": 2, "c": 3}, (1, 2), {"c": 3}),
    (star, {"xs": [1, 2.5]}, (1.0, 2.5), {}),
    (star_after, {"xs": ["a"]}, (1, "a"), {"last": False}),
    (starred, {"a": 1}, (1,), {}),
    (starred, {"a": 1, "b": 2, "more": [3]}, (1,), {"b": 2, "more": [3]}),
    (starred_points, {"p": {"x": 1, "y": 2}, "q": {"x": 3, "y": 4}}, (Point(1, 2),), {"q": Point(3, 4)}),
    (connected, {"q": "x"}, ("x",), {}),
    (unspeakable, {"q": "x", "marker": 1}, ("x", 1), {}),
    (infinite, {}, (), {}),
    (odd_names, {"class_": "a", "_private": 1, "naïve": True}, ("a", 1, True), {}),
    (shadows, {"json": "a", "schema": 1, "model_config": 2}, ("a", 1, 2.0), {}),
    (listed, {}, (), {}),
    (nested_lists, {"m": [[1, 2], []]}, ([[1.0, 2.0], []],), {}),
    (quoted, {"p": ADA, "q": "bad"}, (Person(name="Ada", age=36), Mood.BAD), {}),
    (fetch, {"url": "x", "tries": 1}, ("x", 1), {}),
    (wrapped, {"a": 1, "b": "c"}, (1, "c"), {}),
    (cached, {"a": 1}, (1,), {}),
    (google, {"city": "Rome"}, ("Rome",), {}),
    (numpy, {"x": 1, "y": 2}, (1, 2), {}),
    (sphinx, {"a": 1}, (1,), {}),
    (SHOP.find, {"name": "x", "at_most": "1.5"}, ("x", Decimal("1.5")), {}),
    (Shop.opened, {"year": 1999}, (1999,), {}),
    (Shop.greet, {"loud": True}, (True,), {}),
    (SHOP, {"item": "x"}, ("x",), {}),
    (SHOP.wait, {"seconds": 0.5}, (0.5,), {}),
    (Point, {"x": 1}, (1.0,), {}),
    (Person, ADA, (), ADA),
    (functools.partial(defaults, "a"), {"b": 1}, (1,), {}),
    (functools.partial(number, n=1), {}, (), {}),
    (lambda a, b=1: None, {"a": 1}, (1,), {}),
]
"""A function, arguments as a model writes them, and what the function is called with."""

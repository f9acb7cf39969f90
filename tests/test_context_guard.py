"""What the guard hides: secrets, private columns, and their values wherever they turn up."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import weakref
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import dask.dataframe as dd
import duckdb
import matplotlib as mpl
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimi_magic.context.guard import Guard
from kimi_magic.errors import CommandError
from tests.secrets_corpus import INNOCENT, KEYS, PLANTED, Planted

if TYPE_CHECKING:
    from collections.abc import Iterator

mpl.use("agg")
PLACEHOLDER = re.compile(r"\[(?:redacted|private): [^\[\]\n]+\]")

PEOPLE = pd.DataFrame(
    {
        "name": ["Ann Miller", "Bob O'Hara", "Zoë Kühn", "王小明", 'Max "Mad" Moe'],
        "ssn": ["078-05-1120", "219-09-9999", "457-55-5462", "123-45-6789", "987-65-4320"],
        "salary": [52000, 61250, 48113, 75501, 93999],
        "rate": [52013.123456789, 0.123456, 1234.5678, 98765.4321, 31.41592],
        "age": [34, 51, 28, 45, 62],
        "born": pd.to_datetime(["1980-02-29", "1971-11-05", "1999-07-30", "1965-03-17", "1954-12-24"]),
        "seen": pd.to_datetime(["2024-01-15 10:30:00"] * 4 + ["2024-03-01 08:15:30.250"], format="ISO8601"),
        "city": ["Berlin", "Paris", "Oslo", "Rome", "Bern"],
    }
)


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def private(guard: Guard) -> Guard:
    guard.hide(PEOPLE, ["name", "ssn", "salary", "rate", "born", "seen"])
    return guard


# Secrets


def test_the_corpus_is_large() -> None:
    assert len(PLANTED) >= 60
    assert len(INNOCENT) >= 60


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: re.sub(r"\W+", " ", case.text)[:40])
def test_a_planted_secret_is_hidden_and_the_rest_stays(case: Planted, guard: Guard) -> None:
    cleaned, counts = guard.clean_counted(case.text)
    assert [secret for secret in case.secrets if secret in cleaned] == []
    assert case.stays in cleaned
    assert counts.total() == len(PLACEHOLDER.findall(cleaned)) > 0


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_text_stays_as_it_is(text: str, guard: Guard) -> None:
    assert guard.clean(text) == text


@pytest.mark.parametrize("name", KEYS)
def test_half_a_key_does_not_stay_behind(name: str, guard: Guard) -> None:
    key = KEYS[name]
    cleaned = guard.clean(f"x = {key!r}; y = ({key})")
    assert [key[at : at + 6] for at in range(8, len(key) - 6) if key[at : at + 6] in cleaned] == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (KEYS["GitHub"], "API key"),
        (KEYS["JWT"], "token (JWT)"),
        ("password = 'hunter2!'", "password"),
        ("-----BEGIN " + "PRIVATE KEY-----\n" + "MIIEvQ0a" * 8, "private key"),
    ],
)
def test_the_placeholder_says_what_was_there(text: str, kind: str, guard: Guard) -> None:
    assert f"[redacted: {kind}]" in guard.clean(text)
    assert guard.clean_counted(text)[1] == Counter({kind: 1})


def test_only_the_password_of_an_address_is_replaced(guard: Guard) -> None:
    text = "postgresql://user:pass@host/db and redis://:p%40ss@cache:6379/0"
    assert guard.clean(text) == (
        "postgresql://user:[redacted: password]@host/db and redis://:[redacted: password]@cache:6379/0"
    )


texts = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(
            [
                "password",
                " = ",
                ": ",
                '"',
                "'",
                "token",
                "\\n",
                "://",
                "@",
                "[redacted: ",
                "API key]",
                "]",
                "[",
                "\\",
                "\n",
            ]
        ),
        st.sampled_from([*INNOCENT, *(case.text for case in PLANTED)]),
        st.sampled_from(["Ann Miller", "52000", "078-05-1120", "1980-02-29", "52,000.0", "[private: ssn]"]),
    ),
    max_size=8,
).map("".join)


@pytest.fixture(scope="module")
def one() -> Guard:
    guard = Guard()
    guard.hide(PEOPLE, ["name", "ssn", "salary", "rate", "born", "seen"])
    return guard


@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_cleaning_a_cleaned_text_changes_nothing(text: str, one: Guard) -> None:
    cleaned, counts = one.clean_counted(text)
    assert one.clean(cleaned) == cleaned == one.clean(text)
    assert one.clean_counted(cleaned)[1] == Counter()
    assert (counts.total() == 0) == (cleaned == text)


@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_all_that_is_not_replaced_stays_in_order(text: str, one: Guard) -> None:
    kept = PLACEHOLDER.split(one.clean(text))
    assert text.startswith(kept[0].split("[redacted: ")[0].split("[private: ")[0])
    at = 0
    for piece in kept:
        at = text.index(piece, at) + len(piece)
    assert text.endswith(kept[-1])


plain = st.text("abc xyz,.;!?()\n\t-äö中0", max_size=200)


@settings(max_examples=300, deadline=None)
@given(before=plain, after=plain, case=st.sampled_from(PLANTED))
def test_a_secret_is_found_anywhere_in_a_text(before: str, after: str, case: Planted, one: Guard) -> None:
    cleaned = one.clean(f"{before}\n{case.text}\n{after}")
    assert [secret for secret in case.secrets if secret in cleaned] == []
    assert cleaned.startswith(f"{before}\n")
    assert cleaned.endswith(f"\n{after}")


@settings(max_examples=300, deadline=None)
@given(before=plain, after=plain, case=st.sampled_from(PLANTED), data=st.data())
def test_a_secret_is_found_across_the_borders_of_pieces(
    before: str, after: str, case: Planted, data: st.DataObject, one: Guard
) -> None:
    text = f"{before}\n{case.text}\n{after}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    cleaned, counts = one.clean_pieces(pieces)
    assert len(cleaned) == len(pieces)
    assert [secret for secret in case.secrets if secret in "".join(cleaned)] == []
    assert counts.total() == len(PLACEHOLDER.findall("".join(cleaned))) > 0


def test_a_placeholder_stands_in_the_piece_where_its_secret_begins(guard: Guard) -> None:
    key = KEYS["GitHub"]
    pieces = ["say ", f"a {key[:9]}", key[9:20], "", f"{key[20:]} b", " c"]
    cleaned, counts = guard.clean_pieces(pieces)
    assert cleaned == ["say ", "a [redacted: API key]", "", "", " b", " c"]
    assert counts == Counter({"API key": 1})


def test_a_secret_that_ends_a_piece_is_found_though_the_next_piece_goes_on_with_a_letter(guard: Guard) -> None:
    assert guard.clean_pieces([KEYS["Twilio"], "abc"])[0] == ["[redacted: API key]", "abc"]


def test_pieces_without_a_secret_stay_as_they_are(guard: Guard) -> None:
    assert guard.clean_pieces(["a", "", "b"]) == (["a", "", "b"], Counter())
    assert guard.clean_pieces([]) == ([], Counter())


def test_a_made_up_placeholder_hides_no_secret(guard: Guard) -> None:
    for text in (f"[redacted: {KEYS['GitHub']}]", f"[redacted: value of {KEYS['Stripe']}]"):
        assert KEYS["GitHub"] not in guard.clean(text)
        assert KEYS["Stripe"] not in guard.clean(text)


@pytest.mark.parametrize(
    "unit",
    [
        "sk-",
        "key",
        "password=",
        "://",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "token: ",
        "a" * 30,
        '"\\',
        "İ",
        "12,345 ",
    ],
)
def test_a_hostile_text_of_a_megabyte_is_cleaned_in_the_end(unit: str, one: Guard) -> None:
    text = unit * (200_000 // len(unit))
    assert PLACEHOLDER.sub("", one.clean(text)).count("\ufdd0") == 0


# Credentials that the process holds


@pytest.fixture
def environment() -> Iterator[Any]:
    before = dict(os.environ)
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


def test_the_value_of_a_credential_in_the_environment_is_hidden_from_the_moment_it_is_set(
    guard: Guard, environment: Any
) -> None:
    assert guard.clean("x zq8LmN4-pr0d y") == "x zq8LmN4-pr0d y"
    environment["MY_SERVICE_TOKEN"] = "zq8LmN4-pr0d"
    assert guard.clean("x zq8LmN4-pr0d y") == "x [redacted: value of MY_SERVICE_TOKEN] y"
    environment["MY_SERVICE_TOKEN"] = "other-9s8d7f"
    assert guard.clean("zq8LmN4-pr0d other-9s8d7f") == "zq8LmN4-pr0d [redacted: value of MY_SERVICE_TOKEN]"
    del environment["MY_SERVICE_TOKEN"]
    assert guard.clean("x other-9s8d7f") == "x other-9s8d7f"


@pytest.mark.parametrize(
    "name",
    [
        "A_TOKEN",
        "SECRET",
        "MY_PASSWORD",
        "DB_PASSWD",
        "X_API_KEY",
        "APIKEY",
        "AWS_SECRET_ACCESS_KEY",
        "PRIVATE_KEY",
        "GOOGLE_CREDENTIALS",
        "BASIC_AUTH",
        "SENTRY_DSN2",
        "AZURE_CONNECTION_STRING",
        "MyPassword",
        "GH_PAT",
    ],
)
def test_a_variable_is_a_credential_by_its_name(name: str, guard: Guard, environment: Any) -> None:
    environment[name] = "zq8LmN4-pr0d"
    assert guard.clean("(zq8LmN4-pr0d)") == f"([redacted: value of {name}])"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("A_TOKEN", "short"),
        ("A_TOKEN", "true"),
        ("A_TOKEN", "development"),
        ("A_TOKEN", "12345678.5"),
        ("A_TOKEN", "/run/secrets/token"),
        ("A_TOKEN", "localhost:8080"),
        ("A_TOKEN", "https://example.com/x"),
        ("TOKENIZERS_PARALLELISM", "a-1b2c3d4e5"),
        ("KEYBOARD", "a-1b2c3d4e5"),
        ("AUTHOR_EMAIL", "a-1b2c3d4e5"),
        ("PWD", "a-1b2c3d4e5"),
    ],
)
def test_what_is_no_credential_stays(name: str, value: str, guard: Guard, environment: Any) -> None:
    environment[name] = value
    assert guard.clean(f"it is {value} here") == f"it is {value} here"


def test_of_an_address_in_the_environment_the_password_is_hidden(guard: Guard, environment: Any) -> None:
    environment["DATABASE_URL"] = "postgresql://ann:Tr0ub4dor-3@db/app"
    assert guard.clean("the word Tr0ub4dor-3 of ann") == "the word [redacted: value of DATABASE_URL] of ann"


def test_a_credential_is_found_in_its_printed_spellings(guard: Guard, environment: Any) -> None:
    secret = "a\"b'c\\d\nüx 9/z"
    environment["MY_SECRET"] = secret
    for text in (secret, repr(secret), json.dumps(secret), json.dumps({"k": [secret]}, ensure_ascii=False)):
        assert "9/z" not in guard.clean(text)


def test_a_credential_that_the_guard_was_told_is_hidden(guard: Guard) -> None:
    guard.know("q7-abcdef-x", "KIMI_API_KEY")
    assert guard.clean("<q7-abcdef-x>") == "<[redacted: value of KIMI_API_KEY]>"
    guard.know("", "nothing")
    guard.know("not-needed", "api_key")  # what local servers are given
    assert guard.clean("it is not-needed") == "it is not-needed"
    assert "q7-abcdef-x" not in repr(vars(guard)) + repr(guard)


# Private columns


def test_a_private_column_is_private_in_every_table_by_its_name(private: Guard) -> None:
    assert private.names == ("born", "name", "rate", "salary", "seen", "ssn")
    assert private.hides("ssn")
    assert private.hides("SSN")
    assert private.hides(" Ssn\n")
    assert private.hides(("pay", " SALARY_x "))
    assert not private.hides("s sn")
    assert not private.hides("ssn_count")
    assert not private.hides("age")
    assert not Guard().hides("ssn")


@pytest.mark.parametrize("name", ["ssn_x", "ssn_y", "ssn_left", "ssn_right", "ssn_1", "ssn:1", "ssn.1", "ssn_x_y"])
def test_what_a_join_makes_of_the_name_is_private_too(name: str, private: Guard) -> None:
    assert private.hides(name)


def test_the_names_that_libraries_make_in_joins_are_private(private: Guard) -> None:
    twice = PEOPLE[["age", "ssn"]]
    polar = pl.from_pandas(twice)
    relation = duckdb.sql("SELECT * FROM twice a JOIN twice b ON a.age = b.age")
    joined = [
        twice.merge(twice, on="age").columns,
        polar.join(polar, on="age").columns,
        relation.df().columns,
    ]
    for columns in joined:
        assert len([name for name in columns if private.hides(name)]) == 2


def test_a_level_of_a_multiindex_makes_a_column_private(private: Guard) -> None:
    assert private.hides(("pay", "salary"))
    assert private.hides(("salary", ""))
    assert not private.hides(("pay", "total"))


TABLES = {
    "pandas": lambda: PEOPLE,
    "pandas arrow": lambda: PEOPLE.convert_dtypes(dtype_backend="pyarrow"),
    "pandas category": lambda: PEOPLE.astype({"ssn": "category", "name": "category"}),
    "polars": lambda: pl.from_pandas(PEOPLE),
    "polars lazy": lambda: pl.from_pandas(PEOPLE).lazy(),
    "pyarrow": lambda: pa.Table.from_pandas(PEOPLE),
    "duckdb": lambda: duckdb.from_df(PEOPLE),
    "dask": lambda: dd.from_pandas(PEOPLE, npartitions=2),
    "index": lambda: PEOPLE.set_index(["name", "ssn"]),
    "series": None,
}


@pytest.mark.parametrize("library", [name for name, make in TABLES.items() if make])
def test_the_values_of_a_column_of_any_library_are_recognised(library: str, guard: Guard) -> None:
    table = TABLES[library]()
    assert guard.hide(table, ["ssn", "salary", "rate", "born", "name"]) == ("ssn", "salary", "rate", "born", "name")
    text = "078-05-1120 61,250 52013.123456789 1999-07-30 Ann Miller Berlin 34"
    assert guard.clean(text) == (
        "[private: ssn] [private: salary] [private: rate] [private: born] [private: name] Berlin 34"
    )


@pytest.mark.parametrize(
    "series",
    [
        lambda: PEOPLE.ssn,
        lambda: pl.from_pandas(PEOPLE)["ssn"],
        lambda: dd.from_pandas(PEOPLE, npartitions=2).ssn,
    ],
)
def test_a_series_is_hidden_by_its_own_name(series: Any, guard: Guard) -> None:
    assert guard.hide(series(), ()) == ("ssn",)
    assert guard.clean("078-05-1120") == "[private: ssn]"


def test_names_alone_hide_without_a_table(guard: Guard) -> None:
    assert guard.hide(None, ["ssn", "email", "ssn"]) == ("ssn", "email")
    assert guard.hide(None, "phone") == ("phone",)
    assert guard.names == ("email", "phone", "ssn")
    assert guard.clean("078-05-1120") == "078-05-1120"
    assert guard.summary("ssn") == "by name"


def test_the_values_of_several_tables_add_up(guard: Guard) -> None:
    guard.hide(PEOPLE[:2], ["ssn"])
    guard.hide(PEOPLE[2:], ["ssn"])
    assert guard.clean(" ".join(PEOPLE.ssn)) == " ".join(["[private: ssn]"] * 5)
    assert guard.summary("ssn") == "by name, and 5 of 5 distinct values wherever they stand"


@pytest.mark.parametrize("table", [TABLES["pandas"], TABLES["polars"], TABLES["pyarrow"], TABLES["duckdb"]])
def test_an_unknown_column_is_an_error_that_names_near_ones(table: Any, guard: Guard) -> None:
    with pytest.raises(CommandError) as caught:
        guard.hide(table(), ["ssn", "salry"])
    assert "'salry'" in caught.value.message
    assert "'salary'" in caught.value.hint
    assert guard.names == ()


@pytest.mark.parametrize("table", [3, "text", [1, 2], object()])
def test_what_is_no_table_is_an_error(table: object, guard: Guard) -> None:
    with pytest.raises(CommandError):
        guard.hide(table, ["ssn"])


def test_no_column_at_all_is_an_error(guard: Guard) -> None:
    for table in (None, PEOPLE):
        with pytest.raises(CommandError):
            guard.hide(table, [])


def test_a_released_column_is_public_again(private: Guard) -> None:
    assert private.release(["ssn"]) == ("ssn",)
    assert not private.hides("ssn")
    assert private.clean("078-05-1120 Ann Miller") == "078-05-1120 [private: name]"
    with pytest.raises(CommandError, match="'ssm'"):
        private.release(["ssm"])


def test_columns_of_a_multiindex_and_duplicates_are_read(guard: Guard) -> None:
    table = pd.DataFrame(
        [["078-05-1120", "219-09-9999"]], columns=pd.MultiIndex.from_tuples([("a", "ssn"), ("b", "ssn")])
    )
    guard.hide(table, ["ssn"])
    double = pd.DataFrame([["Ann Miller", "Bob O'Hara"]], columns=["name", "name"])
    guard.hide(double, ["name"])
    assert guard.clean("078-05-1120, 219-09-9999, Ann Miller, Bob O'Hara") == (
        "[private: ssn], [private: ssn], [private: name], [private: name]"
    )


def test_nested_and_odd_values_are_read(guard: Guard) -> None:
    cells = [
        ["inner-one", {"k": "inner-two"}],
        b"inner-three",
        Decimal("12345.670"),
        None,
        np.nan,
        pd.NaT,
        pd.NA,
        10**400,
    ]
    guard.hide(pd.DataFrame({"odd": pd.Series(cells, dtype=object)}), ["odd"])
    assert guard.clean("inner-one inner-two inner-three 12345.67 nan NaT None") == (
        "[private: odd] [private: odd] [private: odd] [private: odd] nan NaT None"
    )
    guard.hide(pl.DataFrame({"list": [["deep-one"], ["deep-two"]]}), ["list"])
    assert guard.clean("deep-two") == "[private: list]"


@pytest.mark.parametrize(
    "text",
    [
        "52000", "52000.0", "52,000", "52_000", "52,000.00", "$52000", "€52,000.00", "(52000)", "-52000", "x=52000;",
        "bob,52000,3", "[52000, 1]", "52000.", "'52000'", "a\\n52000\\nb", "52000%", "61250", "6.125e4",
        "5.2e+04", "48113.00",
        "_52000", "52000_1x", "scan_52000_v2", "id_52,000_",
        "52013", "52014", "52,013", "52013.0", "98765", "98766", "52013.125", "98765.43", "98765.4297", "1.23456e-1",
        "52013.123456789", "52013.123457", "52013.12", "52,013.12", "5.2013123e+04", "1234.57", "0.123456",
    ],
)  # fmt: skip
def test_a_number_is_recognised_in_its_printed_spellings(text: str, private: Guard) -> None:
    assert PLACEHOLDER.search(private.clean(text))
    assert not re.search(r"\d{4}", private.clean(text))


@pytest.mark.parametrize(
    "text",
    [
        "152000", "520001", "52000.5", "1.52000", "x52000", "52000x", "id52000", "52001", "52,0001",
        "52", "34", "51 rows", "1234", "0.12", "31.4", "1000000", "v1.2.52000", "5.3e+04", "52013.14",
        "52015", "52011.9", "123456789012", "0.123", "31", "98764", "98767",
    ],
)  # fmt: skip
def test_another_number_stays(text: str, private: Guard) -> None:
    assert private.clean(text) == text


def test_what_numpy_pandas_and_polars_print_of_private_numbers_is_recognised(private: Guard) -> None:
    frame = PEOPLE[["rate", "salary"]]
    prints = [
        repr(PEOPLE.rate.to_numpy()), repr(frame), frame.to_csv(), frame.to_json(), str(frame.to_dict()),
        str(pl.from_pandas(frame)), f"{PEOPLE.salary.tolist()}",
    ]  # fmt: skip
    for text in prints:
        cleaned = private.clean(text)
        assert not re.search(r"52013|98765|1234\.5|75501|93999", cleaned), cleaned


@pytest.mark.parametrize(
    "text",
    [
        "1980-02-29", "1980-02-29 00:00:00", "1980-02-29T00:00:00", "1980-02-29T00:00:00.000000000", "'1980-02-29'",
        "2024-01-15 10:30", "2024-01-15T10:30:00Z", "2024-01-15 10:30:00+00:00", "2024-03-01 08:15:30.250000",
        "x\\n1980-02-29", "2024-03-01T08:15:30.25",
        "1980-02-29T08:30:00", "1980-02-29 05:00", "1980-02-29 24:00", "1980-02-29T8:30", "1980-02-29T05:00:00.5Z",
        "29.02.1980", "29.2.1980", "1980/02/29", "1980.02.29", "02/29/1980", "29/02/1980", "29-02-1980", "19800229",
        "scan_19800229_1.pdf", "born_1980-02-29_", "(1980/02/29 07:15)", "15.01.2024 10:30", "20240115T10:30",
    ],
)  # fmt: skip
def test_a_date_is_recognised_in_iso_form(text: str, private: Guard) -> None:
    assert "[private: " in private.clean(text)
    assert not re.search(r"\d\d-\d\d|\d\d:\d\d", private.clean(text))


@pytest.mark.parametrize(
    "text",
    [
        "1980-02-28",
        "1980-02-29-1",
        "21980-02-29",
        "2024-01-15 10:31",
        "2024-13-45",
        "2024-03-01",
        "28.02.1980",
        "119800229",
        "19800229.5",
        "1.29.02.1980",
        "1980/02-29",
        "v29.02.1980.1",
        "2024/01/15",
    ],
)
def test_another_date_stays(text: str, private: Guard) -> None:
    assert private.clean(text) == text


@pytest.mark.parametrize("name", PEOPLE.name)
def test_a_text_is_recognised_in_its_printed_spellings(name: str, private: Guard) -> None:
    frame = pd.DataFrame({"who": [name], "n": [1]})
    series = frame.who
    prints = [
        name, repr(name), json.dumps({"a": name}), json.dumps(name, ensure_ascii=False), str([name]), f"<{name}>",
        frame.to_csv(), repr(frame), frame.to_html(), repr(series.to_dict()), repr(f"one\n{name}\ntwo"),
        json.dumps(json.dumps(name)) if name.isascii() and name.isalpha() else name, f"\x1b[31m{name}\x1b[0m",
    ]  # fmt: skip
    core = max(re.findall(r"\w+", name), key=len)
    for text in prints:
        cleaned = private.clean(text)
        assert "[private: name]" in cleaned, text
        assert core not in cleaned


@pytest.mark.parametrize(
    "text", ["Ann", "Miller", "AnnMiller", "Ann, Miller", "Anna Miller", "078-05-112", "078-05.1120", "王小"]
)
def test_another_text_stays(text: str, private: Guard) -> None:
    assert private.clean(text) == text


@pytest.mark.parametrize("text", ["Belskys", "xbelsky", "belsky1", "Abelskyb", "Belskyé"])
def test_letters_alone_inside_of_a_longer_word_stay(text: str, guard: Guard) -> None:
    guard.hide(pd.DataFrame({"who": ["Belsky", "Featherstonehaugh"]}), ["who"])
    assert guard.clean(text) == text
    assert guard.clean("Featherstonehaughs") == "Featherstonehaughs"
    assert guard.clean("scan_Belsky_v2, BELSKY") == "scan_[private: who]_v2, [private: who]"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("scan_078-05-1120_v2.pdf", "scan_[private: ssn]_v2.pdf"),
        ("id078-05-1120", "id[private: ssn]"),
        ("078-05-11201", "[private: ssn]1"),
        ("078-05-1120219-09-9999x", "[private: ssn][private: ssn]x"),
        ("Joann Millers", "Jo[private: name]s"),
        ("xAnn MillerAnn Miller", "x[private: name][private: name]"),
    ],
)
def test_a_distinctive_text_is_recognised_inside_of_a_longer_word(text: str, cleaned: str, private: Guard) -> None:
    assert private.clean(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "ann miller", "ANN MILLER", "Ann  Miller", "Ann\nMiller", "Ann\tMiller", "Ann\u00a0Miller", "Ann\u202fMiller",
        "Ann_Miller", "ann \n\t Miller", "'Ann\\nMiller'", "Ann%20Miller", "Ann&nbsp;Miller", "Ann\\u00a0Miller",
        "078\u201105\u20111120", "078\u201305\u20131120", "078\u221205\u22121120", "BOB O'HARA", "ZOË  KÜHN",
        "zoë_kühn",
    ],
)  # fmt: skip
def test_case_white_space_and_hyphens_make_no_difference(text: str, private: Guard) -> None:
    cleaned = private.clean(f"İ  a   b: <{text}>  c")
    assert re.fullmatch(r"İ  a   b: <'?\[private: (?:name|ssn)\]'?>  c", cleaned)


def test_values_of_several_blanks_and_hyphens_are_recognised_in_plain_spelling(guard: Guard) -> None:
    guard.hide(pd.DataFrame({"v": ["Dr.\u00a0 Ana\nBelsky", "12\u20111234\u20115678", "ΟΔΥΣΣΕΑΣ"]}), ["v"])
    assert guard.clean("dr. ana belsky; 12-1234-5678; Οδυσσεας") == "[private: v]; [private: v]; [private: v]"


def test_numbers_are_not_recognised_made_whole_where_any_number_would_be(guard: Guard) -> None:
    guard.hide(pl.DataFrame({"dense": [60000 + 0.37 * n for n in range(20_000)]}), ["dense"])
    assert guard.clean("61234 and 66001.3") == "61234 and 66001.3"
    assert guard.clean("60000.37") == "[private: dense]"
    guard.hide(pl.DataFrame({"few": [70123.75, 812345678.625]}), ["few"])
    assert (
        guard.clean(f"70123 70124 {float(np.float32(812345678.625))}") == "[private: few] [private: few] [private: few]"
    )
    assert guard.clean("70122 70125 812345900.0") == "70122 70125 812345900.0"


def test_chinese_names_need_no_space_around_them(private: Guard) -> None:
    assert private.clean("我是王小明的朋友") == "我是[private: name]的朋友"


def test_of_two_values_the_longer_one_is_replaced(guard: Guard) -> None:
    guard.hide(
        pd.DataFrame({"place": ["Spring", "Springfield", "Springfield East", "Springfield East Side 9"]}), ["place"]
    )
    assert guard.clean("Springfield East Sid, Springfield, Springer, Springfield East Side 9!") == (
        "[private: place] Sid, [private: place], Springer, [private: place]!"
    )


syllables = st.lists(st.sampled_from(["ab", "abab", "b", " ", "-", "abc", "c"]), min_size=1, max_size=7).map("".join)


@settings(max_examples=500, deadline=None)
@given(values=st.lists(syllables, min_size=1, max_size=8), text=st.lists(syllables, max_size=5).map(" ".join))
def test_the_index_finds_what_a_plain_search_finds(values: list[str], text: str) -> None:
    guard = Guard()
    guard.hide(pl.DataFrame({"v": values}), ["v"])
    stripped = {re.sub(r"^\W+|\W+$", "", re.sub(" +", " ", value)) for value in values}
    cores = sorted((core for core in stripped if len(core) >= 5), key=lambda core: (-len(core), core))
    wanted = [re.escape(core).replace(r"\ ", " +") for core in cores]
    borders = ["" if len(core) >= 8 and not core.isalpha() else r"\b" for core in cores]
    pattern = "|".join(f"{border}{core}{border}" for border, core in zip(borders, wanted, strict=True))
    assert guard.clean(text) == (re.sub(pattern, "[private: v]", text) if cores else text)


def test_the_columns_of_which_a_value_stands_in_a_text_are_named(private: Guard) -> None:
    assert private.found_in("Ann Miller, 52,000, id078-05-1120 and 1980-02-29") == ("born", "name", "salary", "ssn")
    assert private.found_in(f"nothing, {KEYS['GitHub']}, [private: ssn]") == ()
    assert Guard().found_in("078-05-1120") == ()
    private.hide(pd.DataFrame({"tax": ["078-05-1120"]}), ["tax"])
    assert private.found_in("078-05-1120") == ("ssn", "tax")


# Learning


LEARNT = {
    **TABLES,
    "series": lambda: PEOPLE.ssn,
    "polars series": lambda: pl.from_pandas(PEOPLE)["ssn"],
    "one index": lambda: PEOPLE.set_index("ssn"),
    "index alone": lambda: PEOPLE.set_index("ssn").index,
    "multiindex alone": lambda: PEOPLE.set_index(["name", "ssn"]).index,
    "two rows of columns": lambda: pd.concat({"a": PEOPLE}, axis=1),
    "joined": lambda: PEOPLE.rename(columns={"ssn": " SSN_x"}),
}
LAZY = ["polars lazy", "duckdb", "dask"]


@pytest.mark.parametrize("name", [name for name in LEARNT if name not in LAZY])
def test_the_values_of_a_private_column_are_learnt_from_any_table(name: str, guard: Guard) -> None:
    guard.hide(None, ["ssn"])
    table = LEARNT[name]()
    for _ in range(2):
        guard.learn(table)
        assert guard.clean("078-05-1120 987-65-4320") == "[private: ssn] [private: ssn]"
        assert guard.summary("ssn") == "by name, and 5 of 5 distinct values wherever they stand"
    assert guard.names == ("ssn",)
    assert guard.clean("Ann Miller 52000") == "Ann Miller 52000"


@pytest.mark.parametrize("name", LAZY)
def test_what_would_have_to_be_computed_is_not_learnt(name: str, guard: Guard) -> None:
    guard.hide(None, ["ssn"])
    guard.learn(LEARNT[name]())
    assert guard.summary("ssn") == "by name"


@pytest.mark.parametrize(
    "thing", [None, 3, "ssn", [1], {"ssn": ["078-05-1120"]}, object(), pd, pd.DataFrame, np.ones(3)]
)
def test_learning_of_what_is_no_table_does_nothing(thing: object, guard: Guard) -> None:
    guard.hide(None, ["ssn"])
    guard.learn(thing)
    assert guard.summary("ssn") == "by name"


def test_changed_and_appended_values_are_learnt_again(guard: Guard) -> None:
    table = PEOPLE[["ssn", "age"]].copy()
    guard.learn(table)  # nothing is private yet
    guard.hide(None, ["ssn"])
    guard.learn(table)
    table.loc[1, "ssn"] = "111-22-3333"
    guard.learn(table)
    table.loc[len(table)] = ["222-33-4444", 1]
    guard.learn(table)
    assert guard.clean("219-09-9999 111-22-3333 222-33-4444") == "[private: ssn] [private: ssn] [private: ssn]"
    guard.release(["SSN"])
    guard.learn(table)
    assert guard.clean("111-22-3333") == "111-22-3333"
    guard.hide(None, ["ssn"])
    guard.learn(table)
    assert guard.clean("111-22-3333") == "[private: ssn]"


def test_an_empty_table_and_odd_values_are_learnt(guard: Guard) -> None:
    guard.hide(None, ["v"])
    guard.learn(pd.DataFrame({"v": []}))
    guard.learn(pl.DataFrame({"v": []}))
    guard.learn(pd.DataFrame({"v": pd.Series([["inner-one"], {"k": "inner-two"}, None, np.nan], dtype=object)}))
    assert guard.clean("inner-one inner-two") == "[private: v] [private: v]"


def test_a_learnt_table_is_not_kept(guard: Guard) -> None:
    guard.hide(None, ["ssn"])
    table = PEOPLE.copy()
    guard.learn(table)
    there = weakref.ref(table)
    del table
    gc.collect()
    assert there() is None


def test_a_value_that_pandas_cut_is_recognised_by_its_beginning(guard: Guard) -> None:
    note = "The patient has a long history of headaches in the early morning, and no known allergies"
    frame = pd.DataFrame({"note": [note, "nothing to report"]})
    guard.hide(frame, ["note"])
    assert "..." in repr(frame)
    assert "patient" not in guard.clean(repr(frame))
    assert "patient" not in guard.clean(f"{note[:40]}…")
    assert guard.clean(f"{note[:10]}...") == f"{note[:10]}..."


def test_ordinary_and_short_values_are_not_replaced(guard: Guard) -> None:
    guard.hide(pd.DataFrame({"v": ["yes", "no", "Unknown", "False", "Bob", "1234", "10000", "--", "", "  "]}), ["v"])
    text = "yes no Unknown False Bob 1234 10000 --"
    assert guard.clean(text) == text
    assert guard.summary("v").startswith("by name, and 0 of ")


def test_a_secret_and_a_private_value_in_one_text_are_both_replaced(private: Guard) -> None:
    text = f"Ann Miller: {KEYS['GitHub']}, pays 52,000"
    cleaned, counts = private.clean_counted(text)
    assert cleaned == "[private: name]: [redacted: API key], pays [private: salary]"
    assert counts == Counter({"API key": 1, "private: name": 1, "private: salary": 1})


def test_a_hostile_column_name_makes_a_placeholder_of_one_line(guard: Guard) -> None:
    guard.hide(pd.DataFrame({"a]\n[b": ["distinct-1"]}), ["a]\n[b"])
    cleaned = guard.clean("x distinct-1 y")
    assert PLACEHOLDER.sub("", cleaned) == "x  y"
    assert guard.clean(cleaned) == cleaned


def test_beyond_a_million_values_a_column_is_private_by_name(guard: Guard) -> None:
    guard.hide(pd.Series(np.arange(1_000_005) + 5_000_000, name="id"), ())
    assert guard.hides("id")
    assert guard.summary("id") == (
        "by name, and 999,999 of 1,000,000 distinct values wherever they stand; values beyond these by name alone"
    )
    assert guard.clean("5000001 and 7000000") == "[private: id] and 7000000"


def test_a_hundred_thousand_texts_are_found_among_words(guard: Guard) -> None:
    frame = pl.DataFrame({"mail": [f"user{n}@example{n % 7}.com" for n in range(100_000)]})
    guard.hide(frame, ["mail"])
    text = "\n".join(f"{n} user{n}@example{n % 7}.com, user{n}@example.com" for n in range(0, 100_000, 100))
    cleaned, counts = guard.clean_counted(text)
    assert counts == Counter({"private: mail": 1_000})
    assert cleaned.count("@example.com") == 1_000


# What a plot shows


def drawn_lines() -> Any:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    axes.plot(PEOPLE.born, PEOPLE.rate)
    axes.scatter(PEOPLE.salary, PEOPLE.age)
    return axes


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (PEOPLE.salary, "salary"),
        (PEOPLE.salary.to_numpy(dtype=float), "salary"),
        (pl.Series(PEOPLE.salary), "salary"),
        (-PEOPLE.rate.to_numpy(), "rate"),
        (PEOPLE.rate.tolist() * 100, "rate"),
        (np.array([PEOPLE.rate, PEOPLE.rate]), "rate"),
        (np.ma.masked_array(PEOPLE.rate, [0, 0, 0, 1, 1]), "rate"),
        (PEOPLE.born, "born"),
        (PEOPLE.born.to_numpy(), "born"),
        (PEOPLE.born.to_numpy("datetime64[D]"), "born"),
        (PEOPLE.born.dt.date.tolist(), "born"),
        (PEOPLE.ssn.to_numpy(), "ssn"),
        (iter(PEOPLE.name), "name"),
        ([*PEOPLE.salary, None, float("nan")], "salary"),
        ([52000, 61250], ""),
        ([52000, 61250, 1, 2], ""),
        ([34, 51, 28, 45, 62], ""),
        ([], ""),
        ("52000", ""),
        (PEOPLE.rate.to_numpy() + 0.001, ""),
        ([True, False, None], ""),
    ],
)
def test_the_values_of_a_plot_tell_their_private_column(values: Any, name: str, private: Guard) -> None:
    assert private.holds(values) == name
    assert Guard().holds(values) == ""


def test_the_data_of_artists_of_matplotlib_are_recognised(private: Guard) -> None:
    axes = drawn_lines()
    line = axes.lines[0]
    assert private.holds(line.get_xdata(orig=True)) == "born"
    assert private.holds(line.get_xdata(orig=False)) == "born"  # days since 1970
    assert private.holds(line.get_ydata()) == "rate"
    assert private.holds(axes.collections[0].get_offsets()[:, 0]) == "salary"


def test_whole_numbers_that_any_others_would_be_among_prove_nothing(guard: Guard) -> None:
    columns = {"age": range(20, 80), "id": range(1_000_000, 1_000_060), "pay": [n * 10_007 for n in range(60)]}
    guard.hide(pd.DataFrame(columns), list(columns))
    assert guard.holds([34, 51, 28, 45]) == ""
    assert guard.holds([1_000_001, 1_000_005, 1_000_007]) == ""
    assert guard.holds([10_007, 20_014, 30_021]) == "pay"


def test_a_long_array_is_judged_by_a_sample(guard: Guard) -> None:
    values = np.linspace(0.5, 9.5, 50_000)
    guard.hide(pd.DataFrame({"x": values}), ["x"])
    assert guard.holds(np.repeat(values, 10)) == "x"
    assert guard.holds(np.linspace(0.6, 9.4, 500_000)) == ""


# The whole


def test_the_guard_is_loaded_without_any_library_of_the_users() -> None:
    code = (
        "import sys; from kimi_magic.context.guard import Guard; g = Guard(); g.hide(None, ['ssn']); g.clean('x' * 99);"
        "print({'pandas', 'numpy', 'polars', 'pyarrow', 'narwhals', 'matplotlib', 'duckdb'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_same_text_is_cleaned_to_the_same_bytes_in_every_process() -> None:
    code = (
        "import polars as pl; from kimi_magic.context.guard import Guard; g = Guard();"
        "f = pl.DataFrame({'a': ['value-one', 'value-two'], 'b': ['value-one', 'value-3']}); g.hide(f, ['b', 'a']);"
        "print(g.clean_counted('value-one value-3 password = \"hunter2!\"'), [g.summary(n) for n in g.names])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(said) == 1

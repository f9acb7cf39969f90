"""Secrets in connection strings, in our own descriptions, in fields and headers; and what only looks like them."""

from __future__ import annotations

import pytest

from kimi_magic.context import kinds
from kimi_magic.context.description import Look
from kimi_magic.context.guard import Guard
from tests.secrets_corpus import drawn

LETTERS = "correcthorsebattery"
SIGNATURE = drawn(64, "0123456789abcdef")


@pytest.mark.parametrize(
    ("text", "secret", "stays"),
    [
        ("Data Source=x;User Id=u;Password=@;", "Tr0ub4dor&3x", "User Id=u;Password=["),
        ("Data Source=x;User Id=u;PWD=@;", "Tr0ub4dor&3x", "];"),
        ("Provider=x; User ID = sa; Password = @; y = 2", "Tr0ub4dor&3x&y9", "]; y = 2"),
        ("password: @ here", "Tr0ub4dor&3x", "] here"),
        ("Data Source=x;PWD=@", "Tr0ub4dor,&3x", "Source=x;"),
        ("conn = 'Server=x;Password=@;Encrypt=yes'", "two words, or 3", ";Encrypt=yes'"),
        ("Server=x;User Id=sa;Password=@;", LETTERS, "User Id=sa;"),
        ("Password=@;User Id=sa", LETTERS, ";User Id=sa"),
        ("pwd=@;uid=x", LETTERS, ";uid=x"),
        ("'jdbc:sqlserver://db:1433;user=sa;password=@'", LETTERS, "user=sa;"),
        ("jdbc:mysql://db/app?user=ann&password=@&ssl=true", LETTERS, "&ssl=true"),
        ("mysql --password=@ -h db", LETTERS, "-h db"),
        ('password = str "@"', LETTERS, 'password = str "['),
        ("password: str '@'", "hunter2hunter", "password: str '["),
        ('api_key = str "@"', drawn(20), "api_key = str"),
        ('api_key = str, 1,000 characters "@"', drawn(90), "characters"),
        ("secret_key = bytes b'@'", drawn(30), "bytes b'["),
        ('auth = tuple ["user", "@"]', "hunter2hunter", '"user"'),
        ('auth = tuple, 2 items ["user", "@"]', "hunter2hunter", '"user"'),
        ('{"auth": [\n  "user",\n  "@"\n]}', "hunter2hunter", '"user"'),
        ("requests.get(url, auth=('ann', '@'))", LETTERS, "'ann'"),
        ("HTTPBasicAuth('ann', '@')", LETTERS, "'ann'"),
        ('{"token": "@"}', "abcdefghijklmnop", '{"token": "['),
        ('{"api_key": "@", "n": 3}', "lettersonlyvalue", '"n": 3'),
        ("{'access_token': '@'}", "abcdefghijklmnop", "'access_token'"),
        ("GET /\nCookie: session=@; theme=dark\nAccept: */*", "abcdefgh", "\nAccept: */*"),
        ("{'Cookie': 'a=1; sid=@', 'n': 1}", drawn(26), "'n': 1"),
        ("Set-Cookie: x=@; Path=/", drawn(32), "Set-Cookie"),
        ("https://x.s3.amazonaws.com/a?X-Amz-Expires=60&X-Amz-Signature=@", SIGNATURE, "X-Amz-Expires=60"),
        ("docker login -p @ x", "dckr" + "_pat_" + drawn(27), " x"),
    ],
)
def test_a_secret_goes_and_the_rest_stays(text: str, secret: str, stays: str) -> None:
    cleaned = Guard().clean(text.replace("@", secret))
    assert secret[-6:] not in cleaned
    assert secret[:6] not in cleaned
    assert "[redacted: " in cleaned
    assert stays in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "token: str",
        "password = getpass()",
        "password=getpass();x=1",
        "x=1;password=config.password;y=2",
        "user=name;password=password;host=db",
        "Server=x;User Id=sa;Password=<your password>;",
        "Server=x;User Id=sa;Password={password};",
        "Server=x;User Id=sa;Password=${DB_PASSWORD};",
        "Server=x;User Id=sa;Password=********;",
        "password = user; host = db",
        "--password=PASSWORD  the password of the user",
        "--password=$DB_PASS --host=x",
        "--password asks for one",
        'the parser gives {"token": "identifier"} for each',
        '{"token": "StringLiteral", "next": 1}',
        '{"token": "PUNCTUATION"}',
        '{"api_key": "yourlongapikeyhere"}',
        'tokens: "alphabetically sorted"; token = "alphabetically"',
        'password: see "the manual"',
        'password = str "password"',
        "auth = ('user', 'pass')",
        'auth = tuple ["username", "password"]',
        "author = ('Ann', 'Smith2000')",
        "Cookie: a plain biscuit",
        "Set-Cookie: theme=dark; Path=/",
        "cookies = {'a': 1}; cookie: name=value",
        "signature=inspect.signature(function_of_mine)",
        "signature: (x: int) -> int",
    ],
)
def test_an_innocent_text_stays_as_it_is(text: str) -> None:
    assert Guard().clean(text) == text


class Settings:
    """How a service is reached."""

    def __init__(self) -> None:
        self.password = LETTERS
        self.api_key = "a8Kd93jfLs02" + "mXq7Zt4B"
        self.auth = ("user", "hunter2hunter")
        self.host = "db.example.com"


def test_our_own_descriptions_show_no_secret() -> None:
    for obj in (Settings(), vars(Settings()), [vars(Settings())]):
        text = kinds.describe(obj, Look(Guard())).text
        assert not [secret for secret in (LETTERS, "a8Kd93jfLs02", "hunter2hunter") if secret in text], text
        assert "db.example.com" in text


def test_what_is_hard_to_read_is_read_fast() -> None:
    for piece in ("a=;", "password=", 'auth=["', "cookie: a=", '"token": "', "?password=a&", "password = str "):
        Guard().clean(piece * 20_000)

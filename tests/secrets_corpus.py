"""Made-up secrets in the places where they turn up, and innocent texts that look a little like them.

The secrets are put together here from a seed, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import random
import string
from dataclasses import dataclass

_DRAW = random.Random(20_261_122)  # noqa: S311  # made-up secrets, the same in every run
LETTERS, HEX = string.ascii_letters + string.digits, "0123456789abcdef"
URL_SAFE = LETTERS + "-_"


def drawn(length: int, alphabet: str = LETTERS) -> str:
    """Draw a secret's random part; it begins with a letter and a digit, as nearly all do."""
    head = "a7" if set("a7") <= set(alphabet) else ""
    return head + "".join(_DRAW.choice(alphabet) for _ in range(length - len(head)))


@dataclass(frozen=True)
class Planted:
    """A text, the secrets in it that must go, and what must stay."""

    text: str
    secrets: tuple[str, ...]
    stays: str = ""


def planted(template: str, *secrets: str, stays: str = "") -> Planted:
    """Put secrets into the places @0@, @1@ of a template."""
    text = template
    for number, secret in enumerate(secrets):
        text = text.replace(f"@{number}@", secret)
    return Planted(text, secrets, stays)


KEYS = {
    "OpenAI": "sk-" + "proj-" + drawn(60, URL_SAFE),
    "OpenAI, old": "sk-" + drawn(20) + "T3Blbk" + drawn(20),
    "Anthropic": "sk-" + "ant-api03-" + drawn(90, URL_SAFE) + "AA",
    "AWS id": "AKI" + "A" + "".join(_DRAW.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16)),
    "AWS session id": "ASI" + "A" + "".join(_DRAW.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16)),
    "GitHub": "gh" + "p_" + drawn(36),
    "GitHub OAuth": "gh" + "o_" + drawn(36),
    "GitHub app": "gh" + "s_" + drawn(36),
    "GitHub fine-grained": "github" + "_pat_" + drawn(22) + "_" + drawn(59),
    "GitLab": "glp" + "at-" + drawn(20, URL_SAFE),
    "Slack bot": "xo" + "xb-" + drawn(12, string.digits) + "-" + drawn(12, string.digits) + "-" + drawn(24),
    "Slack app": "xa" + "pp-1-A" + drawn(10).upper() + "-" + drawn(40),
    "Google": "AI" + "za" + drawn(35, URL_SAFE),
    "Google OAuth": "ya" + "29." + drawn(60, URL_SAFE),
    "Stripe": "sk_" + "live_" + drawn(24),
    "Stripe restricted": "rk_" + "live_" + drawn(24),
    "Hugging Face": "h" + "f_" + drawn(34, string.ascii_letters),
    "npm": "np" + "m_" + drawn(36),
    "PyPI": "py" + "pi-AgEIcHlwaS5vcmc" + drawn(80, URL_SAFE),
    "SendGrid": "S" + "G." + drawn(22, URL_SAFE) + "." + drawn(43, URL_SAFE),
    "Twilio": "S" + "K" + drawn(32, HEX),
    "Databricks": "da" + "pi" + drawn(32, HEX),
    "DigitalOcean": "do" + "p_v1_" + drawn(64, HEX),
    "Cloudflare": "cf" + "ut_" + drawn(48),
    "Shopify": "shp" + "at_" + drawn(32, HEX),
    "Groq": "gs" + "k_" + drawn(52),
    "Perplexity": "pp" + "lx-" + drawn(48),
    "Vault": "hv" + "s." + drawn(90, URL_SAFE),
    "Mailgun": "ke" + "y-" + drawn(32, HEX),
    "JWT": "eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJ" + drawn(60, URL_SAFE) + "." + drawn(43, URL_SAFE),
}

_AWS_SECRET = drawn(40, LETTERS + "/+")
_AZURE = drawn(86, LETTERS + "+/") + "=="
_TELEGRAM = "AA" + drawn(33, URL_SAFE)
_BEARER, _HEX40, _KEY32 = drawn(40, URL_SAFE), drawn(40, HEX), drawn(32, HEX)
_BASIC = base64.b64encode(b"aladdin:open sesame").decode()
_LINES = [drawn(64, LETTERS + "+/") for _ in range(6)]
_LAST = drawn(28, LETTERS + "+/") + "=="
_BODY = "\n".join([*_LINES, _LAST])
_BEGIN, _END = "-----BEGIN " + "RSA PRIVATE KEY-----", "-----END " + "RSA PRIVATE KEY-----"
_PEM = f"{_BEGIN}\n{_BODY}\n{_END}"
_PGP = (
    f"-----BEGIN PGP {'PRIVATE KEY'} BLOCK-----\nVersion: GnuPG v2\n\n{_BODY}\n-----END PGP {'PRIVATE KEY'} BLOCK-----"
)
_UUID = "7f9c24e5-2b31-4d6e-9c1a-8f0b3d5e7a91"

PLANTED = [
    *(planted("@0@", key) for key in KEYS.values()),
    *(planted('client = Client("@0@")  # ours', key, stays="# ours") for key in list(KEYS.values())[:10]),
    planted("{'user': 'ann', 'api_key': '@0@', 'n': 3}", KEYS["OpenAI"], stays="'n': 3}"),
    planted('{"user": "ann",\n "github": "@0@"}', KEYS["GitHub"], stays='{"user": "ann"'),
    planted("HOME=/root\nOPENAI_API_KEY=@0@\nSHELL=/bin/sh", KEYS["OpenAI, old"], stays="SHELL=/bin/sh"),
    planted("id,key,n\n1,@0@,5\n", KEYS["Stripe"], stays="1,"),
    planted("'first line\\n@0@\\nlast line'", KEYS["Hugging Face"], stays="last line"),
    planted("https://example.com/a?key=@0@&page=2", KEYS["Google"], stays="page=2"),
    planted("https://example.com/a?next=x%3D@0@%26", KEYS["Groq"]),
    planted("Traceback (most recent call last):\n  ValueError: bad key '@0@'", KEYS["Anthropic"], stays="ValueError"),
    planted("\x1b[31m@0@\x1b[0m", KEYS["OpenAI, old"]),
    planted("Access key ID,Secret access key\n@0@,@1@\n", KEYS["AWS id"], _AWS_SECRET, stays="Access key ID"),
    planted("aws_secret_access_key = @0@", _AWS_SECRET, stays="aws_secret_access_key"),
    planted('{"SecretAccessKey": "@0@", "SessionToken": "@1@"}', _AWS_SECRET, drawn(120, LETTERS + "+/")),
    planted("AccountName=ann;AccountKey=@0@;EndpointSuffix=x", _AZURE, stays="EndpointSuffix=x"),
    planted("https://x.blob.core.windows.net/a?sv=2024&sig=@0@", drawn(44)),
    planted("https://api.telegram.org/bot123456789:@0@/getMe", _TELEGRAM, stays="/getMe"),
    planted("https://hooks.slack.com/services/@0@", f"T{drawn(8)}/B{drawn(8)}/{drawn(24)}"),
    planted("AZURE_CLIENT=@0@", f"abc8Q~{drawn(34)}"),
    planted("headers = {'Authorization': 'Bearer @0@'}", _BEARER, stays="headers"),
    planted("Authorization: Bearer @0@\nAccept: */*", _BEARER, stays="Accept: */*"),
    planted("Authorization: Basic @0@", _BASIC),
    planted('{"Authorization": "Basic @0@"}', _BASIC),
    planted("Authorization: token @0@", _HEX40),
    planted("CLOUDFLARE_API_TOKEN=@0@", drawn(40, URL_SAFE)),
    planted("X-API-Key: @0@", _KEY32),
    planted("curl -u ann:@0@ https://example.com", "tr0ub4dor&3", stays="https://example.com"),
    planted("curl --user 'ann:@0@' https://example.com", "tr0ub4dor&3", stays="https://example.com"),
    planted("postgresql://ann:@0@@db.example.com:5432/app", "s3cr3t", stays="@db.example.com:5432/app"),
    planted("engine = create_engine('postgresql+psycopg://ann:@0@@localhost/db')", "p@ss:w0rd", stays="@localhost/db"),
    planted("mongodb+srv://ann:@0@@cluster0.mongodb.net/?retryWrites=true", "Xy7%21zz", stays="retryWrites=true"),
    planted("redis://:@0@@cache:6379/0", "mypassword1", stays="@cache:6379/0"),
    planted("git clone https://@0@@github.com/x/y.git", _HEX40, stays="github.com/x/y.git"),
    planted('f"mysql://root:@0@@{host}/db"', "hunter2", stays="{host}/db"),
    planted("host=db user=ann password=@0@ dbname=app", "hunter2x", stays="dbname=app"),
    planted("Server=db;UID=sa;PWD=@0@;Database=x", "Str0ng!Pw", stays="Database=x"),
    planted("password = '@0@'", "correct horse battery staple"),
    planted('PASSWORD = "@0@"', "swordfish"),
    planted("connect(user='ann', password='@0@', port=5)", "hunter2", stays="port=5"),
    planted("{'user': 'ann', 'passwd': '@0@'}", "it\\'s me 4", stays="'user': 'ann'"),
    planted('{\\"password\\": \\"@0@\\", \\"n\\": 1}', "hunter2!", stays="n"),
    planted("db:\n  user: ann\n  password: @0@\n  port: 1", "swordfish", stays="port: 1"),
    planted("export DB_PASSWORD=@0@\nexport X=1", "a,b;c&d1", stays="export X=1"),
    planted("password: SecretStr = '@0@'", "hunter22"),
    planted('os.environ["MY_SECRET"] = "@0@"', "s3cr3t-v4lue"),
    planted("SECRET_KEY = 'django-insecure-@0@'", drawn(50, LETTERS + "!@^&*()")),
    planted("client_secret: @0@", drawn(30)),
    planted("api_key: @0@", _KEY32),
    planted("API_KEY = '@0@'", _UUID),
    planted("apiKey=@0@&x=1", drawn(24), stays="x=1"),
    planted("token='@0@'", drawn(32)),
    planted("http://localhost:8888/lab?token=@0@", drawn(48, HEX), stays="http://localhost:8888/lab?token="),
    planted("mysql --password=@0@ -h db", "hunter2x", stays="-h db"),
    planted("tool --api-key @0@ run", _KEY32, stays="run"),
    planted("machine x.com login ann password @0@", "hunter2"),
    planted("CREATE USER ann IDENTIFIED BY '@0@';", "hunter2"),
    planted("ALTER ROLE ann WITH PASSWORD '@0@';", "hunter2"),
    planted("<password>@0@</password>", "hunter2", stays="</password>"),
    planted("df.password_hash = '@0@'", "$2b$12$" + drawn(53)),
    planted(f"before\n{_PEM}\nafter", *_LINES, _LAST, stays="after"),
    planted(repr({"key": _PEM, "n": 1}), *_LINES, _LAST, stays="'n': 1"),
    planted(f'{{"private_key": "{_PEM}"}}'.replace("\n", "\\n"), *_LINES, _LAST),
    planted(f"{_BEGIN}\n{_BODY}\n\nand more words", *_LINES, _LAST, stays="and more words"),
    planted("\n".join([_BEGIN, *_LINES[:2], _LINES[2][:30]]), *_LINES[:2], _LINES[2][:30]),
    planted(f"{_BEGIN}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0011\n\n{_BODY}", *_LINES, _LAST),
    planted(f"['{_BEGIN}',\n '" + "',\n '".join(_LINES) + "']", *_LINES),
    planted(_PGP, *_LINES, _LAST),
]  # fmt: skip

INNOCENT = [
    "",
    "Ordinary prose about passwords, tokens and secret gardens; the key is to keep calm.",
    "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "id = 550e8400-e29b-41d4-a716-446655440000",
    "primary_key: 550e8400-e29b-41d4-a716-446655440000",
    "cache_key = 'a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6'",
    "password = input()",
    "password = getpass.getpass('Password: ')",
    "password = config.password",
    "password=password",
    "password = user_password1",
    "self.password = password",
    'password = os.environ["DB_PASSWORD"]',
    "def login(user: str, password: str) -> None:",
    "password: str",
    "password: Optional[str] = None",
    "secret: str",
    "secret: SecretStr = Field(...)",
    "token = tokens[0]",
    "token = next(iter(tokens))",
    "tokens = text.split()",
    "for token in tokens: print(token)",
    "max_tokens=1024, token_count: 12345678",
    "tokenizer = AutoTokenizer.from_pretrained('bert-base-uncased')",
    "tokenizer.pad_token = '[PAD]'; eos_token='<|endoftext|>'",
    "token_type: bearer",
    'api_key=os.environ["X"]',
    "api_key = None",
    "api_key='your-api-key-here'",
    "api_key: ${API_KEY}",
    "API_KEY=<your key>",
    'API_KEY="..."',
    "password: ********",
    "password: required",
    '{"password": "The password field is required."}',
    '<input type="password" name="pw" placeholder="Enter your password">',
    "if password == confirm_password: ...",
    "PASSWORD_FIELD = 'password'",
    "f'postgresql://{user}:{password}@{host}/db'",
    "postgresql://localhost:5432/app",
    "https://example.com:8080/a?mail=ann@example.com",
    "ssh://git@github.com:22/x/y.git",
    "git@github.com:x/y.git",
    "docker run -u 1000:1000 image",
    "git push -u origin main:main",
    "basic understanding of bearer bonds and authorization in general",
    "Authorization: see the manual",
    "array([1.00000000e+00, 2.71828183e+00, 3.14159265e+00])",
    "[[0.12345678 0.87654321]\n [0.11111111 0.22222222]]",
    "0x7f8b1c2d3e4f, <object at 0x7f3a2c1b5d90>",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg==",
    "2024-01-15T10:30:00Z, 2024-01-15 10:30:00.123456+00:00",
    "token: 2024-01-15T10:30:00Z",
    "sk-learn, scikit-learn, risk-averse, task-1234567890",
    "#sk-container-id-1 div.sk-toggleable__content {color: black}",
    "ASIA, AFRICA, EUROPE; AKIAK is a town",
    "SKU 12345, SK-II, SG.Dashboard",
    "gl.drawArrays(gl.TRIANGLES, 0, 3); hf_hub_download('x'); npm_config_cache",
    "df['key'].value_counts(); sort(key=lambda x: x[1])",
    "secrets = ['a', 'b']; import secrets; secrets.token_hex()",
    "credentials: include; credential = flow.run()",
    'if text.startswith("-----BEGIN PRIVATE KEY-----"): ...',
    "-----BEGIN CERTIFICATE-----\nMIIDXTCCAkWgAwIBAgIJAKL0UG+mRkSvMA0GCSqGSIb3DQEBCwUA\n-----END CERTIFICATE-----",
    "pwd: /home/ann/work",
    "pass = 12 of 14 tests; passed: 140000",
    "SELECT password FROM users WHERE id = 12345",
    "password    object\ntoken        int64\ndtype: object",
    "author = 'Ann Smith'; authors: Ann, Bob; auth = False",
    "the keyboard: qwertz1; monkey=banana42banana; turkey: 12ab34cd56ef",
    "email ann@example.com, phone +49 170 1234567",
    "ds.sel(time='2000-01-01'); xr.Dataset({'eyJ': 1})",
    "https://arxiv.org/abs/2401.12345v2 and doi:10.1000/xyz123",
    "s3://bucket/a1b2c3d4/part-00000-7f9c24e5-2b31-4d6e.snappy.parquet",
    "UserWarning: pad_token_id set to 50256; access_key_id column",
]  # fmt: skip

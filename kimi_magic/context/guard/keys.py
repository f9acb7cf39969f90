"""Credentials that are known by their form: keys with a prefix, tokens, private keys, addresses with a password.

The source of a form is the rule of gitleaks named beside it (github.com/gitleaks/gitleaks, config/gitleaks.toml, MIT),
or what the line says; "GitHub" is its list of scanned secrets. Lengths are looser here: it is hidden, not reported.
"""

from __future__ import annotations

import base64
import binascii
import re

from kimi_magic.context.guard.rules import (
    COOKIE,
    PASSWORD,
    PEM,
    START,
    WEB_TOKEN,
    Rule,
    looks_random,
    placeholder,
    reading,
)
from kimi_magic.context.guard.spans import MASK, Span

__all__ = ["ANY_CASE", "EXACT"]

_W = r"[A-Za-z0-9_-]"
_AWS = r"[A-Z2-7]{16}(?![A-Z0-9])(?:[,;:\s\"'=]{1,5}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+]))?"


def _key(keyword: str, pattern: str, *, back: int = 0) -> Rule:
    return Rule(keyword, reading(pattern, back=back))


_KEYS = [
    _key("sk-ant-", rf"sk-ant-{_W}{{16,300}}"),  # anthropic-api-key
    _key("sk-", rf"{START}sk-(?:proj|svcacct|admin|None)-{_W}{{16,300}}"),  # openai-api-key
    _key("sk-", rf"{START}sk-(?:or-v1|lf)-{_W}{{16,300}}"),  # documentation of OpenRouter, Langfuse
    _key("sk-", rf"{START}sk-(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{{20,200}}"),  # openai-api-key, the old form; Moonshot
    _key("AKIA", rf"AKIA{_AWS}"),  # aws-access-token, and the secret beside it in a downloaded CSV
    _key("ASIA", rf"{START}ASIA{_AWS}"),  # aws-access-token
    _key("ABIA", rf"{START}ABIA{_AWS}"),  # aws-access-token
    _key("ACCA", rf"{START}ACCA{_AWS}"),  # aws-access-token
    _key("ABSK", r"ABSK[A-Za-z0-9+/]{100,270}={0,2}"),  # aws-amazon-bedrock-api-key-long-lived, of betterleaks
    _key("ghp_", r"ghp_[A-Za-z0-9]{30,255}"),  # github-pat
    _key("gho_", r"gho_[A-Za-z0-9]{30,255}"),  # github-oauth
    _key("ghu_", r"ghu_[A-Za-z0-9]{30,255}"),  # github-app-token
    _key("ghs_", r"ghs_[A-Za-z0-9]{30,255}"),  # github-app-token
    _key("ghr_", r"ghr_[A-Za-z0-9]{30,255}"),  # github-refresh-token
    _key("github_pat_", r"github_pat_\w{30,255}"),  # github-fine-grained-pat
    _key("gl", rf"{START}gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct|oas|wt)-[\w.-]{{16,300}}"),  # gitlab-pat …
    _key("xox", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,250}"),  # slack-bot-token …
    _key("xapp-", r"xapp-\d-[A-Za-z0-9-]{20,250}"),  # slack-app-token
    _key(
        "hooks.slack.com/", r"hooks\.slack\.com/(?:services|workflows|triggers)/([\w+/-]{20,120})"
    ),  # slack-webhook-url
    _key("api/webhooks/", rf"api/webhooks/\d{{15,21}}/({_W}{{50,100}})"),  # documentation of Discord
    _key("AIza", rf"AIza{_W}{{35}}"),  # gcp-api-key
    _key("ya29.", r"ya29\.[\w.-]{20,500}"),  # documentation of Google: OAuth access token
    _key("GOCSPX-", rf"GOCSPX-{_W}{{20,60}}"),  # GitHub: Google OAuth client secret
    _key("k_live_", r"[rs]k_live_[A-Za-z0-9]{10,200}", back=1),  # stripe-access-token
    _key("k_test_", r"[rs]k_test_[A-Za-z0-9]{10,200}", back=1),  # stripe-access-token
    _key("whsec_", r"whsec_[A-Za-z0-9+/]{24,100}={0,2}"),  # documentation of Stripe: webhook secret
    _key("hf_", rf"{START}hf_[A-Za-z0-9]{{30,60}}"),  # huggingface-access-token
    _key("api_org_", r"api_org_[A-Za-z0-9]{30,60}"),  # huggingface-organization-api-token
    _key("dckr_", r"dckr_[po]at_[\w-]{20,100}"),  # GitHub: Docker personal and organization access tokens
    _key("npm_", r"npm_[A-Za-z0-9]{36}"),  # npm-access-token
    _key("pypi-Ag", rf"pypi-Ag{_W}{{30,1000}}"),  # pypi-upload-token
    _key("SG.", rf"{START}SG\.{_W}{{16,40}}\.{_W}{{16,80}}"),  # sendgrid-api-token
    _key("SK", rf"{START}SK[0-9a-f]{{32}}(?![A-Za-z0-9])"),  # twilio-api-key
    _key("key-", rf"{START}key-[0-9a-f]{{32}}(?![A-Za-z0-9])"),  # mailgun-private-api-token
    _key("dapi", rf"{START}dapi[0-9a-f]{{32}}(?:-\d)?"),  # databricks-api-token
    _key("_v1_", r"do[opr]_v1_[0-9a-f]{64}", back=3),  # digitalocean-pat …
    _key("cf", rf"{START}cf(?:k|ut|at)_{_W}{{40,100}}"),  # documentation of Cloudflare: token formats
    _key("v1.0-", r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}"),  # cloudflare-origin-ca-key
    _key(":AA", rf"[0-9]{{8}}:(AA{_W}{{33}})(?!{_W})", back=8),  # telegram-bot-api-token
    _key("Q~", r"[\w~.]{3}\dQ~[\w~.-]{31,34}", back=4),  # azure-ad-client-secret
    _key("AccountKey=", r"AccountKey=([A-Za-z0-9+/]{40,100}={0,2})"),  # detect-secrets, AzureStorageKeyDetector
    _key("SharedAccessKey=", r"SharedAccessKey=([A-Za-z0-9+/]{30,100}={0,2})"),  # documentation of Azure: Service Bus
    _key("sig=", r"(?<=[?&;])sig=([A-Za-z0-9%+/_-]{30,120}={0,2})"),  # documentation of Azure: shared access signature
    _key("shp", rf"{START}shp(?:at|ca|pa|ss)_[0-9a-fA-F]{{32}}"),  # shopify-access-token …
    _key("ATATT3", r"ATATT3[\w=-]{100,300}"),  # atlassian-api-token
    _key("gsk_", rf"{START}gsk_[A-Za-z0-9]{{40,80}}"),  # GitHub: Groq
    _key("xai-", rf"{START}xai-[A-Za-z0-9]{{60,120}}"),  # GitHub: xAI
    _key("pplx-", r"pplx-[A-Za-z0-9]{40,80}"),  # perplexity-api-key
    _key("nvapi-", rf"nvapi-{_W}{{50,100}}"),  # GitHub: NVIDIA
    _key("r8_", rf"{START}r8_[A-Za-z0-9]{{37}}"),  # GitHub: Replicate
    _key("lsv2_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),  # GitHub: LangSmith
    _key("hvs.", rf"{START}hvs\.{_W}{{24,200}}"),  # vault-service-token
    _key("sb", rf"{START}(?:sbp_[0-9a-f]{{40}}|sb_secret_{_W}{{20,60}})"),  # GitHub: Supabase
    _key("lin_api_", r"lin_api_[A-Za-z0-9]{40}"),  # linear-api-key
    _key("ntn_", rf"{START}ntn_[A-Za-z0-9]{{40,60}}"),  # notion-api-token
    _key("dp.pt.", r"dp\.pt\.[A-Za-z0-9]{40,50}"),  # doppler-api-token
    _key("glsa_", r"glsa_[A-Za-z0-9]{32}_[0-9A-Fa-f]{8}"),  # grafana-service-account-token
    _key("sntry", r"sntry[su]_[\w+/=]{40,300}"),  # sentry-org-token, sentry-user-token
    _key("ops_eyJ", r"ops_eyJ[A-Za-z0-9+/]{100,3000}={0,3}"),  # 1password-service-account-token
    _key("A3-", r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}"),  # 1password-secret-key
    _key("AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),  # age-secret-key
]

_JWT = rf"{START}eyJ{_W}{{8,6000}}+={{0,2}}\.{_W}{{4,9000}}+={{0,2}}(?:\.{_W}{{0,3000}}+={{0,2}}){{0,3}}"

# A PEM block is whole, or its end is missing: then what counts is the lines of base64, however they are joined.
_GAP = r"(?:\\+[nrt]|[\s\"'+,|>\\#()]){1,24}"
_HEADER = r"(?:Proc-Type|DEK-Info|Comment|Version): ?[^\n\\\"']{1,100}"
_LINE = rf"(?:{_GAP})?[A-Za-z0-9+/]{{20,9000}}={{0,2}}"
_BEGIN = r"----[ -]BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?[ -]----"
_PEM = (
    rf"{_BEGIN}(?:(?:(?!BEGIN )[^{MASK}]){{0,20000}}?{_BEGIN.replace('BEGIN', 'END')}"
    rf"|(?:{_GAP}{_HEADER})*+(?:{_LINE})++(?:{_GAP}[A-Za-z0-9+/]{{1,80}}={{1,2}})?(?:…|\.\.\.)?)"
)

EXACT = [
    *_KEYS,
    Rule("eyJ", reading(_JWT, WEB_TOKEN)),  # jwt; RFC 7519 and, with five parts, RFC 7516
    Rule("-----BEGIN ", reading(_PEM, PEM)),  # private-key; RFC 7468
    Rule("---- BEGIN ", reading(_PEM, PEM)),  # RFC 4716, as private keys of SSH2 are written
]


def _filled_in(value: str) -> bool:
    return not placeholder(value)


def _drawn(value: str) -> bool:
    return looks_random(value, 16)


def _bearing(value: str) -> bool:
    return any(char.isdigit() for char in value) or _drawn(value)


def _pair(value: str) -> bool:
    """Whether this is base64 of name:password, as in an Authorization header."""
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)[1:]
    except (binascii.Error, ValueError):
        return False


_CURL = 300


def _of_curl(text: str, at: int) -> Span | None:
    """Read the password of -u only where curl is called: to docker, -u is a user's number."""
    return _user(text, at) if "curl" in text[max(0, at - _CURL) : at] else None


_Q = rf"\s\"'`<>\\{MASK}"
_user = reading(
    rf"(?<=[\s-])-?u(?:ser)?[ =]?\\*[\"']?[^:{_Q}]{{1,100}}:([^{_Q}]{{1,200}})", PASSWORD, accepts=_filled_in
)
_BASIC = r"basic[ \t]+([A-Za-z0-9+/]{8,600}={0,2})"
_BEARER = r"bearer(?:[ \t]+|%20)([\w.~+/-]{16,3000}={0,2})"
_NETRC = rf"login\s+[^{_Q}]{{1,100}}\s+password[ \t]+([^{_Q}]{{1,200}})"
_SQL = rf"(?:identified by|password) \\*[\"']([^\"'\n\\{MASK}]{{4,200}})\\*[\"']"

_ONE = rf"[\w.%-]{{1,80}}=[^;{_Q}]{{0,4000}}"
_COOKIE = rf"cookie\\*[\"']?[ \t]*:[ \t]*\\*[\"']?({_ONE}(?:;[ \t]*{_ONE}){{0,60}})"
_SIGNATURE = r"signature(?:=|%3d)([a-z0-9%+/_~-]{20,1000}={0,2})"


def _opening(value: str) -> bool:
    """Whether one of a header's cookies lets somebody in: by its name, or because it was drawn."""
    for cookie in value.split(";"):
        name, _, secret = cookie.strip().partition("=")
        if (
            len(secret) >= _SHORTEST_COOKIE
            and not placeholder(secret[:_LOOKED_AT])
            and (_SESSION.search(name) or _drawn(secret))
        ):
            return True
    return False


_SESSION = re.compile(r"(?i)sess|sid$|auth|token|login|jwt|csrf|xsrf")
_SHORTEST_COOKIE, _LOOKED_AT = 6, 200

ANY_CASE = [
    Rule("cookie", reading(_COOKIE, COOKIE, accepts=_opening, flags=re.IGNORECASE)),  # RFC 6265: Cookie, Set-Cookie
    # documentation of AWS and Google Cloud: signed addresses
    Rule("signature", reading(_SIGNATURE, accepts=_drawn, flags=re.IGNORECASE)),
    # RFC 3986, userinfo: name:password@, or a token alone
    Rule(
        "://",
        reading(rf"://[^/?#@:{_Q}]{{0,200}}:([^/?#{_Q}]{{1,300}})@(?=[\w\[.{{$%-])", PASSWORD, accepts=_filled_in),
    ),
    Rule("://", reading(rf"://([^/?#@:{_Q}]{{16,300}})@(?=[\w\[.{{$%-])", accepts=_drawn)),
    Rule("basic ", reading(_BASIC, PASSWORD, accepts=_pair, flags=re.IGNORECASE)),  # RFC 7617
    Rule("bearer", reading(_BEARER, accepts=_bearing, flags=re.IGNORECASE)),  # RFC 6750
    Rule("-u", _of_curl),  # the manual of curl: -u user:password
    Rule("login ", reading(_NETRC, PASSWORD, flags=re.IGNORECASE)),  # the manual of GNU inetutils: .netrc
    Rule(
        "identified by ", reading(_SQL, PASSWORD, accepts=_filled_in, flags=re.IGNORECASE)
    ),  # MySQL, Oracle: CREATE USER
    Rule("password ", reading(_SQL, PASSWORD, accepts=_filled_in, flags=re.IGNORECASE)),  # PostgreSQL: CREATE ROLE
]

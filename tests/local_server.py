"""Starts real local servers for tests, and asks them over real sockets."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

SERVER = [sys.executable, "-m", "kimi_magic.local"]
RUN = "/accounts/test-account/ai/run/local"
CHAT = "/accounts/test-account/ai/v1/chat/completions"


@contextmanager
def serving(*options: str) -> Iterator[httpx.Client]:
    """Run a server on a free port; the client carries its token and its base URL."""
    command = [*SERVER, "--port", "0", "--exit-with-parent", *options]
    env = {key: value for key, value in os.environ.items() if not key.startswith("KIMI_")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        ready = json.loads(process.stdout.readline())
        headers = {"authorization": f"Bearer {ready['token']}"}
        with httpx.Client(base_url=ready["url"], headers=headers, timeout=30, trust_env=False) as client:
            client.ready = ready
            client.process = process
            yield client
        process.stdin.close()
        process.wait(timeout=5)


def body_for(text: str, **more: Any) -> dict[str, Any]:
    """One question as a request body."""
    return {"messages": [{"role": "user", "content": text}], **more}


def frames_of(client: httpx.Client, text: str, *, headers: dict[str, str] | None = None, **more: Any) -> list[Any]:
    """Ask for a stream and decode its frames; `[DONE]` stays a string."""
    answer = client.post(RUN, json=body_for(text, stream=True, **more), headers=headers)
    assert answer.headers["content-type"] == "text/event-stream", answer.text
    return decoded(answer.content)


def decoded(content: bytes) -> list[Any]:
    """Decode the data frames of a stream."""
    data = [raw.removeprefix(b"data: ") for raw in content.split(b"\n\n") if raw.startswith(b"data: ")]
    return ["[DONE]" if raw == b"[DONE]" else json.loads(raw) for raw in data]


def text_in(frames: list[Any], key: str = "content") -> str:
    """Join what the deltas of the frames carry under `key`."""
    deltas = [frame["choices"][0]["delta"] for frame in frames if frame != "[DONE]" and frame.get("choices")]
    return "".join(delta.get(key) or "" for delta in deltas)


def recorded(client: httpx.Client) -> list[dict[str, Any]]:
    """Return what the scripted server has recorded."""
    return client.get(client.ready["url"].removesuffix("/client/v4") + "/scripted/requests").json()


def error_of(answer: httpx.Response) -> tuple[int, int, str]:
    """Return status, code and message of a refusal, having checked its envelope."""
    body = answer.json()
    assert body["success"] is False
    assert body["messages"] == []
    return answer.status_code, body["errors"][0]["code"], body["errors"][0]["message"]


def cpu_ticks(process: subprocess.Popen[str]) -> int:
    """Hundredths of a second of processor time that the server has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])

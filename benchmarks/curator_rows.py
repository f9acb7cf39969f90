"""The peer of `jobs_rows`: bespokelabs-curator asks the same question of as many rows, at a server of the same kind.

It runs in an environment of its own, because its dependencies are many. No cache, no telemetry, no
limits of its own, as many requests at a time as ours; it counts tokens with the vocabulary that LiteLLM brings.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from benchmarks.memory import peak

__all__ = ["asked"]

_PACKAGE = "bespokelabs-curator==0.1.31"
_ROOT = Path(__file__).parents[1]
_FOLDER = _ROOT / ".venv" / "curator"
AT_A_TIME = 64


def asked(url: str, token: str, model: str, rows: int) -> dict[str, float]:
    """Ask about so many rows; give the `seconds` that took, those of `cpu`, and the peak of memory in `megabytes`.

    One row was asked about before, so that all is imported.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [_python(), "-m", "benchmarks.curator_rows", url, token, model, str(rows), folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _python() -> str:
    """Give the interpreter of the peer's own environment, made once: about a minute, and 900 MB."""
    python = _FOLDER / "bin" / "python"
    if not (_FOLDER / "made").exists():
        venv.create(_FOLDER, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", _PACKAGE], check=True)
        (_FOLDER / "made").touch()
    return str(python)


def _ask(url: str, token: str, model: str, rows: int, folder: str) -> dict[str, float]:
    found = importlib.util.find_spec("litellm")
    assert found is not None
    assert found.origin is not None
    os.environ |= {
        "CURATOR_DISABLE_CACHE": "1",
        "CURATOR_DISABLE_RICH_DISPLAY": "1",
        "CURATOR_CACHE_DIR": folder,
        "TELEMETRY_ENABLED": "false",
        "HF_HUB_OFFLINE": "1",
        "OPENAI_API_KEY": token,
        "TIKTOKEN_CACHE_DIR": str(Path(found.origin).parent / "litellm_core_utils" / "tokenizers"),
    }
    from bespokelabs import curator

    class Classify(curator.LLM):  # type: ignore[misc]  # it has no types
        def prompt(self, row: dict[str, str]) -> str:
            return f"Classify: {row['review']}"

        def parse(self, row: dict[str, str], reply: Any) -> dict[str, str]:
            return {"review": row["review"], "reply": str(reply)}

    limits = {
        "base_url": url,
        "max_requests_per_minute": 10_000_000,
        "max_tokens_per_minute": 10**12,
        "max_concurrent_requests": AT_A_TIME,
    }
    classify = Classify(model_name=model, backend="openai", backend_params=limits)
    given = [{"review": f"review number {n}"} for n in range(rows)]
    classify(given[:1])
    began, cpu = time.perf_counter(), time.process_time()
    classify(given)
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "megabytes": peak()}


if __name__ == "__main__":
    print(json.dumps(_ask(*sys.argv[1:4], int(sys.argv[4]), sys.argv[5])))

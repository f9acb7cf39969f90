"""Fitted models: what was asked for, what was learned, and no private names.

scikit-learn, statsmodels and PyTorch are recognised by the modules that a class comes from, like any kind.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any

from kimi_magic.context import kinds
from kimi_magic.context.description import Description, Look
from kimi_magic.context.objects import containers
from kimi_magic.context.objects.saying import counted, legible, private_name, said, static, type_name

__all__ = ["brief", "describe"]

_DEEPEST, _STEPS, _FEATURES = 3, 20, 40
_PRIVATE = "[private]"


def describe(obj: object, look: Look) -> Description | None:
    """Describe an estimator, a results object or a network; None for anything else."""
    roots = kinds.roots(obj)
    if "sklearn" in roots and callable(static(obj, "get_params")):
        return _estimator(obj, look)
    if "statsmodels" in roots and callable(static(obj, "summary") or getattr(type(obj), "summary", None)):
        return _results(obj, look)
    if "statsmodels" in roots and static(obj, "_results") is None and hasattr(obj, "_results"):
        return _results(obj, look)
    if "torch" in roots and callable(static(obj, "named_parameters")):
        return _network(obj, look)
    return None


def brief(obj: object, look: Look) -> str | None:
    """Say in one line what sort of model it is; None for anything else."""
    roots = kinds.roots(obj)
    room = min(look.room, 160)
    if "sklearn" in roots and callable(static(obj, "get_params")):
        return look.word(f"{_called(obj, look)}, {_state(obj)}", room)
    if "torch" in roots and callable(static(obj, "named_parameters")):
        return look.word(f"{type_name(obj)}, {_weights(obj)}", room)
    return look.word(f"{type_name(obj)} object", room) if "statsmodels" in roots else None


def _estimator(obj: Any, look: Look) -> Description:
    """Describe a scikit-learn estimator: its parameters that are not the default, then what fitting left in it."""
    withheld: set[str] = set()
    text = "\n".join(_fitted(obj, look, 0, withheld))
    return Description.of("model", look.text(legible(text)), shape=_state(obj), withheld=tuple(sorted(withheld)))


def _state(obj: object) -> str:
    fitted = [name for name in vars(obj) if name.endswith("_") and not name.startswith("_")]
    if "n_features_in_" in fitted:
        return f"fitted on {counted(vars(obj)['n_features_in_'], 'feature')}"
    inner = [step for _, step, _ in _steps(obj)]
    return "fitted" if fitted or any(_state(step) != "not fitted" for step in inner) else "not fitted"


def _called(obj: Any, look: Look) -> str:
    """Write an estimator as the call that makes it, without what is the default anyway."""
    import inspect

    try:
        given = obj.get_params(deep=False)
        defaults = inspect.signature(type(obj).__init__).parameters
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # a user's estimator with an odd signature
        return type_name(obj)
    steps = {id(value) for value in vars(obj).values() if isinstance(value, list)} if _steps(obj) else set()
    words = [
        f"{name}={_worth(value, look)}"
        for name, value in sorted(given.items())
        if id(value) not in steps and not (name in defaults and said(defaults[name].default) == said(value))
    ]
    return f"{type_name(obj)}({', '.join(words)})"


def _worth(value: object, look: Look) -> str:
    if "sklearn" in kinds.roots(value) and callable(static(value, "get_params")):
        return _called(value, look)
    if value is None or isinstance(value, bool | int | float | str):
        return look.word(repr(value), 120)
    return kinds.brief(value, look.deeper(200))


def _steps(obj: object) -> list[tuple[str, object, object]]:
    """Give the named estimators inside of a pipeline, a column transformer or an ensemble, with their columns."""
    for name in ("transformers_", "steps", "transformers", "transformer_list", "estimators"):
        found = vars(obj).get(name) if hasattr(type(obj), "get_params") else None
        if isinstance(found, list) and found and all(isinstance(step, tuple) and len(step) > 1 for step in found):
            return [(str(step[0]), step[1], step[2] if len(step) > 2 else None) for step in found]  # noqa: PLR2004
    return []


def _fitted(obj: Any, look: Look, depth: int, withheld: set[str]) -> list[str]:
    lines = [f"{_called(obj, look)}, {_state(obj)}"]
    known = {name: value for name, value in vars(obj).items() if name.endswith("_") and not name.startswith("_")}
    names = _names(known.get("feature_names_in_"))
    private = [name for name in names if private_name(name, look)]
    withheld |= {name for name in private if look.hides(name)}
    steps = _steps(obj)
    for name, value in known.items():
        if name == "feature_names_in_":
            words = _listed([_PRIVATE if item in private else item for item in names], look)
        elif name in ("transformers_", "refit_time_"):
            continue
        else:
            # Categories, means and medians are made of the data; with a private column among it only sizes are told.
            words = containers.scalar(value) or (_sized(value) if private else kinds.brief(value, look.deeper(160)))
        lines.append(f"{name}: {words}")
    for name, step, columns in steps[:_STEPS] if depth < _DEEPEST else []:
        heading = f"step {look.word(name)}" + (
            f" on {_columns(columns, look, withheld)}" if columns is not None else ""
        )
        if not callable(static(step, "get_params")):
            lines.append(f"{heading}: {look.word(said(step))}")
            continue
        lines += [f"{heading}:", *(f"  {line}" for line in _fitted(step, look, depth + 1, withheld))]
    return lines


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, Iterable) and not isinstance(value, str) else []


def _columns(columns: object, look: Look, withheld: set[str]) -> str:
    names = _names(columns)
    withheld |= {name for name in names if look.hides(name)}
    return _listed([_PRIVATE if private_name(name, look) else name for name in names], look) if names else said(columns)


def _listed(names: list[str], look: Look) -> str:
    more = f", … {len(names) - _FEATURES:,} more" if len(names) > _FEATURES else ""
    return ", ".join(look.word(name) for name in names[:_FEATURES]) + more


def _sized(value: object) -> str:
    """Say a value's type and size alone."""
    shape = getattr(value, "shape", None)
    size = " × ".join(map(str, shape)) if isinstance(shape, tuple) else ""
    if not size and isinstance(value, list | tuple | dict | set):
        size = str(len(value))
    return f"{type_name(value)} {size}".rstrip()


_DATE = re.compile(r"\b(?:Date|Time):\s+\S(?:[^\n ]| (?! ))*")


def _results(obj: Any, look: Look) -> Description:
    """Describe what a statsmodels fit gave, as its summary does, without the date and time of writing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a test that needs more rows than there are
        text = obj.summary().as_text()
    text = _DATE.sub(lambda found: " " * len(found[0]), text)
    names = {*_names(getattr(obj.model, "exog_names", None)), *_names(getattr(obj.params, "index", None))}
    endog = getattr(obj.model, "endog_names", None)
    names |= {endog} if isinstance(endog, str) else set(_names(endog))
    private = sorted((name for name in names if private_name(name, look)), key=lambda name: (-len(name), name))
    for name in private:
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)( *)", lambda found: _padded(found[0], found[1]), text)
    lines = [line.rstrip() for line in text.splitlines()]
    kept = "\n".join(line for n, line in enumerate(lines) if line or (n and lines[n - 1]))
    withheld = tuple(sorted(name for name in private if look.hides(name)))
    return Description.of("model", look.text(legible(kept)), shape=type_name(obj.model), withheld=withheld)


def _padded(found: str, spaces: str) -> str:
    """Put the mark where a name stood; where spaces follow, they give or take, so that columns stay in line."""
    return _PRIVATE + " " * max(1, len(found) - len(_PRIVATE)) if spaces else _PRIVATE


def _network(obj: Any, look: Look) -> Description:
    text = legible(said(obj))
    return Description.of("model", look.text(f"{text}\n{_weights(obj)}"), shape=_weights(obj))


def _weights(obj: Any) -> str:
    """Count the numbers in a PyTorch module."""
    sizes = [(parameter.numel(), parameter.requires_grad) for _, parameter in obj.named_parameters()]
    every, trained = sum(size for size, _ in sizes), sum(size for size, grad in sizes if grad)
    rest = "" if every == trained else f", {trained:,} of them trained"
    return counted(every, "parameter") + rest

"""A stand-in until the branch `schema` is merged: just enough to build tools against."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints


class Invalid(Exception):
    """Arguments that do not fit."""


@dataclass(frozen=True)
class Parameters:
    """A function's parameters."""

    schema: dict[str, Any]
    description: str
    function: Callable[..., Any]
    model: Any

    def validate(self, arguments: str | dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Check."""
        from pydantic import ValidationError

        given = json.loads(arguments) if isinstance(arguments, str) else arguments
        try:
            checked = self.model.model_validate(given)
        except ValidationError as error:
            raise Invalid(str(error)) from None
        return (), {name: getattr(checked, name) for name in checked.model_fields_set}


def parameters(function: Callable[..., Any]) -> Parameters:
    """Read a function's parameters."""
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, Any), ... if p.default is p.empty else p.default)
        for p in inspect.signature(function).parameters.values()
    }
    model = create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)
    return Parameters(model.model_json_schema(), inspect.getdoc(function) or "", function, model)

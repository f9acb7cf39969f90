"""A call as the model made it, and what came of it."""

from kimi_magic.calls import Outcome, State, interrupted
from kimi_magic.messages import ToolCall as Call

__all__ = ["Call", "Outcome", "State", "interrupted"]

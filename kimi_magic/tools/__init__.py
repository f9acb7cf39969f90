"""Functions that the model may call.

`functions` makes a Tool of a function, `naming` finds those that a cell names, and a `toolbox.Toolbox` answers the
calls of one reply: it checks arguments, asks where the user has to agree, runs the functions (`watchdog` for those of
the cell's thread, `loops` for async ones) and makes what they give into text and pictures (`results`). A failure is
words for the model, never an exception. Nothing here knows the wire or the conversation.
"""

from kimi_magic.tools.functions import Tool, tool
from kimi_magic.tools.naming import named

__all__ = ["Tool", "named", "tool"]

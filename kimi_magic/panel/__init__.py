"""The panel: a chat in the notebook that shares the session of its cells.

The kernel's side of it. `panel` owns what a user can do in it, `transcript` what stands in it, `live` a reply that
arrives, `worker` the threads on which all of that happens; `widget` is the one that talks to the front end.
"""

from kimi_magic.panel.opened import chat

__all__ = ["chat"]

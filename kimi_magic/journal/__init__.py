"""The journal: finished exchanges, kept under the hash of their request, so that an equal request need not be sent.

It stands in front of the transport and is spoken to like one: `Journal.recording` notes what a transport brings,
`Replay` brings again what was noted. Files of recordings (`files`) lie beside a notebook and are made for review.
"""

from kimi_magic.journal.keeping import Journal, Replay

__all__ = ["Journal", "Replay"]

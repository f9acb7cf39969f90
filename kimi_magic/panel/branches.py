"""Going between the branches of a conversation by the arrows of a turn."""

from __future__ import annotations

from kimi_magic.conversation import Conversation

__all__ = ["newest_below"]


def newest_below(conversation: Conversation, number: int) -> int:
    """Give the last turn that follows this one, where it was left off last; this one, where none does."""
    newest = {number}
    for turn in sorted(conversation.tree):  # a turn is always younger than the one that it follows
        if conversation.tree[turn].parent in newest:
            newest.add(turn)
    return max(newest)

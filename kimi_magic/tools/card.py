from kimi_magic.card import html, plain

__all__ = ["html", "plain"]

"""What a server's tool gave → what is described to the model: text, a value, pictures."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from kimi_magic.context import images
from kimi_magic.context.description import Description, Look
from kimi_magic.errors import CommandError
from kimi_magic.messages import Image, Part, Text

if TYPE_CHECKING:
    from mcp.types import CallToolResult

__all__ = ["ToolError", "given"]


class ToolError(Exception):
    """The server's tool failed; the message is its own."""


def given(result: CallToolResult, look: Look) -> object:
    """Give what a call came to.

    Text alone is a str, so that what is too long for the model stays here as a variable; a value without text is
    itself; anything with pictures or files in it is a Description. Raises ToolError where the server says that it
    failed.
    """
    parts = [part for block in result.content for part in _parts(block, look)]
    text = "\n".join(part.text for part in parts if isinstance(part, Text))
    if result.is_error:
        raise ToolError(text or "it failed, and does not say why")
    if any(isinstance(part, Image) for part in parts):
        return Description("result", (Text(look.text(text)), *(part for part in parts if isinstance(part, Image))))
    if text or result.structured_content is None:
        return text or None
    return result.structured_content


def _parts(block: Any, look: Look) -> list[Part]:
    """Give a piece of content as parts; what is neither text nor picture is named."""
    match block.type:
        case "text":
            return [Text(block.text)]
        case "image":
            return [_picture(block.data, block.mime_type, look)]
        case "resource":
            return _resource(block.resource, look)
        case "resource_link":
            return [Text(f"[{block.name}: {block.uri}]")]
    return [Text(f"[{block.type} that is not shown]")]


def _resource(resource: Any, look: Look) -> list[Part]:
    if hasattr(resource, "text"):
        return [Text(resource.text)]
    kind = resource.mime_type or "unknown type"
    if kind.startswith("image/"):
        return [_picture(resource.blob, kind, look)]
    return [Text(f"[{resource.uri}: a file of {kind}, {len(resource.blob) * 3 // 4:,} bytes, that is not shown]")]


def _picture(data: str, kind: str, look: Look) -> Part:
    if not look.pictures:
        return Text("[a picture, which this model does not see]")
    try:
        return images.part(base64.b64decode(data), look)
    except (CommandError, binascii.Error):
        return Text(f"[a picture of {kind} that cannot be read]")

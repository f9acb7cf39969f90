"""An MCP server of the older kind, by hand, that can misbehave: `python mcp_raw.py HOW`."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

HOW = sys.argv[1] if len(sys.argv) > 1 else ""
TOOLS: list[dict[str, Any]] = [
    {"name": "files/read.one", "description": "D" * 9_000, "inputSchema": {"type": "object"}},
    {"name": "files read.one", "inputSchema": {"type": "object", "properties": {"at": {"$ref": "#/$defs/at"}},
     "required": ["at"], "$defs": {"at": {"type": "string", "pattern": "^/"}}}},
    {"name": "n" * 100, "inputSchema": {"type": "object", "properties": {"self": {}, "a b": {"enum": [1, 2]}}}},
    {"name": "no-schema", "inputSchema": {"type": "object", "properties": {"x": {"type": "nothing"}}}},
    {"name": "elsewhere", "inputSchema": {"type": "object", "properties": {"x": {"$ref": "http://127.0.0.1:1/x"}}}},
]  # fmt: skip


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        info = {"name": "raw", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        at = int(params.get("cursor", 0))
        return {"tools": TOOLS[at : at + 2], **({"nextCursor": str(at + 2)} if at + 2 < len(TOOLS) else {})}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": json.dumps(params)}]}
    return None


def main() -> None:
    if HOW == "leaves":
        print("no licence\nfound", file=sys.stderr)
        sys.exit(3)
    if HOW == "garbage":
        print("Starting \x1b[31mserver\x1b[0m …", flush=True)
        print("{not json", flush=True)
    if HOW in ("silent", "garbage"):
        time.sleep(600)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        if HOW == "noisy":
            print("some words between the messages", flush=True)
        result = answer(message["method"], message.get("params", {}))
        refusal = {"error": {"code": -32601, "message": "no such method"}}
        print(
            json.dumps({"jsonrpc": "2.0", "id": message["id"]} | (refusal if result is None else {"result": result})),
            flush=True,
        )
    if HOW == "stays":
        time.sleep(600)


if __name__ == "__main__":
    main()

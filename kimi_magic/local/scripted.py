"""The scripted engine: obeys the directives in the last question, at once and always in the same way.

It counts four characters as one token, and finds cached tokens as the true service does: whole blocks of the longest
prefix that an earlier request with the same `x-session-affinity` had.
"""

import asyncio
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import chain
from typing import Any

from . import faults, queue_faults
from .calls import leaked
from .directives import Fault, Script
from .engine import (
    Answer,
    Ask,
    Completion,
    Cut,
    ModelCard,
    Refusal,
    Silence,
    Stream,
    check_messages,
    no_such_model,
    refused,
    text_of,
    too_long,
)
from .frames import Framer, Reply
from .prose import TOKEN, count_tokens, cut_tokens, markdown, reply_to
from .rounds import after_question, asked, now, parts

BLOCK = 64
"""Tokens of one block of the prefix cache."""
BATCH = 64
"""Frames written to the socket at once, when nothing slows them down."""
KIMI = ("@cf/moonshotai/", "moonshotai/")
GONE = "@cf/gone/model"
QUEUED = ("local", "scripted", "@cf/moonshotai/kimi-k2.6")
"""Models that take batches: of Kimi's, only K2.6 says so."""
REMEMBERED = 64
"""Requests per affinity whose prefixes are kept."""


class Scripted:
    """An engine for tests, and for notebooks where no model can run."""

    name = "scripted"
    model = "scripted"

    def __init__(self, context: int) -> None:
        self.context = context
        self.strikes: Counter[tuple[str, str, int]] = Counter()
        self.prompts: defaultdict[str, list[str]] = defaultdict(list)

    def catalogue(self) -> list[ModelCard]:
        """List itself, and the models that it can stand in for."""
        stand_ins = [f"@cf/moonshotai/{name}" for name in ("kimi-k2.5", "kimi-k2.6", "kimi-k2.7-code")]
        text = "Deterministic replies for tests"
        return [
            ModelCard(name, text, self.context, reasoning=True, queue=name in QUEUED)
            for name in ("local", "scripted", *stand_ins)
        ]

    def admit(self, model: str) -> None:
        """Know its own names and all of Kimi's."""
        if model == GONE:
            raise Refusal(410, 5028, f"Model {model} was deprecated and is no longer available")
        if model not in ("local", "scripted") and not model.startswith(KIMI):
            raise no_such_model(model)

    def forget(self) -> None:
        """Start counting strikes afresh."""
        self.strikes.clear()

    async def answer(self, ask: Ask) -> Answer:
        """Do what the script says."""
        script = self.read(ask)
        fault = self.next_fault(script, ask)
        await asyncio.sleep(script.first)
        if fault is not None and (answer := self.instead(fault, ask, streams=ask.stream and not script.json)):
            return answer
        framer = self.framer(ask, script)
        if script.json or not ask.stream:
            return Completion(framer.completion())
        return Stream(play(framer, fault), fault=fault is not None)

    def read(self, ask: Ask) -> Script:
        """Parse the question, and find the part for this round; what cannot be understood is refused."""
        try:
            rounds = parts(ask.messages, ask.body.get("tools"))
            for fault in (fault for script in rounds for fault in script.faults):
                faults.check(fault)
        except ValueError as exc:
            raise refused(400, 5004, str(exc), ask.request_id) from exc
        return now(rounds, ask)

    def next_fault(self, script: Script, ask: Ask) -> Fault | None:
        """Return the first fault that has strikes left, and count this one."""
        found = (n for n, fault in enumerate(script.faults) if faults.strikes(fault, ask))
        return next((script.faults[n] for n in found if self.counted(n, script, ask)), None)

    def counted(self, n: int, script: Script, ask: Ask) -> bool:
        """Tell whether the n-th fault has strikes left, and count this one."""
        key = (ask.affinity, asked(ask.messages), n)
        self.strikes[key] += 1
        times = script.faults[n].times
        return times is None or self.strikes[key] <= times

    def queue_faults(self, asks: Sequence[Ask]) -> dict[str, Any]:
        """Look into each question of a batch; one that cannot be understood fails later."""
        struck: dict[str, Any] = {}
        for place, ask in enumerate(asks):
            try:
                check_messages(ask.body)
                script = self.read(ask)
            except Refusal:
                continue
            for n, fault in enumerate(script.faults):
                if fault.name in queue_faults.ALL and self.counted(n, script, ask):
                    struck.setdefault(fault.name, queue_faults.noted(fault))["items"].append(place)
        return struck

    def instead(self, fault: Fault, ask: Ask, *, streams: bool) -> Answer | None:
        """Return or raise what comes instead of a reply; None when the fault strikes inside the stream."""
        if fault.name.isdecimal() or (fault.name == "schema" and fault.shape != "unmet"):
            raise faults.refusal(fault, ask.model, self.context, ask.request_id)
        if fault.name in faults.WHOLE:
            return faults.whole(fault)
        if not streams and fault.name in ("cut", "reset"):
            raise Cut(reset=fault.name == "reset")
        return None if streams or fault.name != "silence" else Silence()

    def framer(self, ask: Ask, script: Script) -> Framer:
        """Compose the reply. Raises `Refusal` when it could not fit into the context."""
        prompt = serialised(ask)
        tokens = count_tokens(len(prompt))
        if tokens + (ask.max_tokens or 0) > self.context:
            raise too_long(tokens + (ask.max_tokens or 0), self.context, ask.request_id)
        cached = self.cached(ask.affinity, prompt, tokens)
        return Framer(ask, script, compose(ask, script), tokens, cached)

    def cached(self, affinity: str, prompt: str, tokens: int) -> int:
        """Return how many tokens of the prompt an earlier one began with, and remember this one."""
        if not affinity:
            return 0
        earlier = self.prompts[affinity]
        blocks = 0
        for other in earlier:
            blocks = shared_blocks(prompt, other, blocks)
        earlier.append(prompt)
        del earlier[:-REMEMBERED]
        return min(blocks, (tokens - 1) // BLOCK) * BLOCK


def shared_blocks(one: str, other: str, least: int) -> int:
    """Return how many whole blocks the two begin with in common; `least` where it is fewer than that."""
    size = BLOCK * TOKEN
    most = min(len(one), len(other)) // size
    shared = least
    if one.startswith(other[: (least + 1) * size]):
        while shared < most and one.startswith(other[shared * size : (shared + 1) * size], shared * size):
            shared += 1
    return shared


def serialised(ask: Ask) -> str:
    """Return the prompt as text: tools before messages, as in the true one; a picture is its digest."""
    parts = [ask.body.get("tools") or [], *ask.messages]
    return "".join(json.dumps(shortened(part), ensure_ascii=False) for part in parts)


def shortened(value: object) -> object:
    """Replace each data URL by its digest."""
    if isinstance(value, str) and value.startswith("data:"):
        return hashlib.sha256(value.encode()).hexdigest()
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    return value


def compose(ask: Ask, script: Script) -> Reply:
    """Decide what is thought, said and called, within the limit that the client set."""
    calls = script.calls
    said, thought = "".join(script.beside) if calls else words(ask, script), "".join(script.thought)
    said, thought = said + leak(script, "leaked"), thought + leak(script, "leaked-thinking")
    thinking = [] if thinking_is_off(ask) else cut_tokens(thought)
    content = cut_tokens(said)
    limit = ask.max_tokens
    if limit is not None and len(thinking) + len(content) > limit:
        content = content[: max(0, limit - len(thinking))]
        return Reply(thinking[:limit], content, (), script.finish or "length")
    if script.shape.startswith("leaked"):
        return Reply(thinking, content, (), script.finish or "stop")
    finish = "tool_calls" if calls and script.shape != "stop" else "stop"
    return Reply(thinking, content, calls, script.finish or finish)


def leak(script: Script, shape: str) -> str:
    """Return the calls as text, where the script wants them to stand in this one."""
    return leaked(script.calls) if script.shape == shape else ""


def words(ask: Ask, script: Script) -> str:
    """Return the text of the reply."""
    if script.said or script.tokens is not None:
        return "".join(script.said) + markdown(script.tokens or 0)
    if results := [message for message in after_question(ask.messages) if message["role"] == "tool"]:
        return "The tools answered: " + "; ".join(text_of(result) for result in results)
    return reply_to(ask.messages, dict(ask.body))


def thinking_is_off(ask: Ask) -> bool:
    """Tell whether the client switched thinking off, under either of the names that are in use."""
    settings = ask.body.get("chat_template_kwargs")
    return isinstance(settings, dict) and False in (settings.get("thinking"), settings.get("enable_thinking"))


async def play(framer: Framer, fault: Fault | None) -> AsyncIterator[bytes]:
    """Yield the stream, whole or as the fault leaves it."""
    frames = faults.spoilt(framer, fault) if fault else framer.whole()
    async for data in paced(framer.script, frames):
        yield data
    match fault:
        case Fault(name="silence"):
            await asyncio.Event().wait()
        case Fault(name="cut" | "reset" as name):
            raise Cut(reset=name == "reset")


async def paced(script: Script, frames: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the frames in batches, each token when it is due.

    The first frame is the opening; the n-th after it is the n-th token.
    """
    clock = asyncio.get_running_loop().time
    start = clock()
    waiting: list[bytes] = []
    pause = script.pause
    for n, data in enumerate(chain(frames, (b"",)), start=-1):
        wait = n / script.rate - (clock() - start) if script.rate and n >= 0 else 0.0
        if pause is not None and n == pause.after:
            wait = max(wait, 0.0) + pause.seconds
            start += pause.seconds
        if waiting and (wait > 0 or len(waiting) >= BATCH):
            yield b"".join(waiting)
            waiting.clear()
        if wait > 0:
            await asyncio.sleep(wait)
        waiting.append(b": keepalive\n\n" + data if script.keepalive and data else data)
    yield b"".join(waiting)

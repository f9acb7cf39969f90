"""Answers the calls of one reply. Whatever a tool does, every call gets an Outcome; only KeyboardInterrupt gets out."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from kimi_magic import schema, wire
from kimi_magic.calls import Outcome, State, interrupted
from kimi_magic.context import kinds
from kimi_magic.context.description import Look
from kimi_magic.context.template import near_names
from kimi_magic.messages import ToolCall
from kimi_magic.tools import approval, arguments, faults, handles, loops, results
from kimi_magic.tools.functions import Tool
from kimi_magic.tools.running import Ran, run
from kimi_magic.tools.watchdog import ctrl_c_raises
from kimi_magic.wire import Function

__all__ = ["Toolbox"]

_TOGETHER = 48_000
"""Characters that the results of one reply may have together."""
_LEAST_ROOM = 400
_AT_ONCE = 0.5
"""Seconds after its limit in which a function that is stopped has ended."""
_QUICK = (str, int, float, bool, type(None))
"""What is described at once, so that it needs no limit."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A call whose arguments fit and that the user agrees to."""

    call: ToolCall
    tool: Tool
    given: arguments.Bound

    def begin(self) -> Any:
        """ToolCall the function."""
        given = self.given.arguments
        return self.tool.function(*given.args, **given.kwargs)


class Toolbox:
    """The tools of one ask, and the namespace that their results are kept in.

    `look` says how results are described: its guard, its room for one (the results of one reply share 48,000
    characters, or `room` where that is less), and whether the model sees pictures. `policy` and `ask` decide about
    tools that want approval; `starting` is told of each call just before its function is called. One thread uses it at
    a time; `stop` is for any other.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        namespace: MutableMapping[str, Any],
        look: Look,
        *,
        policy: approval.Policy = "ask",
        ask: approval.Approval | None = None,
        starting: Callable[[ToolCall], None] = lambda _: None,
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self._namespace = namespace
        self._look = look
        self._policy: approval.Policy = policy
        self._ask = ask
        self.starting = starting
        self.room = _TOGETHER
        self._stopped = threading.Event()

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """What a request declares of them, sorted by name."""
        return tuple(
            Function(name, tool.description, wire.canonical(tool.schema).decode())
            for name, tool in sorted(self.tools.items())
        )

    def recall(self, texts: Iterable[str]) -> None:
        """Take notice of the handles that these texts of the conversation name: their numbers are not given again."""
        handles.recall(texts, self._namespace)

    def stop(self) -> None:
        """End what runs, from any thread: async tools are cancelled, others are the last to run to their end."""
        self._stopped.set()

    def run(self, calls: Sequence[ToolCall]) -> Iterator[Outcome]:
        """Answer the calls of one reply, each once, as they end; the caller puts them in order again.

        The async ones are checked and asked for, and run together; then each of the others is checked, asked for and
        run on this thread, in their order. On KeyboardInterrupt what has not been answered is for `calls.interrupted`.
        """
        with ctrl_c_raises():
            yield from self._answers(calls)

    def _answers(self, calls: Sequence[ToolCall]) -> Iterator[Outcome]:
        count = max(1, len(calls))
        least = min(_LEAST_ROOM, self.room // count)
        look = replace(self._look, room=max(least, min(self._look.room, _TOGETHER // count, self.room // count)))
        together: list[_Ready] = []
        for call in filter(self._is_async, calls):
            checked = self._checked(call, look)
            if isinstance(checked, Outcome):
                yield checked
            else:
                together.append(checked)
        for one in together:
            self.starting(one.call)
        yield from self._together([(one, one.begin) for one in together], look)
        for call in calls:
            if self._is_async(call):
                continue
            if self._stopped.is_set():
                yield interrupted(call)
                continue
            checked = self._checked(call, look)
            yield from [checked] if isinstance(checked, Outcome) else self._alone(checked, look)

    def _is_async(self, call: ToolCall) -> bool:
        return call.name in self.tools and self.tools[call.name].asynchronous

    def _checked(self, call: ToolCall, look: Look) -> _Ready | Outcome:
        tool = self.tools.get(call.name)
        if tool is None:
            near = near_names(call.name[:80], self.tools)[:3] or sorted(self.tools)[:20]
            there = f" There is {', '.join(near)}." if near else ""
            return self._said(call, f"There is no tool {call.name[:80]!r}.{there}", "unknown", look)
        try:
            given = arguments.bound(tool, call.arguments, self._namespace)
        except schema.Invalid as reason:
            return self._said(call, f"The arguments do not fit, so it was not called.\n{reason}", "invalid", look)
        except Exception as error:  # noqa: BLE001  # the user's own validators, and what they may raise
            return self._said(call, f"The arguments cannot be read: {type(error).__name__}.", "invalid", look)
        refusal = approval.agreed(tool, given.shown, self._policy, self._ask)
        if self._stopped.is_set():  # while the user was asked
            return interrupted(call)
        return self._said(call, refusal, "refused", look) if refusal else _Ready(call, tool, given)

    def _together(self, begun: Sequence[tuple[_Ready, Callable[[], Any]]], look: Look) -> Iterator[Outcome]:
        waiting = {number: one for number, (one, _) in enumerate(begun)}
        works = [loops.Work(begin, one.tool.timeout) for one, begin in begun]
        try:
            for number, ran in loops.together(works, self._stopped.is_set) if works else ():
                one = waiting.pop(number)
                yield self._outcome(one, ran, look)
        except loops.Unavailable as reason:
            for one in waiting.values():
                yield self._said(one.call, f"It was not called: {reason}.", "failed", look)
            return
        for one in waiting.values():
            yield interrupted(one.call)

    def _alone(self, one: _Ready, look: Look) -> Iterator[Outcome]:
        self.starting(one.call)
        ran = run(one.begin, one.tool.timeout)
        if ran.error is None and (inspect.isawaitable(ran.value) or inspect.isasyncgen(ran.value)):
            yield from self._together([(one, lambda: ran.value)], look)  # it gave a coroutine without being async
        else:
            yield self._outcome(one, ran, look)

    def _outcome(self, one: _Ready, ran: Ran, look: Look) -> Outcome:
        if ran.timed_out:
            return self._said(one.call, _late(one.tool.timeout or 0, ran.seconds), "timed out", look, ran)
        if ran.error is not None:
            return self._said(one.call, faults.told(ran.error, one.tool.function), "failed", look, ran)
        self._learn(ran.value)

        def describe() -> results.Answer:
            return results.answer(one.call.name, ran.value, look, self._namespace, peek="peek" in self.tools)

        answer = describe() if type(ran.value) in _QUICK else run(describe, one.tool.timeout).value
        if answer is None:  # its repr hangs
            text = f"It was done, and gave a {type(ran.value).__name__} that cannot be described."
            answer = results.words(one.call.name, text, "undescribed", look)
        return Outcome(one.call, answer.text, answer.parts, "done", ran.seconds, ran.value, answer.handle, answer.item)

    def _said(self, call: ToolCall, text: str, state: State, look: Look, ran: Ran | None = None) -> Outcome:
        answer = results.words(call.name, text, state, look)
        return Outcome(call, answer.text, (), state, ran.seconds if ran is not None else 0.0, item=answer.item)

    def _learn(self, value: object) -> None:
        """Take notice of private values that a tool has brought into tables by now."""
        guard = self._look.guard
        for found in (value, *list(self._namespace.values())) if guard.names else ():
            if kinds.is_data(found):
                guard.learn(found)


def _late(limit: float, seconds: float) -> str:
    """Say that a function was out of time, and whether it was stopped there."""
    if seconds < limit + _AT_ONCE:
        when = f"It was stopped after {limit:g} s, its time limit."
    else:
        when = f"It could not be stopped at its time limit of {limit:g} s, and gave no value in {seconds:.1f} s."
    return f"{when} What it had done by then is not undone."

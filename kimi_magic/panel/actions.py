"""What each message of the front end does, and on which thread.

A message may come on any thread, so an action only looks at what it was given and hands the rest on: questions, and
what changes the conversation, to one worker, in their order; what only looks, to others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kimi_magic import history, kernel, models
from kimi_magic.command import Ask, Resume, Switch
from kimi_magic.conversation import Turn
from kimi_magic.errors import KimiError
from kimi_magic.panel import branches, completion, question, slash, surroundings, tooling
from kimi_magic.panel.attachments import Attachments
from kimi_magic.panel.heard import Heard
from kimi_magic.panel.question import Question
from kimi_magic.panel.slash import Slash

if TYPE_CHECKING:
    from kimi_magic.panel.panel import Panel

__all__ = ["Actions"]

_PAGE = 200
"""Most entries that are made at a time."""


class Actions:
    """The actions of one panel, by the type of the message."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._files = Attachments()
        self._previewed = ""
        self._known: dict[str, Callable[[Heard], None]] = {
            "ready": lambda _: panel.transcript.again(),
            "ask": self._ask,
            "later": self._later,
            "stop": lambda heard: panel.turns.stop(heard.text("id")),
            "again": self._again,
            "edit": self._edit,
            "branch": self._branch,
            "approve": self._approve,
            "attach": lambda heard: panel.side.put(lambda: self._attach(heard)),
            "detach": lambda heard: self._files.remove(heard.text("key")),
            "preview": self._preview,
            "complete": lambda heard: panel.side.put(lambda: self._complete(heard)),
            "objects": lambda heard: panel.side.put(lambda: self._objects(heard)),
            "set": lambda heard: panel.side.put(lambda: self._set(heard)),
            "more": lambda heard: panel.side.put(lambda: self._more(heard)),
            "saw": lambda heard: panel.side.put(lambda: self._saw(heard)),
        }

    def of(self, kind: str) -> Callable[[Heard], None] | None:
        """Give the action for messages of this type; None for one that is not known."""
        return self._known.get(kind)

    # questions

    def _ask(self, heard: Heard) -> None:
        text = heard.text("text")
        if not text.strip():
            return
        try:
            told = slash.parse(text)
            asked = slash.ask_of(told, surroundings.last_cell(self._panel.shell)) if told is not None else Ask(text)
        except KimiError as error:
            self._panel.failed(error)
            self._panel.transcript.refill(text, heard.names("attachments"))
            return
        if asked is not None:
            self._panel.turns.ask(self._question(text, asked, heard))
        elif told is not None:
            worker = self._panel.asking if slash.changes(told) else self._panel.side
            worker.put(lambda: self._answer(told))

    def _later(self, heard: Heard) -> None:
        text = heard.text("text")
        if text.strip():
            asked = self._question(text, Ask(text), heard)
            self._panel.asking.put(lambda: self._submit(asked))

    def _submit(self, asked: Question) -> None:
        """Ask as a job, once what was asked before has its reply."""
        try:
            job = question.submit(asked)
        except KimiError:
            self._panel.transcript.refill(asked.text, asked.files)
            raise
        self.sent(asked)
        self._panel.note(f"Asked for later: job {job.id}", f"%kimi jobs tells how it stands. {asked.text}")

    def _question(self, text: str, ask: Ask, heard: Heard, turn: Turn | None = None) -> Question:
        id_, keys = self._panel.fresh_id("ask"), heard.names("attachments")
        return Question(id_, text, ask, self._files.sources(keys), keys, self._panel.tools, turn)

    def sent(self, asked: Question) -> None:
        """Let go of the files that went with a question."""
        for key in asked.files:
            self._files.remove(key)

    def _turn(self, heard: Heard) -> Turn | None:
        return self._panel.session.conversation.tree.get(heard.number("turn"))

    def _again(self, heard: Heard) -> None:
        turn = self._turn(heard)
        if turn is None:
            self._panel.turns.again(heard.text("id"))
            return
        asked = self._question(turn.words, Ask(turn.words, options={"rerun": "always"}), heard, turn)
        asked.verbatim = True
        self._panel.turns.ask(asked)

    def _edit(self, heard: Heard) -> None:
        turn, text = self._turn(heard), heard.text("text")
        if turn is not None and text.strip():
            self._panel.turns.ask(self._question(text, Ask(text), heard, turn))

    def _branch(self, heard: Heard) -> None:
        session, number = self._panel.session, heard.number("turn")

        def go() -> None:
            conversation = session.conversation
            if number in conversation.tree:
                conversation.head = branches.newest_below(conversation, number)
                session.save(conversation)

        self._panel.asking.put(go)

    def _approve(self, heard: Heard) -> None:
        agreed, always = heard.yes("agreed"), heard.yes("always")
        self._panel.turns.answer(heard.text("id"), heard.text("call"), agreed=agreed, always=always)

    def _answer(self, told: Slash) -> None:
        """Do what a slash command says."""
        panel = self._panel
        if told.name == "tools" and told.rest:
            names = [] if told.rest == "off" else told.rest.replace(",", " ").split()
            self._set_tools(names)
            panel.note("Tools", f"The model may call {', '.join(names)}." if names else "The model may call none.")
            return
        found = slash.answer(told, panel.shell.user_ns if panel.shell is not None else {})
        if told.name not in ("new", "clear"):
            bundle = found._repr_mimebundle_()  # IPython's name for what shows itself
            panel.note(str(getattr(found, "title", "")), bundle["text/plain"], bundle["text/html"])
        panel.changed()

    # before a question

    def _attach(self, heard: Heard) -> None:
        key, name = heard.text("key"), heard.text("name")
        try:
            file = self._files.add(key, name, heard.data)
        except KimiError as error:
            self._panel.widget.tell("attached", key=key, ok=False, name=name, error=f"{error.message} {error.hint}")
            return
        facts: dict[str, Any] = {"kind": file.kind, "detail": file.detail, "tokens": file.tokens, "html": file.html}
        self._panel.widget.tell("attached", key=key, ok=True, name=file.name, error="", **facts)

    def _preview(self, heard: Heard) -> None:
        self._previewed = heard.text("key")
        self._panel.looking.put(lambda: self._show_preview(heard))

    def _show_preview(self, heard: Heard) -> None:
        """Say what would go along; where the user has typed on meanwhile, nothing is looked at."""
        key, text = heard.text("key"), heard.text("text")
        told: dict[str, Any] = {"parts": [], "tokens": 0, "text": "", "error": ""}
        if key != self._previewed:
            self._panel.widget.tell("preview", key=key, **told)
            return
        try:
            command = slash.parse(text)
            asked = (
                slash.ask_of(command, surroundings.last_cell(self._panel.shell)) if command is not None else Ask(text)
            )
            if asked is not None and text.strip():
                told |= _foreseen(self._question(text, asked, heard, self._turn(heard)))
        except KimiError as error:
            told["error"] = f"{error.message} {error.hint}"
        self._panel.widget.tell("preview", key=key, **told)

    def _complete(self, heard: Heard) -> None:
        found = completion.completions(heard.text("text"), heard.number("cursor"), self._panel.shell)
        self._panel.widget.tell("completions", key=heard.text("key"), **found)

    def _objects(self, heard: Heard) -> None:
        self._panel.widget.tell("objects", key=heard.text("key"), items=completion.objects(self._panel.shell))

    # around the transcript

    def _set(self, heard: Heard) -> None:
        name, value = heard.text("name"), heard.text("value")
        match name:
            case "model":
                kernel.configure("model", models.resolve(value))
            case "effort" | "approve":
                kernel.configure(name, value or None)
            case "tools":
                self._set_tools(heard.names("value"))
            case "conversation":
                self._panel.asking.put(lambda: self._switch(value))
            case _:
                pass
        self._panel.changed()

    def _set_tools(self, names: Sequence[str]) -> None:
        """Let the model call these from now on. Raises CommandError for one that there is not."""
        before = self._panel.tools
        self._panel.tools = tuple(dict.fromkeys(names))
        try:
            tooling.check(self._panel.tools)
        except KimiError:
            self._panel.tools = before
            raise
        finally:
            self._panel.changed()

    def _switch(self, value: str) -> None:
        kept = value.removeprefix("kept:")
        if kept != value:
            history.resume(Resume(kept))
        elif value != self._panel.session.conversation.name:
            history.switch(Switch(value))

    def _more(self, heard: Heard) -> None:
        self._panel.transcript.load(self._panel.session.conversation, min(_PAGE, heard.number("count")))

    def _saw(self, heard: Heard) -> None:
        entry = self._panel.transcript.find(heard.text("id"))
        conversation = self._panel.session.conversation
        sent = conversation.sent(entry["turn"]) if entry and entry["turn"] in conversation.tree else None
        self._panel.widget.tell("saw", id=heard.text("id"), html=sent.html if sent is not None else "")


def _foreseen(asked: Question) -> dict[str, Any]:
    """Say what would be sent for a question."""
    sent = question.preview(asked)
    parts = [
        {"name": item.source, "kind": item.kind, "tokens": item.tokens, "notes": item.notes} for item in sent.parts
    ]
    price = f" · {sent.price}" if sent.price else ""
    return {"parts": parts, "tokens": sent.tokens, "text": f"about {sent.tokens:,} tokens{price}"}

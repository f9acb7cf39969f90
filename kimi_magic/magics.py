"""`%kimi` and `%%kimi`: parse, match, play. And the settings as traits, so that `%config KimiMagics.x` works."""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import TYPE_CHECKING, Any

from IPython.core.completer import context_matcher
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments
from traitlets import TraitType
from traitlets.config import Config

from kimi_magic import options, settings
from kimi_magic.cell_input import AskLine, empty_cell
from kimi_magic.context.watching import Displays, Failures
from kimi_magic.errors import CommandError, Interrupted, KimiError
from kimi_magic.others import Others

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic import command
    from kimi_magic.jobs.job import Job
    from kimi_magic.laterjob import Later
    from kimi_magic.reply import Reply
    from kimi_magic.sent import Sent

__all__ = ["KimiMagics", "load", "unload"]

_REPLY = ("kimi_magic.reply", "Reply")
_JOB = ("kimi_magic.jobs.job", "Job")


class Setting(TraitType):  # type: ignore[type-arg]  # the type differs by setting, and settings checks it
    """A setting as a trait. It holds nothing: it reads what is in force, and writing configures this kernel."""

    def get(self, obj: Any, cls: Any = None) -> Any:  # noqa: ARG002  # traitlets' signature
        """Give the value in force; one that cannot be used, as it stands."""
        from kimi_magic import kernel

        name = self.name or ""
        value, source = kernel.gathered().get(name, (settings.FIELDS[name].default, "default"))
        try:
            return settings.parse(name, value, source) if source != "default" else value
        except KimiError:
            return value

    def set(self, obj: Any, value: Any) -> None:  # noqa: ARG002
        """Set it for this kernel; raises SettingError."""
        from kimi_magic import kernel

        kernel.configure(self.name or "", value)

    def default_value_repr(self) -> str:
        """Give the default, for `%config KimiMagics`."""
        return repr(settings.FIELDS[self.name or ""].default)


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare to IPython what `command` parses; it makes the `?` help of that."""
    for option in reversed(options.OPTIONS):
        function = argument(*option.flags, **option.keywords)(function)
    function = argument("dest", nargs="?", default="", metavar="DEST", help=options.DEST_HELP)(function)
    decorated: Callable[..., Any] = magic_arguments()(function)
    return decorated


@magics_class
class KimiMagics(Magics):
    """Kimi in this kernel. Each setting can be set here; `%kimi config` shows where its value comes from."""

    shell: InteractiveShell
    matcher: Callable[..., Any]
    others: Others
    failures: Failures
    displays: Displays
    replaced: dict[str, Any]

    locals().update({name: Setting(help=settings.field_help(name)).tag(config=True) for name in settings.FIELDS})

    @no_var_expand
    @_with_options
    @line_cell_magic
    def kimi(self, line: str, cell: str | None = None) -> object:
        """Ask Kimi, in a conversation that goes on from cell to cell.

        %%kimi [DEST] [options]
        The question, as many lines as it needs. {{ expression }} puts a live object there; all else is only text.

        The reply streams into the output, and lands in DEST and in Out. Ctrl-C stops it; what had arrived is kept.

        In one line: %kimi ask TEXT. Alone, %kimi tells where questions go and what was used. Further words:
        chat, fix, sent, history, undo, restore, drop, compact, fork, switch, resume, export, import, forget, private,
        egress, journal, jobs, job, tools, mcp, use, model, usage, budget, prefix, reset, config, help.
        """
        owner = cell is not None and self._owns_cell()
        try:
            return self._run(line, cell, owner=owner)
        except KeyboardInterrupt as stopped:  # ours, or one that came before there was anything to stop
            ours = stopped if isinstance(stopped, Interrupted) else Interrupted()
            if not owner or not self._fail_quietly(ours):
                raise ours from None
            return ours.reply

    def _run(self, line: str, cell: str | None, *, owner: bool) -> object:
        from kimi_magic import command

        if cell is None:
            return self._line(command.parse_line(line))
        return self._ask(command.parse_cell(line, cell), owner=owner)

    def _line(self, parsed: command.Command) -> object:
        from kimi_magic import status
        from kimi_magic.command import Ask, Chat, JobDo, Jobs, Notify

        if isinstance(parsed, Ask):
            return self._ask(parsed, owner=False)
        if isinstance(parsed, JobDo | Jobs | Notify):
            from kimi_magic import jobwords

            return jobwords.answer(self.shell, parsed)
        if isinstance(parsed, Chat):
            from kimi_magic.panel import chat

            return chat(parsed.name)
        return status.answer(parsed, self.shell.user_ns)

    def _ask(self, asked: command.Ask, *, owner: bool) -> Reply | Sent | Later | Job:
        from kimi_magic import cell as cells

        failure = self.failures.last() if asked.context.failure else None
        if asked.context.failure and failure is None:
            raise CommandError("No cell has failed yet.", hint="To ask anything: %kimi ask TEXT.")
        if asked.dry_run:
            return cells.preview(self.shell, asked, failure=failure, displays=self.displays)
        if asked.later is not None:
            from kimi_magic import jobwords

            begun: Later | Job = jobwords.begin(self.shell, asked, asked.later, failure=failure, displays=self.displays)
            return begun
        others = self.others if owner else None
        return cells.run(self.shell, asked, failure=failure, displays=self.displays, others=others)

    def _owns_cell(self) -> bool:
        """Whether the cell that runs is a `%%kimi` cell, not a program that calls the magic."""
        parent: dict[str, Any] = getattr(self.shell, "get_parent", dict)() or {}
        return str(parent.get("content", {}).get("code", "")).lstrip().startswith("%%kimi")

    def _fail_quietly(self, error: BaseException) -> bool:
        """Let the cell count as failed, so that Run All stops, without any error output below the cut reply."""
        result = getattr(self.shell.displayhook, "exec_result", None)
        if result is None:
            return False
        result.error_in_exec = error
        return True


def load(shell: InteractiveShell) -> None:
    """Add the magics, their completion, and how a reply shows itself. Loading twice is loading once."""
    manager = shell.magics_manager
    if isinstance(manager.registry.get("KimiMagics"), KimiMagics):
        return
    _configure(shell)
    magics = KimiMagics(shell=shell, config=Config())
    magics.replaced = {kind: manager.magics[kind].get("kimi") for kind in ("line", "cell")}
    shell.register_magics(magics)
    magics.matcher = _matcher(shell)
    magics.others = Others(shell)
    magics.failures = Failures(shell)
    magics.displays = Displays(shell)
    shell.Completer.custom_matchers.append(magics.matcher)
    shell.input_transformer_manager.token_transformers.append(AskLine)
    shell.input_transformers_cleanup.append(empty_cell)
    _display_formatter(shell).for_type_by_name(*_REPLY, lambda reply: _show(shell, reply))
    _display_formatter(shell).for_type_by_name(*_JOB, lambda job: _show_job(shell, job))


def _matcher(shell: InteractiveShell) -> Callable[..., Any]:
    """Make the completion; what it offers is imported when it is first asked."""

    @context_matcher()  # type: ignore[untyped-decorator]  # IPython's decorator has no types
    def kimi_matcher(context: CompletionContext) -> Any:
        from kimi_magic import completer

        return completer.complete(context, shell)

    return kimi_matcher  # type: ignore[no-any-return]


def _configure(shell: InteractiveShell) -> None:
    """Take what IPython's configuration files set; a wrong value there must not keep the extension from loading."""
    for name, value in shell.config.get("KimiMagics", {}).items():
        from kimi_magic import kernel

        try:
            kernel.configure(name, value)
        except KimiError as error:
            warnings.warn(error.message, stacklevel=2)


def unload(shell: InteractiveShell) -> None:
    """Leave the shell as it was before `load`, and close the session."""
    manager = shell.magics_manager
    magics = manager.registry.pop("KimiMagics", None)
    if not isinstance(magics, KimiMagics):
        return
    for kind, before in magics.replaced.items():
        manager.magics[kind].pop("kimi", None)
        if before is not None:
            manager.magics[kind]["kimi"] = before
    configurables: list[object] = shell.configurables  # type: ignore[assignment]  # IPython declares shells only
    configurables.remove(magics)
    shell.Completer.custom_matchers.remove(magics.matcher)
    shell.input_transformer_manager.token_transformers.remove(AskLine)
    shell.input_transformers_cleanup.remove(empty_cell)
    _forget(_display_formatter(shell), (_REPLY, _JOB))
    for watch in (magics.others, magics.failures, magics.displays):
        with contextlib.suppress(ValueError):  # IPython's word for a callback that somebody has taken away already
            watch.stop()
    if "kimi_magic.laterjob" in sys.modules:
        from kimi_magic import atprompt, laterjob

        laterjob.leave_all()
        atprompt.stop()
    from kimi_magic import kernel

    kernel.close()


def _display_formatter(shell: InteractiveShell) -> Any:
    """IPython's register of objects that display themselves."""
    return shell.display_formatter.ipython_display_formatter  # type: ignore[union-attr]  # None before start-up only


def _forget(formatter: Any, names: Collection[tuple[str, str]]) -> None:
    for name in names:
        formatter.deferred_printers.pop(name, None)
    for kind in [kind for kind in formatter.type_printers if (kind.__module__, kind.__name__) in names]:
        del formatter.type_printers[kind]


def _show_job(shell: InteractiveShell, job: Any) -> None:
    """Show a job: a live view, unless its own cell shows one."""
    from kimi_magic import jobview

    if not jobview.painted(shell, job):
        jobview.show(shell, job)
    elif not hasattr(shell, "kernel") and sys.stdout.isatty():
        sys.stdout.write("\r\x1b[K")


def _show(shell: InteractiveShell, reply: object) -> None:
    """Show nothing for a reply that its own cell has painted; anything else shows itself as usual."""
    from kimi_magic import cell as cells

    if not cells.painted(shell, reply):
        raise NotImplementedError  # IPython's way to say: use the other formatters
    if not hasattr(shell, "kernel") and sys.stdout.isatty():
        sys.stdout.write("\r\x1b[K")  # a terminal has written "Out[n]: " already

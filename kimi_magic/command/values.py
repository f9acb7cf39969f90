"""What a `%kimi` line or a `%%kimi` cell can ask for: one frozen value each."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Ask",
    "Chat",
    "Command",
    "Compact",
    "Context",
    "Drop",
    "Export",
    "Forget",
    "Fork",
    "History",
    "Import",
    "JobDo",
    "Jobs",
    "Journal",
    "Later",
    "Ledger",
    "Mcp",
    "Notify",
    "Private",
    "Restore",
    "Resume",
    "SetBudget",
    "SetModel",
    "Show",
    "ShowSent",
    "ShowUsage",
    "Switch",
    "Turns",
    "Use",
    "Works",
]


@dataclass(frozen=True, slots=True)
class Context:
    """What goes along with a question, and how closely it is looked at (see `context.Look`).

    `names` are expressions, as they were typed; `raw` says that braces in the question are text.
    """

    names: tuple[str, ...] = ()
    cells: str = ""
    failure: bool = False
    raw: bool = False
    rows: int | None = None
    columns: tuple[str, ...] = ()
    full: bool = False
    detail: str = "auto"

    @property
    def looked(self) -> dict[str, Any]:
        """The part of it that describers need."""
        looked = {"rows": self.rows, "columns": self.columns, "full": self.full}
        return looked | ({"pictures": False} if self.detail == "none" else {"detail": self.detail})


@dataclass(frozen=True, slots=True)
class Later:
    """How a question becomes a job. `data` is the table of a map, as it was typed; empty for a single question.

    `rate` is in requests a minute, `budget` as typed ("$2"), `pilot` in rows; `yes` answers the pilot's question.
    """

    data: str = ""
    lane: str = "auto"
    budget: str = ""
    pilot: int = 0
    rate: float | None = None
    concurrency: int | None = None
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a question. `options` holds settings for this ask alone, checked.

    `tools` are functions or their names, `out` a type or its spelling, `like` a table whose rows the reply has to be.
    With `later` it becomes a job.
    """

    question: str
    dest: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    new: bool = False
    history: bool = True
    quiet: bool = False
    context: Context = Context()
    dry_run: bool = False
    session: str = ""
    tools: tuple[Any, ...] = ()
    out: Any = ""
    like: Any = None
    later: Later | None = None

    @property
    def typed(self) -> bool:
        """Whether the reply has to be of some type."""
        return (not (isinstance(self.out, str) and not self.out) and self.out is not None) or self.like is not None


@dataclass(frozen=True, slots=True)
class ShowSent:
    """Show what was sent for a turn of the conversation; 0 is the last question."""

    turn: int


@dataclass(frozen=True, slots=True)
class History:
    """List the turns in use, or every turn."""

    everything: bool = False


@dataclass(frozen=True, slots=True)
class Restore:
    """Go on from this turn."""

    turn: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Hide this turn from the model."""

    turn: int


@dataclass(frozen=True, slots=True)
class Compact:
    """Summarise all but the last `keep` turns; without `go`, only show what that costs and saves."""

    keep: int = 2
    go: bool = False


@dataclass(frozen=True, slots=True)
class Fork:
    """Go on from here under this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Go on in the conversation of this name; empty lists them."""

    name: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with the kept conversation of this name; empty is the one that was used last."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Chat:
    """Open the panel, in the conversation of this name; empty is the one in use."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """Write the conversation to this file."""

    path: str


@dataclass(frozen=True, slots=True)
class Import:
    """Read a conversation from this file."""

    path: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Erase the conversation in use, or all of this notebook."""

    everything: bool = False


@dataclass(frozen=True, slots=True)
class Private:
    """Make columns of a table private, or release names; without either, list what is private."""

    table: str = ""
    columns: tuple[str, ...] = ()
    released: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ledger:
    """Show what left the kernel: this one, or every kernel that uses the store."""

    everything: bool = False


@dataclass(frozen=True, slots=True)
class Journal:
    """Tell of the journal, `save` what this kernel used of it to a file, `load` a file, or `clear` it.

    `everything` saves what belongs to replaced turns, too.
    """

    action: Literal["", "save", "load", "clear"] = ""
    path: str = ""
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Jobs:
    """List the jobs of this notebook, or of all, and take them up again."""

    everything: bool = False


@dataclass(frozen=True, slots=True)
class Notify:
    """Hear of the ends of jobs from this Cloudflare Queue; empty for none."""

    queue: str


@dataclass(frozen=True, slots=True)
class JobDo:
    """Do something with the job of this id, or of one that begins so; empty is the latest."""

    id: str = ""
    action: Literal["show", "wait", "cancel", "retry", "forget"] = "show"


@dataclass(frozen=True, slots=True)
class Mcp:
    """List the MCP servers, `add` one, or `remove` one.

    `words` are a program with its arguments, or one URL; `variables` (NAME or NAME=VALUE) go into its environment,
    `token` names the variable with its bearer token, `timeout` is in seconds, None for the usual ones.
    """

    action: Literal["", "add", "remove"] = ""
    name: str = ""
    words: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    token: str = ""
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """Send questions to local, cloudflare, auto or a URL; empty shows where they go."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class SetModel:
    """Ask this model from now on; empty lists the known ones."""

    name: str


@dataclass(frozen=True, slots=True)
class SetBudget:
    """Spend no more than this from now on: "$2", "$2/day" or "off"; empty shows the budget."""

    text: str


@dataclass(frozen=True, slots=True)
class ShowUsage:
    """Show tokens and cost, with a picture if wanted; of all turns, or the last of them."""

    plot: bool = False
    everything: bool = False


class Show(enum.Enum):
    """A word that takes nothing: what it shows, or in the case of `reset` does."""

    STATUS = ""
    PREFIX = "prefix"
    RESET = "reset"
    UNDO = "undo"
    TOOLS = "tools"
    CONFIG = "config"
    HELP = "help"


Works = Jobs | Notify | JobDo
Turns = History | Compact | Restore | Drop | Fork | Switch | Resume | Export | Import | Forget
Shown = ShowSent | ShowUsage | Show
Command = Ask | Chat | Use | SetModel | SetBudget | Private | Ledger | Journal | Mcp | Works | Turns | Shown

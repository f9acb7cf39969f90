"""What may be typed after `%kimi` and `%%kimi`: the options of a question and the words, each once.

The parser, the `?` help, the completion and the tests are all made of these tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kimi_magic import settings

__all__ = ["DEST_HELP", "DETAILS", "JOB_ACTIONS", "LANES", "OPTIONS", "WORDS", "Option"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option of an ask. `setting` names the setting that it overrides, for this ask alone.

    Without a `metavar` it is a flag that takes nothing; `many` takes several values.
    """

    flags: tuple[str, ...]
    help: str
    setting: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    many: bool = False

    @property
    def name(self) -> str:
        """Its name in code: the long flag, without dashes."""
        return self.flags[-1].lstrip("-").replace("-", "_")

    @property
    def keywords(self) -> dict[str, Any]:
        """What argparse has to know of it."""
        text = self.help.replace("%", "%%")
        if not self.metavar:
            return {"action": "store_true", "help": text}
        if self.many:
            return {"dest": self.name, "metavar": self.metavar, "nargs": "+", "action": "extend", "help": text}
        return {"dest": self.name, "metavar": self.metavar, "default": None, "help": text}


DETAILS = ("low", "high", "none")
LANES = ("auto", "queue", "concurrent")
JOB_ACTIONS = ("show", "wait", "cancel", "retry", "forget")
"""What `%kimi job ID` can be followed by."""

OPTIONS = (
    Option(
        ("-c", "--context"),
        "objects that go beside the question: names, or expressions such as df.head(); "
        "{{ expression }} in the question puts one there",
        metavar="NAME",
        many=True,
    ),
    Option(("--rows",), "how many rows of a table are shown", metavar="N"),
    Option(("--columns",), "these columns of a table only: a,b", metavar="NAMES"),
    Option(("--full",), "all data of a table, as CSV, as far as it fits"),
    Option(("--detail",), "size of pictures: low, high, none (their text alone)", metavar="DETAIL", choices=DETAILS),
    Option(("--cells",), "inputs and outputs of this notebook's cells: 2:5, 3,7, -2:, all", metavar="CELLS"),
    Option(("--raw",), "{{ }} is text like any other"),
    Option(("--dry-run",), "show what would be sent, and its price where known; send nothing"),
    Option(
        ("-t", "--tools"),
        "functions that the model may call, by name: load,plot; kernel: look at the notebook's variables, run code; "
        "an MCP server, or one of its tools: files,files.read; `%kimi tools` lists all",
        metavar="NAMES",
        many=True,
    ),
    Option(
        ("--approve",),
        "calls that want your approval: ask, all (agree to them all), none",
        "approve",
        "POLICY",
        settings.APPROVALS,
    ),
    Option(("--rounds",), "most rounds of calls, after which the model has to reply", "rounds", "N"),
    Option(
        ("-o", "--out"),
        'what the reply has to be: a type such as list[Row], fields as "name, age int, tags list[str]", like=df; '
        "DEST receives the value",
        metavar="TYPE",
    ),
    Option(("-m", "--model"), "ask this model: a short name such as k2.6, or a full id", "model", "NAME"),
    Option(("-s", "--system"), "a system message, from this question on", "system", "TEXT"),
    Option(
        ("-f", "--format"),
        "how the reply is shown: markdown, text, code (its code goes into the next cell, not run), json, html; "
        "table: rows asked for with -o become a dataframe",
        "format",
        "FORMAT",
        settings.FORMATS,
    ),
    Option(("--max-tokens",), "most tokens of the reply, thinking included", "max_tokens", "N"),
    Option(("--temperature",), "0 to 2; not sent unless given", "temperature", "T"),
    Option(("--top-p",), "0 to 1; not sent unless given", "top_p", "P"),
    Option(("--effort",), "thinking: off, low, medium, high", "effort", "EFFORT", settings.EFFORTS),
    Option(
        ("--rerun",),
        "where this very request was answered before: replay, ask, always (send it again), only (replay; never send)",
        "rerun",
        "POLICY",
        settings.RERUNS,
    ),
    Option(("--timeout",), "longest time for the whole reply: 30, 45s, 2m", "timeout", "TIME"),
    Option(("--new",), "begin a fresh conversation"),
    Option(("--session",), "ask in this other conversation, begun where there is none", metavar="NAME"),
    Option(("--no-history",), "ask outside the conversation: nothing of it is sent, nothing is kept in it"),
    Option(("-q", "--quiet"), "show nothing; the reply is in DEST and in Out"),
    Option(("--later",), "do not wait: the reply fills in here, and in DEST, once it has come; %kimi jobs lists it"),
    Option(
        ("--map",),
        "ask it for every row of a table, whose columns are {{ column }} in the question; DEST is the job",
        metavar="TABLE",
    ),
    Option(
        ("--lane",),
        "how a job is answered: queue (the service's own, slow and steady), concurrent (ordinary requests), auto",
        metavar="LANE",
        choices=LANES,
    ),
    Option(("--budget",), "most that a map may spend: $2; what is done is kept", metavar="DOLLARS"),
    Option(("--pilot",), "ask so many rows first, then tell what all will cost and ask whether to go on", metavar="N"),
    Option(("--rate",), "most requests a minute of a map's concurrent lane", metavar="N"),
    Option(("--concurrency",), "most requests at once of a map's concurrent lane", metavar="N"),
    Option(("-y", "--yes"), "go on after the pilot unasked"),
)
DEST_HELP = "variable that receives the reply; it stands first"


WORDS = {
    "ask": "ask a question in one line: %kimi ask [options] TEXT",
    "chat": "a chat in the notebook that shares this conversation: %kimi chat, or %kimi chat NAME for another one",
    "fix": "the last error, with what led to it: %kimi fix [options] [QUESTION]; code goes into the next cell, not run",
    "sent": "exactly what Kimi saw for the last question, or for turn N: %kimi sent N",
    "history": "the turns of this conversation; %kimi history --all: those of other branches, too",
    "undo": "take the last turn back",
    "restore": "go on from turn N, on whatever branch it is, or show it again if it was dropped: %kimi restore N",
    "drop": "hide turn N from the model: %kimi drop N",
    "compact": "a summary for the oldest turns: %kimi compact [KEEP] tells what that saves, --go does it",
    "fork": "go on from here under another name: %kimi fork NAME",
    "switch": "go on in another conversation: %kimi switch NAME; alone it lists them",
    "resume": "after a restart of the kernel: go on with this notebook's last conversation, or with %kimi resume NAME",
    "export": "write the conversation to a file: %kimi export FILE.md, .py, .ipynb or .jsonl",
    "import": "read a conversation from a file: %kimi import FILE.jsonl",
    "forget": "erase this conversation for good, on disk as well; %kimi forget --all: all of this notebook",
    "private": "columns that never leave the kernel: %kimi private df ssn email; --release NAME; alone it lists them",
    "egress": "the ledger of what left this kernel: when, where to, which columns; %kimi egress all: of every kernel",
    "journal": "recorded replies; %kimi journal save FILE.kimi.jsonl: those that this kernel used; load FILE; clear",
    "jobs": "questions that are answered later: this notebook's jobs, --all: every notebook's; it takes up again what "
    "an earlier kernel left; notify QUEUE_ID: hear of their ends from a Cloudflare Queue, notify off",
    "job": "one job: %kimi job ID show, wait, cancel, retry (what failed) or forget",
    "tools": "what -t can name: functions of the notebook, the built-in tools, those of MCP servers",
    "mcp": "MCP servers: %kimi mcp add NAME COMMAND ARGUMENTS, or NAME URL; remove NAME; alone it lists them",
    "use": "where questions go: %kimi use local | cloudflare | auto | URL",
    "model": "which model is asked: %kimi model NAME; alone it lists the known ones",
    "usage": "tokens and cost: of each reply, conversation, kernel, day; --plot: as a picture, too; --all: all turns",
    "budget": "most to spend: %kimi budget $2 (this kernel), $2/day (all kernels), off; alone it tells what is left",
    "prefix": "what the service found in its cache, request by request, and what kept it from finding more",
    "reset": "begin a new conversation",
    "config": "every setting, its value and where that came from",
    "help": "this list",
}

"""What IPython would make of a cell before the magics see it, and must not.

To IPython any line that ends in a question mark asks for help; so that `%kimi ask What is new?` is a question, a token
transformer comes before IPython's own. It knows `%kimi ask` and `%kimi fix` at the start of a line or after an equals
sign, and nothing else: `%kimi?` still asks for help. And a `%%kimi` with nothing below is refused by IPython in words
of its own.
"""

from __future__ import annotations

import re
import tokenize
from typing import TYPE_CHECKING

from IPython.core.inputtransformer2 import TokenTransformBase, find_end_of_continued_line

if TYPE_CHECKING:
    from tokenize import TokenInfo

__all__ = ["AskLine", "empty_cell"]

_EMPTY = re.compile(r"%%kimi(?:[ \t][^\n]*)?\s*")
_BEGINNINGS = (["%", "kimi", "ask"], ["%", "kimi", "fix"])


class AskLine(TokenTransformBase):
    """Turns the line into a call of the magic, so that nobody reads the question mark."""

    priority = 4  # IPython's HelpEnd has 5, and the smaller number wins

    @classmethod
    def find(cls, tokens_by_line: list[list[TokenInfo]]) -> AskLine | None:
        """Find the first line that begins with `%kimi ask` or `%kimi fix`, or assigns it."""
        for line in tokens_by_line:
            tokens = [token for token in line if token.type not in (tokenize.INDENT, tokenize.DEDENT)]
            words = [token.string for token in tokens]
            for start in {0, words.index("=") + 1 if "=" in words else 0}:
                if words[start : start + 3] in _BEGINNINGS:
                    return cls(tokens[0].start)  # where HelpEnd begins too: then the priority decides
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """Rewrite that line."""
        end = find_end_of_continued_line(lines, self.start_line)
        before, _, line = "".join(lines[self.start_line : end + 1]).partition("%")
        call = f"{before}get_ipython().run_line_magic('kimi', {_joined(line.removeprefix('kimi'))!r})\n"
        return [*lines[: self.start_line], call, *lines[end + 1 :]]


def _joined(text: str) -> str:
    """Join lines that a backslash continues, as IPython does for any magic."""
    return " ".join(part.rstrip().removesuffix("\\").strip() for part in text.split("\n")).strip()


def empty_cell(lines: list[str]) -> list[str]:
    """Give a `%%kimi` without a body an empty one, so that the magic can say what is missing."""
    if lines and _EMPTY.fullmatch("".join(lines)):
        return [f"{lines[0].rstrip()}\n", "\n"]
    return lines


# IPython also asks its transformers whether a cell is complete, but not the ones that say this of themselves; a person
# who has typed `%%kimi` in a terminal has only begun.
empty_cell.has_side_effects = True  # type: ignore[attr-defined]

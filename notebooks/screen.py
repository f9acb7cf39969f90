"""The terminal as a page: words wrapped, outputs beside a margin, colours only where they are seen and wanted."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap

BOLD, DIM, RED, GREEN, BLUE = "1", "2", "31", "32", "34"
LONGEST_LINE = 100
MARGIN = "│ "


class Screen:
    """What is written goes to stdout at once, so that a stream is seen as one."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self.coloured = self._live and not os.environ.get("NO_COLOR")
        self._width = min(shutil.get_terminal_size().columns, LONGEST_LINE) - 1
        self._margin = self.paint(MARGIN, BLUE)
        self._column = 0
        self._word = ""
        self._passing = False

    def paint(self, text: str, style: str) -> str:
        """Give the text in a style."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.coloured and text else text

    def line(self, text: str = "") -> None:
        """Write a line of its own, as long as it is."""
        self.end()
        self._write(f"{text}\n")

    def beside(self, text: str, style: str = "") -> None:
        """Write lines beside the margin, as long as they are."""
        for line in text.split("\n"):
            self.line(self._margin + (self.paint(line, style) if style else line))

    def flow(self, text: str) -> None:
        """Write more of an output, wrapped. Its last word is held back as long as it may grow."""
        *pieces, self._word = re.findall(r"\n|[^\S\n]+|\S+", self._word + text) or [""]
        if self._word.isspace():
            pieces, self._word = [*pieces, self._word], ""
        for piece in pieces:
            self._put(piece)

    def end(self) -> None:
        """End what flows: the next thing begins on a line of its own."""
        if self._word:
            self._put(self._word)
            self._word = ""
        if self._column:
            self._put("\n")

    def status(self, text: str) -> None:
        """Show a line that the next one overwrites; nothing where lines cannot be overwritten."""
        self.end()
        if self._live:
            self._write(self.paint(text[: self._width], DIM))
            self._passing = True

    def code(self, prompt: str, source: str) -> None:
        """Show the source of a cell beside its prompt."""
        lines = (self._highlighted(source) if self.coloured else source).rstrip().split("\n")
        for number, line in enumerate(lines):
            self.line(self.paint("...: ".rjust(len(prompt)) if number else prompt, GREEN) + line)

    def markdown(self, source: str) -> None:
        """Show a Markdown cell: headings and marked words bold, the rest as it is."""
        for paragraph in source.strip().split("\n"):
            text = "\n".join(textwrap.wrap(paragraph.lstrip("# "), self._width))
            marked = re.sub(r"\*\*(.+?)\*\*|`(.+?)`", lambda m: self.paint(m[1] or m[2], BOLD), text, flags=re.DOTALL)
            self.line(self.paint(text, BOLD) if paragraph.startswith("#") else marked)

    def _highlighted(self, source: str) -> str:
        if source.startswith("%"):  # a question is no Python
            head, _, body = source.partition("\n")
            return f"{self.paint(head, BOLD)}\n{body}"
        from pygments import highlight
        from pygments.formatters import TerminalFormatter
        from pygments.lexers import PythonLexer

        return str(highlight(source, PythonLexer(), TerminalFormatter()))

    def _put(self, piece: str) -> None:
        """Write a word, spaces, or the end of a line."""
        if piece == "\n":
            self._write("\n" if self._column else f"{self._margin.rstrip()}\n")
            self._column = 0
            return
        if self._column and self._column + len(piece.rstrip()) > self._width:
            self._write("\n")
            self._column = 0
        self._write(piece if self._column else self._margin + piece)
        self._column = (self._column or len(MARGIN)) + len(piece)

    def _write(self, text: str) -> None:
        sys.stdout.write(f"\r\x1b[K{text}" if self._passing else text)
        sys.stdout.flush()
        self._passing = False

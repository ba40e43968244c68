"""Names that try to command whatever shows them, and how to tell that they did not succeed."""

from __future__ import annotations

import re

HOSTILE = {
    "escape": "\x1b[41;5mX",
    "title of the window": "\x1b]0;owned\x07",
    "escape of one byte": "\x9b31m",
    "back over the line": "a\rb\x08\x08",
    "tab": "a\tb",
    "line end": "a\nerror: forged",
    "other line ends": "a\u2028b\x85c",
    "right to left": "\u202egpj.\u2066x",
    "nothing to see": "\u200b\ufeff\U000e0041",
    "delete": "a\x7f",
    "markup of rich": "[red]x[/red][/nope]:smile:",
    "formula": "$x^$",
    "broken formula": "$\\frac{$",
    "template": "{{7*7}}%s{0}",
    "spreadsheet": "=cmd|' -C calc'!A0",
    "page": "<script>alert(1)<&'\"",
    "undecodable": "\udcff\udcfe",
    "letters": "日本語 é",
    "quotes": "'\"\\",
    "table": "a|b*_[c](d)#~",
}
"""Names by what they try; none has a character that a file's name cannot have but for ``/``."""

STYLES = re.compile(r"\x1b\[(?:[0-2]|3\d|9\d)m|\x1b\[(?:2K|1A|\?25[lh])|\r(?=\x1b)")
"""What rich itself sends for bold, dim and colours, and for a progress bar that moves."""


def raw(text: str) -> list[str]:
    """What is left in a text that a terminal would obey, or not show as it is."""
    return [one for one in STYLES.sub("", text) if one != "\n" and not one.isprintable()]


def file_name(hostile: str) -> str:
    """The same as a name of a file."""
    return hostile.replace("/", "_")

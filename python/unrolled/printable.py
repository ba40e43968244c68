"""Text from outside as it is shown: on one line, and never obeyed by what shows it.

The names of models, layers, nodes and files may hold anything: sequences that move a terminal's
cursor, line ends that forge a second message, marks that turn round the order of letters. Results
keep them as they are. Whatever is shown to a person passes through here once: the cells of tables,
pages and figures in `unrolled.show`, the messages of all errors, and every line of the shell. What
a format needs besides (quotes in CSV, backslashes in LaTeX) is the business of that format.
"""

from __future__ import annotations

__all__ = ["one_line", "printable", "printable_lines"]


def printable(text: object) -> str:
    r"""A text with escapes in the place of all that has no shape of its own, line ends included.

    Control characters, marks of direction, unusual spaces and the halves of pairs that stand for
    undecodable bytes of a file name become what `repr` writes for them. All else stays, also
    letters of every script.

    Examples
    --------
    >>> print(printable("layer\x1b[2J\n\u202e"))
    layer\x1b[2J\n\u202e
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join([one if one.isprintable() else repr(one)[1:-1] for one in text])


def printable_lines(text: str) -> str:
    """A text of several lines, each as `printable` has it."""
    return "\n".join(map(printable, text.split("\n")))


def one_line(text: str) -> str:
    r"""A text of several lines on one, as `printable` has it.

    Examples
    --------
    >>> one_line("it was\n  damaged\tand \a")
    'it was damaged\\tand \\x07'
    """
    lines = [line.strip(" ") for line in text.replace("\r", "\n").split("\n")]
    return printable(" ".join(filter(None, lines)))

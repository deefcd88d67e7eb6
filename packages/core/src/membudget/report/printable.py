"""Text of the program, such as names of files, as it can be shown on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return a text in one line, with everything escaped that a terminal would not just show.

    Names of files and tests can have line breaks, sequences that steer the terminal, and bytes that
    are no text.

    Example:
        >>> printable("tests/\x1b[2Jé.py")
        'tests/\\x1b[2Jé.py'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def without_directories(path: str, room: int) -> str:
    """Remove leading directories of a path until it fits in ``room`` columns, or none is left.

    Parameters of a test, after a bracket, may have slashes as well; they are kept.

    Example:
        >>> without_directories("/home/me/project/orders.py:12", 18)
        '.../orders.py:12'
    """
    path, bracket, parameters = path.partition("[")
    while len(path) + len(bracket + parameters) > room and "/" in path.removeprefix(".../"):
        path = ".../" + path.removeprefix(".../").partition("/")[2]
    return path + bracket + parameters

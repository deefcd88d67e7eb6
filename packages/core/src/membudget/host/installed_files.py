"""Files of Python and of installed packages: the part of a path that is the same everywhere."""

from __future__ import annotations

import os
import re
from typing import Final

PACKAGES: Final = {"site-packages", "dist-packages"}
"""The directories in which packages are installed."""

_INSTALLED_IN: Final = re.compile(
    rf"(?:.*[/\\])?({'|'.join(sorted(PACKAGES))}|lib(?:64)?[/\\](python3(?:\.\d+t?)?))[/\\]"
)


def path_inside(path: str) -> str:
    """Return the path of an installed file in its directory; empty for any other file.

    Example:
        >>> path_inside("/opt/venv/lib/python3.13/site-packages/pandas/io.py")
        'pandas/io.py'
        >>> path_inside("/home/me/project/orders.py")
        ''
    """
    place = _INSTALLED_IN.match(path)
    return "" if place is None else path[place.end() :]


def portable_path(path: str) -> str:
    """Return the path of an installed file without where it is installed; any other as it is.

    Example:
        >>> portable_path("/opt/venv/lib/python3.13/site-packages/pandas/io.py")
        'site-packages/pandas/io.py'
        >>> portable_path("/usr/lib/python3.13/json/decoder.py")
        'lib/python3.13/json/decoder.py'
        >>> portable_path("/home/me/project/orders.py")
        '/home/me/project/orders.py'
    """
    place = _INSTALLED_IN.match(path)
    if place is None:
        return path
    directory = "site-packages" if place[1] in PACKAGES else f"lib/{place[2]}"
    return f"{directory}/{path[place.end() :].replace(os.sep, '/')}"

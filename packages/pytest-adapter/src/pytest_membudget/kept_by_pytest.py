"""Keeps the memory that pytest itself retains out of a test's leaks.

pytest retains log records and their text, output captured in memory, and warnings. At the end of a
test, :func:`moved_out` replaces them with copies that no block counts. The originals are freed
before the test's block ends, unless the test itself still references them.
"""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import marshal
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from io import BytesIO, StringIO
from typing import Any

from ._private import CaptureIO, LogCaptureHandler

# Taken early: a test may replace them.
_root_logger = logging.getLogger()
_copied, _to_bytes, _from_bytes = copy.copy, marshal.dumps, marshal.loads


def moved_out(
    function: Callable[..., Any], left_out: Callable[[], AbstractContextManager[None]]
) -> Callable[..., Any]:
    """Return a test function that replaces pytest's records with uncounted copies at its end.

    Args:
        function: a ``def`` or an ``async def``.
        left_out: makes a context in which no block counts.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            try:
                return await function(*args, **kwargs)
            finally:
                with left_out():
                    _move_out()

        return run_async

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            return function(*args, **kwargs)
        finally:
            with left_out():
                _move_out()

    return run


def _move_out() -> None:
    copies: dict[int, Any] = {}  # both of pytest's handlers hold the same records
    for handler in _root_logger.handlers:
        if isinstance(handler, LogCaptureHandler) and handler.records:
            _replace(handler.records, copies)
            # Without the copy, the new stream would share the text of the old one.
            text = _copy_of_text(handler.stream.getvalue())
            handler.stream = StringIO()
            handler.stream.write(text)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, CaptureIO) and isinstance(stream.buffer, BytesIO):
            output = bytes(bytearray(stream.buffer.getvalue()))
            stream.buffer.seek(0)
            stream.buffer.truncate()
            stream.buffer.write(output)
    # While warnings are recorded, this is the append() of a list.
    recorded = getattr(getattr(warnings, "_showwarnmsg_impl", None), "__self__", None)
    if isinstance(recorded, list):
        _replace(recorded, copies)


def _replace(kept: list[Any], copies: dict[int, Any]) -> None:
    """Replace the items of a list with copies, in place.

    Args:
        kept: records or warnings.
        copies: the copies made so far, by the identity of the original.
    """
    originals = kept[:]
    for original in originals:
        if id(original) not in copies:
            copies[id(original)] = _copy_of(original)
    kept.clear()
    kept.extend(copies[id(original)] for original in originals)


def _copy_of(original: Any) -> Any:
    """Copy a record or a warning with its texts, but not the other objects that it references."""
    try:
        made = _copied(original)
        for name, value in vars(original).items():
            setattr(made, name, _copy_of_text(value))
    except Exception:  # the program's own class, which cannot be copied
        return original
    return made


def _copy_of_text(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_copy_of_text, value))
    if isinstance(value, Warning):
        made = _copied(value)
        made.args = tuple(map(_copy_of_text, value.args))
        return made
    try:
        return _from_bytes(_to_bytes(value))
    except ValueError:
        return value

"""Detects calls whose work happens later, after the block of the call has ended.

For some functions this is known before the call, for all others only from the result. An iterator
over data that exists already, such as ``iter(rows)``, an open file or a ``csv.reader``, is an
ordinary result.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import itertools
from collections.abc import Callable, Iterator
from types import AsyncGeneratorType, CodeType, CoroutineType, GeneratorType
from typing import Any, Final

from .host.loaded_classes import loaded_class

# Types that run functions of the program when they are iterated over, entered or awaited.
_LAZY_TYPES: Final = (
    CoroutineType,
    GeneratorType,
    AsyncGeneratorType,
    contextlib._GeneratorContextManager,
    contextlib._AsyncGeneratorContextManager,
    map,
    filter,
    itertools.accumulate,
    itertools.dropwhile,
    itertools.filterfalse,
    itertools.groupby,
    itertools.starmap,
    itertools.takewhile,
    type(iter(int, 1)),  # calls a function until it returns 1
)
# Iterators over other iterators: lazy if one of those is.
_WRAPPING_ITERATORS: Final = (
    zip,
    enumerate,
    itertools.chain,
    itertools.compress,
    itertools.cycle,
    itertools.islice,
    itertools.pairwise,
    itertools.zip_longest,
    type(itertools.tee(())[0]),
    itertools._tee_dataobject,  # type: ignore[attr-defined]
    *filter(None, [getattr(itertools, "batched", None)]),  # since Python 3.12
)


def _code_of(decorator: Callable[[Any], Any]) -> CodeType:
    """Return the code object that all functions made by a decorator of contextlib share."""
    code: CodeType = decorator(_code_of).__code__
    return code


_MAKES_CONTEXT_MANAGERS: Final = {
    _code_of(contextlib.contextmanager): "contextmanager",
    _code_of(contextlib.asynccontextmanager): "asynccontextmanager",
}


def later_work_of(func: Callable[..., Any]) -> tuple[str, str] | None:
    """Return why calling a function does no work yet, if that is known without a call.

    Returns:
        The kind of function, and the code to put a block around; None if nothing is known.

    Example:
        >>> later_work_of(contextlib.contextmanager(later_work_of))
        ('a function of @contextmanager', 'the with statement that uses it')
        >>> later_work_of(len) is None
        True
    """
    while isinstance(func, functools.partial):
        func = func.func
    for function in (func, type(func).__call__):
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            return "a generator function", "the loop that uses it"
        code: Any = getattr(function, "__code__", None)
        maker = _MAKES_CONTEXT_MANAGERS.get(code)
        if maker is not None:
            return f"a function of @{maker}", "the with statement that uses it"
    return None


def does_work_later(result: Any) -> bool:
    """Whether the result of a call runs code later, or is work that may continue elsewhere.

    Example:
        >>> does_work_later(map(len, ["rows"])), does_work_later(iter(["rows"]))
        (True, False)
        >>> does_work_later(zip(iter(["rows"]), (row for row in ["rows"])))
        True
    """
    if isinstance(result, loaded_class("csv", "DictReader")):
        result = result.reader
    if isinstance(result, (*_WRAPPING_ITERATORS, loaded_class("_csv", "Reader"))):
        return any(map(does_work_later, _sources_of(result)))
    is_future = isinstance(result, _futures())
    return isinstance(result, _LAZY_TYPES) or (is_future and not is_finished_future(result))


def _sources_of(iterator: object) -> Iterator[object]:
    """Yield the objects from which an iterator takes its items."""
    for held in gc.get_referents(iterator):
        # If there are several, they are in a tuple; chain refers to it through an iterator.
        inner = gc.get_referents(held) if isinstance(iterator, itertools.chain) else ()
        for one in (held, *inner):
            yield from one if isinstance(one, tuple) else (one,)


def is_finished_future(result: Any) -> bool:
    """Whether the result of a call is a future, or a task, whose work is done."""
    return isinstance(result, _futures()) and result.done()


def _futures() -> tuple[Any, ...]:
    return (
        loaded_class("asyncio.futures", "Future"),
        loaded_class("concurrent.futures._base", "Future"),
    )

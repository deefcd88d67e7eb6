"""A limit on a call that does no work yet is refused, because it would measure nothing."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from conftest import RunPython, in_subprocess
from membudget import Budget, limit_leaks, limit_memory, measure_memory
from membudget.runs import Block, in_block


def rows(n: int = 3) -> Iterator[int]:
    yield from range(n)


async def async_rows() -> AsyncIterator[int]:
    yield 1


class Rows:
    def __call__(self) -> Iterator[int]:
        yield 1


class Table:
    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (rows, "a generator function.*around the loop"),
        (async_rows, "a generator function.*around the loop"),
        (functools.partial(rows, 5), "a generator function"),
        (functools.partial(functools.partial(rows), 5), "a generator function"),
        (Rows(), "a generator function"),
        (functools.partial(Rows()), "a generator function"),
        (contextlib.contextmanager(rows), "of @contextmanager.*around the with statement"),
        (contextlib.asynccontextmanager(async_rows), "of @asynccontextmanager"),
        (functools.partial(contextlib.contextmanager(rows), 5), "of @contextmanager"),
        (Table().open, "of @contextmanager"),
    ],
)
def test_lazy_functions_are_refused_at_decoration(
    function: Callable[[], object], words: str
) -> None:
    """With every limit, and with measure_memory, which would measure nothing."""
    for limit in (limit_memory("1 MB"), limit_leaks("1 MB"), measure_memory()):
        with pytest.raises(TypeError, match=words):
            limit(function)
    # An adapter that only measures changes nothing.
    assert in_block(Block(Budget(), around_call=True), function) is not None


@in_subprocess
def test_lazy_results_are_refused() -> None:
    """Through any decorator or function; with no warning about coroutines."""
    import asyncio
    import concurrent.futures
    import csv
    import itertools

    from membudget import MisuseError
    from membudget.runs import Block, in_block, memory_budget

    def through(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(function)(lambda *args: function(*args))

    async def coroutine() -> None: ...

    class Awaitable:
        def __await__(self) -> Iterator[None]:
            yield

    pending: concurrent.futures.Future[int] = concurrent.futures.Future()
    lazy: list[Callable[..., Any]] = [
        *(through(function) for function in (rows, async_rows, coroutine, Awaitable)),
        through(contextlib.contextmanager(rows)),
        through(contextlib.asynccontextmanager(async_rows)),
        functools.singledispatch(through(rows)),
        functools.lru_cache(rows),
        lambda *_: map(len, [""]),
        lambda *_: filter(len, [""]),
        lambda *_: itertools.starmap(max, [(1, 2)]),
        lambda *_: itertools.groupby([1]),
        lambda *_: iter(int, 1),
        lambda *_: zip([1], rows(), strict=False),
        lambda *_: enumerate(map(len, [""])),
        lambda *_: itertools.chain(rows(), [1]),
        lambda *_: itertools.chain(zip(rows())),
        lambda *_: itertools.islice(rows(), 2),
        lambda *_: itertools.tee(rows())[0],
        lambda *_: csv.reader(map(str, rows())),
        lambda *_: csv.DictReader(map(str, rows())),
        lambda *_: pending,
    ]
    for function in lazy:
        for limited in (
            limit_memory("1 MB")(function),
            limit_memory("1 MB", stable=True)(function),
            in_block(Block(memory_budget("1 MB"), around_call=True), function),
        ):
            try:
                limited(*[1] * (isinstance(function, functools._lru_cache_wrapper)))
            except MisuseError as error:
                assert "has not run yet" in str(error)
            except TypeError:
                assert hasattr(function, "dispatch")
                break
            else:
                raise AssertionError(function)

    @limit_memory("1 MB")
    async def async_function() -> object:
        return rows()

    try:
        asyncio.run(async_function())
    except MisuseError:
        pass
    else:
        raise AssertionError


@in_subprocess
def test_iterators_over_existing_data_are_ordinary_results() -> None:
    """So are futures that are done, and objects that can be awaited again."""
    import asyncio
    import concurrent.futures
    import csv
    import io
    import itertools

    done: concurrent.futures.Future[int] = concurrent.futures.Future()
    done.set_result(3)
    data = [1, 2]
    finished: list[Callable[[], Any]] = [
        lambda: iter(data),
        lambda: reversed(data),
        lambda: csv.reader(["a,b"]),
        lambda: csv.DictReader(["a,b", "1,2"]),
        lambda: io.StringIO("text"),
        lambda: open(__file__),
        lambda: zip(data, data, strict=True),
        lambda: enumerate(data),
        lambda: itertools.chain(data, (3,)),
        lambda: itertools.count(),
        lambda: itertools.product(data, data),
        lambda: (rows(), data),
        lambda: contextlib.nullcontext(),
        lambda: functools.partial(rows, 3),
        lambda: done,
    ]
    for function in finished:
        result = limit_memory("10 MB")(function)()
        getattr(result, "close", int)()

    class Pool:
        def __await__(self) -> Iterator[None]:
            yield

    async def connect() -> Pool:
        return Pool()

    assert isinstance(asyncio.run(limit_memory("10 MB")(connect)()), Pool)


def test_a_decorator_that_runs_a_generator_is_measured(run_python: RunPython) -> None:
    """It wraps a generator function, but does its work in the call."""
    program = """
import functools
from membudget import MemoryLimitExceeded, limit_memory
def listed(function):
    return functools.wraps(function)(lambda: list(function()))
@limit_memory("1 KB")
@listed
def rows():
    yield bytearray(5000)
try:
    rows()
except MemoryLimitExceeded:
    print("exceeded")
"""
    assert run_python("-c", program).stdout == "exceeded\n"


@in_subprocess
def test_switched_off_a_decorated_call_builds_nothing() -> None:
    """It asks once whether measuring is on, and calls the function."""
    import asyncio
    import os
    import sys

    os.environ["MEMBUDGET"] = "off"
    limited: Callable[[], int] = limit_memory("1 KB")(lambda: 3)
    limited()
    called = []

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_name)

    sys.setprofile(profile)
    limited()
    sys.setprofile(None)
    assert called == ["run", "_blocks_of_a_call", "measuring_is_on", "<lambda>"]

    @limit_memory("1 KB")
    async def work() -> int:
        return 3

    assert asyncio.run(work()) == 3

"""Decorates functions so that they run in blocks, and finds the budget of a decorated function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import CoroutineType, MethodType
from typing import Any, Final, TypeAlias, TypeVar, cast

from .availability import measuring_is_on
from .block import Block, Place, refuse_phases, warm_up_block
from .budget import Budget
from .errors import MisuseError
from .lazy_work import does_work_later, is_finished_future, later_work_of
from .plugins import plugin_manager
from .recording.garbage import collect_garbage
from .verdict import MemoryLimitExceeded

BUDGET_ATTRIBUTE: Final = "__membudget_budget__"
F = TypeVar("F", bound=Callable[..., Any])


class Decoration:
    """Marks a function that has a budget; decorators around that function inherit it.

    Attributes:
        budget: the budget.
        wrapper: the function that enforces it.
        bare: the function that ``wrapper`` calls, for an adapter that enforces the budget itself;
            None if the budget cannot be taken off, because an adapter enforces it already.
    """

    __slots__ = ("bare", "budget", "wrapper")

    def __init__(self, budget: Budget, wrapper: Any, bare: Any) -> None:
        self.budget = budget
        self.wrapper = wrapper
        self.bare = bare


def budget_of(func: Callable[..., Any]) -> tuple[Budget | None, Callable[..., Any]]:
    """Take the budget off a decorated function, for an adapter that runs it in its own block.

    Args:
        func: a function or a bound method.

    Returns:
        The budget of the function or None, and the function without that budget. A budget that
        cannot be taken off, because it lies below another decorator or an adapter enforces it, is
        returned with ``func`` itself.
    """
    decoration = getattr(func, BUDGET_ATTRIBUTE, None)
    if not isinstance(decoration, Decoration):
        return None, func
    if decoration.bare is None or getattr(func, "__func__", func) is not decoration.wrapper:
        return decoration.budget, func
    instance = getattr(func, "__self__", None)
    if instance is None:
        return decoration.budget, decoration.bare
    # The wrapper passes the instance first, so this does too; a partial does not bind by itself.
    return decoration.budget, MethodType(decoration.bare, instance)


def measures(func: Callable[..., Any]) -> bool:
    """Whether an adapter has put a block around a function, so that another one need not."""
    decoration = getattr(func, BUDGET_ATTRIBUTE, None)
    return (
        isinstance(decoration, Decoration)
        and decoration.bare is None
        and getattr(func, "__func__", func) is decoration.wrapper
    )


@dataclass(frozen=True, slots=True)
class Decorator:
    """Gives functions a budget: each call runs in its own block.

    Args:
        budget: the budget.
        written_as: the name that the user wrote, for messages.
        place: the file and the line where it is written; None if no warning is to name it.
        adapters_may_take_over: whether an adapter may take the budget off a test and enforce it in
            its own block, so that it can report the test; see :func:`budget_of`.
    """

    budget: Budget
    written_as: str = "limit_memory"
    place: Place | None = None
    adapters_may_take_over: bool = False

    def __call__(self, func: F) -> F:
        """Decorate a function; or a class, if an installed adapter knows classes of its kind.

        Args:
            func: a ``def``, an ``async def``, another callable, or a class.

        Raises:
            TypeError: it is a generator function or one of ``contextlib.contextmanager``, not
                callable, or a class that no adapter knows.

        A call of the decorated function raises MisuseError if it returns unfinished work that would
        not be measured: a coroutine, a generator, a ``map``, a future.
        """
        if inspect.isclass(func):
            return cast(F, _limit_class(func, self.budget))
        if isinstance(func, (staticmethod, classmethod)):
            raise TypeError(
                f"{func.__func__.__qualname__} has its budget above @{type(func).__name__}: "
                f"put the budget below it"
            )
        if not callable(func):
            raise TypeError(f"{func!r} cannot have a budget: decorate a function or a class")
        name = getattr(func, "__qualname__", None) or repr(func)
        later = later_work_of(func)
        if later is not None:
            what, around = later
            raise TypeError(
                f"{name} is {what}: calling it runs nothing yet, so there is nothing "
                f"to measure. Put 'with {self.written_as}(...):' around {around}"
            )
        inner, bare = budget_of(func) if self.adapters_may_take_over else (None, func)
        if inner is not None and bare is not func and not _overlap(self.budget, inner):
            # One block for both, because two blocks would need the same trace settings.
            return cast(F, replace(self, budget=inner.combined_with(self.budget))(bare))
        wrapper = run_in(
            functools.partial(self._blocks_of_a_call, name),
            func,
            functools.partial(_refuse_later_work, name, self.budget),
        )
        if self.budget.limits_anything:
            taken_off = func if self.adapters_may_take_over else None
            setattr(wrapper, BUDGET_ATTRIBUTE, Decoration(self.budget, wrapper, taken_off))
        return cast(F, wrapper)

    def _blocks_of_a_call(self, name: str) -> Iterable[Block] | None:
        """Return the blocks of a call, which runs once in each; None if measuring is off."""
        if not measuring_is_on():
            return None
        refuse_phases(self.budget)
        if not self.budget.scope.stable:
            return (self._block(name),)
        if self.budget.limits_anything:
            return self._cold_and_warm(name)
        return (warm_up_block(), self._block(name))

    def _cold_and_warm(self, name: str) -> Iterator[Block]:
        """Yield a block; and if that is over the budget, another one for a second call."""
        cold = self._block(name, is_provisional=True)
        yield cold
        if cold.is_over:
            collect_garbage()
            yield self._block(name)

    def _block(self, name: str, *, is_provisional: bool = False) -> Block:
        return Block(
            self.budget,
            subject=f"{name}()",
            around_call=True,
            for_user=True,
            place=self.place,
            is_provisional=is_provisional,
        )


def in_block(block: Block, test: Callable[..., Any]) -> Callable[..., Any]:
    """Return a test function whose call runs in a block of an adapter.

    Args:
        block: the block, created with ``around_call``.
        test: a ``def`` or an ``async def``. Without a limit it may return anything, because
            measuring alone changes nothing; with a limit, its work must be done when it returns.
    """
    name = getattr(test, "__qualname__", None) or repr(test)

    def check(was_awaited: bool, result: Any) -> None:
        if block.budget.limits_anything:
            _refuse_later_work(name, block.budget, was_awaited, result)

    wrapper = run_in(lambda: (block,), test, check)
    setattr(wrapper, BUDGET_ATTRIBUTE, Decoration(block.budget, wrapper, None))
    return wrapper


def _overlap(one: Budget, other: Budget) -> bool:
    """Whether two budgets limit the same thing."""
    return one.minus(other) != one


def _limit_class(cls: type, budget: Budget) -> type:
    decorated = plugin_manager().hook.membudget_limit_class(cls=cls, budget=budget)
    if decorated is None:
        raise TypeError(
            f"{cls.__qualname__} cannot have a budget: no installed package knows this class. For "
            f"unittest.TestCase classes: pip install unittest-membudget. For pytest classes: "
            f"@pytest.mark.limit_memory. For other classes, decorate the methods"
        )
    return cast(type, decorated)


def _refuse_later_work(name: str, budget: Budget, was_awaited: bool, result: Any) -> None:
    """Refuse the result of a call if it is unfinished work, which no limit would measure."""
    is_refused = does_work_later(result)
    if not was_awaited and budget.limits_anything:
        # An awaited call may return a connection or a pool that can be awaited as well.
        is_refused |= inspect.isawaitable(result) and not is_finished_future(result)
    if not is_refused:
        return
    kind = type(result).__name__.replace("_", " ")
    if isinstance(result, CoroutineType):
        result.close()  # Python would warn that it was never awaited
    raise MisuseError(
        f"{name}() returned a {kind} that has not run yet, or not to its end, so its work was not "
        f"measured. Put the budget on the function it comes from, or around the code that runs it"
    )


Contexts: TypeAlias = Callable[[], Iterable[AbstractContextManager[Any]] | None]

# unittest leaves out the frames of modules with this name, as pytest those with __tracebackhide__:
# a traceback begins at the user's code.
__unittest = True


def run_in(
    contexts: Contexts,
    func: Callable[..., Any],
    check: Callable[[bool, Any], None] = lambda *_: None,
) -> Callable[..., Any]:
    """Return a function that calls ``func`` once in each of several contexts.

    Args:
        contexts: called for each call; returns the context managers in which ``func`` is called,
            once in each. The last result is returned. None for a plain call.
        func: a ``def``, an ``async def``, or an object that can be called like one.
        check: called after a context has ended, unless the result is None: with whether the call
            was awaited, and with the result.
    """
    if inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(
        getattr(func, "__call__", None)  # noqa: B004 - an object whose call is async
    ):

        @functools.wraps(func)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = hide_unless_exceeded
            entered = contexts()
            if entered is None:
                return await func(*args, **kwargs)
            result = None
            for context in entered:
                result = None  # free the result of an earlier call before the next one
                with context:
                    result = await func(*args, **kwargs)
                if result is not None:
                    check(True, result)
            return result

        return run_async

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = hide_unless_exceeded
        entered = contexts()
        if entered is None:
            return func(*args, **kwargs)
        result = None
        for context in entered:
            result = None
            with context:
                result = func(*args, **kwargs)
            if result is not None:
                check(False, result)
        return result

    return run


def hide_unless_exceeded(excinfo: Any) -> bool:
    """Hide a frame from pytest's traceback, unless nothing would be left of the traceback.

    It is the value of ``__tracebackhide__`` in functions between a test framework and a test.
    """
    return not isinstance(excinfo.value, MemoryLimitExceeded)

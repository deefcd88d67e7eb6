"""Other interpreters of the process: memray runs in the main interpreter only.

While memray tracks objects, other interpreters must not run. memray (1.20) records the objects of
all interpreters, and crashes when it accesses those of another interpreter than its own.
``concurrent.interpreters`` and ``InterpreterPoolExecutor`` (Python 3.14) create interpreters and
run code in them with functions of the module ``_interpreters``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ..errors import MisuseError

if TYPE_CHECKING:
    _interpreters: Any
else:
    try:
        import _interpreters
    except ImportError:  # before Python 3.13
        _interpreters = None

_FUNCTIONS: Final = ("create", "destroy", "exec", "call", "run_func", "run_string")


class InterpreterGuard:
    """Makes creating other interpreters, and running code in them, an error until :meth:`end`.

    Raises:
        MisuseError: code already runs in another interpreter.
    """

    def __init__(self) -> None:
        self._replaced: dict[str, Callable[..., Any]] = {}
        if _interpreters is None:
            return
        main = _interpreters.get_main()[0]
        others = [number for number, *_ in _interpreters.list_all() if number != main]
        if any(_interpreters.is_running(number) for number in others):
            _refuse()
        for name in _FUNCTIONS:
            if hasattr(_interpreters, name):
                self._replaced[name] = getattr(_interpreters, name)
                setattr(_interpreters, name, _refuse)

    def end(self) -> None:
        """Allow it again. Can be called again."""
        while self._replaced:
            name, function = self._replaced.popitem()
            setattr(_interpreters, name, function)


def _refuse(*_: object, **__: object) -> NoReturn:
    raise MisuseError(
        "other interpreters (concurrent.interpreters, InterpreterPoolExecutor) cannot run in a "
        "block with limit_leaked_objects, because memray would crash. Use threads or processes "
        "instead, or limit_leaks"
    )


def is_main_interpreter() -> bool:
    """Whether this code runs in the main interpreter of the process."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # since Python 3.13, and before
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True

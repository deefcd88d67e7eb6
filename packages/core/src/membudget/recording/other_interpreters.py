"""Other interpreters of the process: memray runs in the main one only.

They are kept from running while it tracks objects.

memray (1.20) takes note of the objects of all of them, and crashes when it looks at those of
another interpreter than the one that started it. ``concurrent.interpreters`` and
``InterpreterPoolExecutor`` (Python 3.14) create them and run code in them by functions of the
module ``_interpreters``.
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
    """Refuses to create other interpreters, and to run code in them, until :meth:`end`.

    Raises:
        MisuseError: code runs in another interpreter already.
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
        """Allow it again. Can be done again."""
        while self._replaced:
            name, function = self._replaced.popitem()
            setattr(_interpreters, name, function)


def _refuse(*_: object, **__: object) -> NoReturn:
    raise MisuseError(
        "a block with limit_leaked_objects cannot share its process with other interpreters that "
        "run meanwhile (concurrent.interpreters, InterpreterPoolExecutor): memray would crash. Use "
        "threads or processes there, or limit_leaks"
    )


def is_main_interpreter() -> bool:
    """Whether this is not one of the interpreters that a process can have besides its main one."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # since Python 3.13, and before
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True

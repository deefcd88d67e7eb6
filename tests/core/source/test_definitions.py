"""Where a test is written, as adapters find it at run time."""

from __future__ import annotations

import functools
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from membudget import limit_memory
from membudget.source.definitions import Definition, written_test


def wraps(test: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(test)
    def wrapper(*args: object) -> object:
        return test(*args)

    return wrapper


def hides(test: Callable[..., object]) -> Callable[..., object]:
    def wrapper(*args: object) -> object:
        return test(*args)

    return wrapper


def line_of(text: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return 1 + next(number for number, line in enumerate(lines) if line.strip() == text)


class Base(unittest.TestCase):
    def plain(self) -> None: ...  # plain

    @wraps  # wrapped
    def wrapped(self) -> None: ...

    @hides
    def hidden(self) -> None: ...

    @limit_memory("1 MB")  # limited
    async def limited(self) -> None: ...

    @mock.patch("os.getcwd")  # patched
    def patched(self, getcwd: object) -> None: ...

    @staticmethod  # static
    def static() -> None: ...

    mocked = mock.MagicMock()
    partial = functools.partial(print)
    assigned = plain
    lambda_ = lambda self: None  # noqa: E731


class Derived(Base): ...


@pytest.mark.parametrize("name", ["plain", "wrapped", "limited", "patched", "static"])
@pytest.mark.parametrize("cls", [Base, Derived])
def test_the_function_below_its_decorators_is_found(cls: type, name: str) -> None:
    """Finds the function itself, with its line, in the class that defines it."""
    tag = {
        "plain": "def plain(self) -> None: ...  # plain",
        "wrapped": "@wraps  # wrapped",
        "limited": '@limit_memory("1 MB")  # limited',
        "patched": '@mock.patch("os.getcwd")  # patched',
        "static": "@staticmethod  # static",
    }[name]
    found = written_test(getattr(cls, name), name, module="/x/test_x.py", cls=cls)
    assert found.function == Definition(__file__, f"Base.{name}", line_of(tag))
    assert found.implementation is None


@pytest.mark.parametrize("name", ["hidden", "mocked", "partial", "assigned", "lambda_"])
def test_tests_with_another_name_than_their_function(name: str) -> None:
    """The name leads to the definition; the function that runs is stored separately."""
    found = written_test(getattr(Derived, name), name, module="/x/test_x.py", cls=Derived)
    assert found.function == Definition(__file__, f"Base.{name}")
    if name in ("mocked", "partial"):
        assert found.implementation is None
    else:
        assert found.implementation is not None
        assert found.implementation.file == __file__
        assert found.implementation.name in (
            "hides.<locals>.wrapper",
            "Base.plain",
            "Base.<lambda>",
        )


def test_classes_and_files() -> None:
    """The bases in their order, without those of unittest."""
    found = written_test(Derived("plain").plain, "plain", module="/x/test_x.py", cls=Derived)
    assert found.classes == (Definition(__file__, "Derived"), Definition(__file__, "Base"))
    assert found.files == (__file__, "/x/test_x.py")
    assert written_test(wraps, "other", module="relative.py").function.file.endswith("/relative.py")


def test_objects_that_have_every_attribute() -> None:
    """A mock, or an object whose attributes raise, has no place in the source; nothing fails."""

    class Endless:
        @property
        def __wrapped__(self) -> Endless:
            return self

        @property
        def __code__(self) -> object:
            raise RuntimeError

    for function in (mock.call, Endless(), None, 5, print):
        found = written_test(function, "test_it", module="/x/test_x.py")
        assert (found.function.name, found.implementation) == ("test_it", None)

"""Converts dataclasses to plain JSON data and back, for other processes and for result files.

The types of its fields determine how a class is written:

==================================  ============================================================
type of a field                     JSON
==================================  ============================================================
``str``, ``int``, ``float``         text, number
``bool``                            ``true`` or ``false``
``Literal["a", "b"]``               one of these strings
a dataclass                         an object with its fields
``tuple[X, ...]``                   an array
``tuple[tuple[str, X], ...]``       an object: a mapping that can be in a frozen dataclass
``X | None``                        X, or ``null``
anything else, such as a function   nothing; when read back, the field has its default
==================================  ============================================================

Keys that a class does not have are ignored, so that data of a later version can be read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from operator import itemgetter
from reprlib import repr as shortened
from types import NoneType, UnionType
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from .errors import RunFileError

T = TypeVar("T")


class _WrongError(Exception):
    """Data does not fit a type.

    Args:
        problem: what is wrong.
        where: the place in the data, from the outermost key on.
    """

    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where


@dataclass(frozen=True, slots=True)
class Coder(Generic[T]):
    """Turns objects of one type into plain data and back.

    Attributes:
        to_data: returns an object as data that ``json.dumps`` takes.
    """

    to_data: Callable[[T], Any]
    _read: Callable[[Any], T]

    def from_data(self, data: object, where: str = "") -> T:
        """Return the object that was written as ``data``.

        Args:
            data: what ``json.loads`` returned.
            where: what the data is called in an error.

        Raises:
            RunFileError: it does not fit the type. The message has the place in the data, and what
                was found there.
        """
        try:
            return self._read(data)
        except _WrongError as wrong:
            place = (where + wrong.where).removeprefix(".")
            raise RunFileError(f"{place}: {wrong.problem}" if place else wrong.problem) from None


Writers: TypeAlias = Mapping[str, Callable[[Any], Any]]


def coder_of(kind: type[T], writers: Writers | None = None) -> Coder[T]:
    """Return the coder of a type.

    Call it for each type when a module is imported: it looks up types, which a test may replace
    later. What it finds is kept for further calls.

    Args:
        kind: the type.
        writers: by the name of a field, wherever it is inside: what makes data of its value.

    Example:
        >>> from membudget import Frame
        >>> frame = coder_of(Frame)
        >>> frame.to_data(Frame("load", "app.py", 7))
        {'function': 'load', 'filename': 'app.py', 'lineno': 7}
        >>> frame.from_data({"function": "load", "filename": "app.py", "lineno": "7"})
        Traceback (most recent call last):
        membudget.errors.RunFileError: lineno: '7' is not a whole number
    """
    coder = _Coders(writers or {}).of(kind)
    assert coder is not None, kind
    return coder


_WORDS: Final = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_FROM_ONE_TYPE: Final[set[object]] = {str, int, bool}
"""Types whose values are data of the same type; a number can be a whole number in the data."""


_hints_of: Final = functools.cache(get_type_hints)


class _Coders:
    """Makes the coders of types, each once."""

    def __init__(self, writers: Writers) -> None:
        self._writers = writers
        self._made: dict[Any, Coder[Any] | None] = {}

    def of(self, kind: Any) -> Coder[Any] | None:
        """Return the coder of a type; None for a type that is not data."""
        if kind not in self._made:
            self._made[kind] = self._new(kind)
        return self._made[kind]

    def _new(self, kind: Any) -> Coder[Any] | None:
        origin, arguments = get_origin(kind), get_args(kind)
        if kind in _WORDS:
            return _plain(kind)
        if isinstance(kind, type) and is_dataclass(kind):
            return self._of_dataclass(kind)
        if origin is Literal:
            return Coder(_as_it_is, functools.partial(_read_word, arguments))
        if origin in (Union, UnionType):
            others = [one for one in arguments if one is not NoneType]
            coder = self.of(others[0]) if len(others) == 1 else None
            return coder and _optional(coder)
        if origin is tuple and arguments[1:] == (Ellipsis,):
            pair = get_args(arguments[0])
            if get_origin(arguments[0]) is tuple and Ellipsis not in pair:
                return _mapping(*map(self.of, pair))
            return _array(arguments[0], self.of(arguments[0]))
        return None

    def _of_dataclass(self, kind: type) -> Coder[Any]:
        hints = _hints_of(kind)
        coders = {
            one.name: coder
            for one in fields(kind)
            if one.init and (coder := self.of(hints[one.name])) is not None
        }
        writers = [(name, self._writers.get(name, coder.to_data)) for name, coder in coders.items()]

        def write(value: object) -> dict[str, object]:
            return {name: field(getattr(value, name)) for name, field in writers}

        return Coder(write, _reader(kind, coders, hints))


def _as_it_is(value: object) -> object:
    return value


def _plain(kind: type) -> Coder[Any]:
    kinds = (int, float) if kind is float else (kind,)

    def read(data: object) -> object:
        if type(data) not in kinds:  # True is not a number
            raise _WrongError(f"{shortened(data)} is not {_WORDS[kind]}")
        return data

    return Coder(_as_it_is, read)


def _read_word(words: tuple[str, ...], data: object) -> object:
    if data not in words:
        raise _WrongError(f"{shortened(data)} is not one of {', '.join(map(repr, words))}")
    return data


def _optional(coder: Coder[Any]) -> Coder[Any]:
    write, read = coder.to_data, coder._read
    return Coder(
        lambda value: None if value is None else write(value),
        lambda data: None if data is None else read(data),
    )


# A large run file has millions of values. So data is read without counting where we are, and only
# wrong data is read again, piece by piece, to say where it is wrong.


def _array(kind: object, coder: Coder[Any] | None) -> Coder[Any]:
    assert coder is not None
    write_item, read_item = coder.to_data, coder._read
    plain = {kind} & _FROM_ONE_TYPE

    def read(data: object) -> tuple[object, ...]:
        if data == []:
            return ()
        items = _expected(list, data, "an array")
        if set(map(type, items)) <= plain:
            return tuple(items)
        try:
            return tuple(map(read_item, items))
        except _WrongError:
            for index, item in enumerate(items):
                _read_inside(read_item, item, f"[{index}]")
            raise

    return Coder(lambda value: [write_item(one) for one in value], read)


def _mapping(keys: Coder[Any] | None, values: Coder[Any] | None) -> Coder[Any]:
    assert keys is not None
    assert values is not None
    read_key, write_value, read_value = keys._read, values.to_data, values._read

    def read(data: object) -> tuple[tuple[object, object], ...]:
        items = _expected(dict, data, "an object").items()
        try:
            return tuple((read_key(key), read_value(one)) for key, one in items)
        except _WrongError:
            for key, one in items:
                read_key(key)
                _read_inside(read_value, one, f".{key}")
            raise

    return Coder(lambda value: {key: write_value(one) for key, one in value}, read)


def _getter(names: Iterable[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that returns some values of a mapping."""
    match list(names):
        case []:
            return lambda data: ()
        case [name]:
            return lambda data: (data[name],)
        case several:
            return itemgetter(*several)


def _reader(
    kind: type, coders: Mapping[str, Coder[Any]], hints: Mapping[str, object]
) -> Callable[[object], object]:
    """Return the function that reads a dataclass."""
    required = {
        one.name
        for one in fields(kind)
        if one.default is MISSING and one.default_factory is MISSING
    }
    readers = [(name, coder._read) for name, coder in coders.items()]
    # Most fields are numbers and texts: their types are compared all at once.
    plain = [name for name in coders if hints[name] in _FROM_ONE_TYPE]
    plain_of, types = _getter(plain), tuple(hints[name] for name in plain)
    all_of = _getter(coders)
    others = [(place, one) for place, (name, one) in enumerate(readers) if name not in plain]
    names = list(coders)
    # Arguments without names take less time, if no field that is not data is between them.
    in_order = names == list(getattr(kind, "__match_args__", ()))[: len(names)]

    def read(data: object) -> object:
        try:
            if tuple(map(type, plain_of(data))) == types:
                values = list(all_of(data))
                for place, field in others:
                    values[place] = field(values[place])
                return kind(*values) if in_order else kind(**dict(zip(names, values, strict=True)))
        except (LookupError, TypeError, _WrongError):
            pass
        return read_one_by_one(_expected(dict, data, "an object"))

    def read_one_by_one(given: dict[str, object]) -> object:
        if not required <= given.keys():
            raise _WrongError(f"there is no {min(required - given.keys())!r}")
        values = {
            name: _read_inside(field, given[name], f".{name}")
            for name, field in readers
            if name in given
        }
        return kind(**values)

    return read


def _read_inside(read: Callable[[Any], T], data: object, here: str) -> T:
    """Read what is somewhere inside; an error says where it is."""
    try:
        return read(data)
    except _WrongError as wrong:
        raise _WrongError(wrong.problem, here + wrong.where) from None


def _expected(kind: type[T], data: object, words: str) -> T:
    if isinstance(data, kind):
        return data
    raise _WrongError(f"{shortened(data)} is not {words}")

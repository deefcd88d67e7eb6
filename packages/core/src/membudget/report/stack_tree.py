"""Merges stacks into a tree: callers above what they called, as an icicle graph shows it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..measurement import Allocation, Frame
from ..sites import key_of, library_of
from .failure_text import counted
from .printable import printable

N_STACKS: Final = 40
"""How many stacks a tree has; the others are one node."""
_TOO_SMALL: Final = 500
"""A stack that is smaller than everything divided by this is too narrow to be seen."""
_SHORTEST_FOLDED: Final = 4
"""How many calls inside libraries follow one another before those in the middle are folded."""
_DEEPEST: Final = 32
"""How many calls of one stack are shown; those in the middle of a deeper one are folded."""
_OUTERMOST: Final = 8
"""How many of these are the outermost ones."""

Key: TypeAlias = tuple[str, str]
"""The file and the function of a call, which are the same in every run."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call in a stack, or several that are folded into one.

    Attributes:
        label: the function, or how many calls were folded.
        place: its file and line; for folded calls, the packages in which they are.
        is_own: whether it is the user's own code, not that of a library.
        key: what is the same in another run.
    """

    label: str
    place: str
    is_own: bool
    key: Key


@dataclass(slots=True)
class Node:
    """A call, with the memory that it and what it called had.

    Attributes:
        step: the call.
        size_bytes, n_allocations: its memory.
        old_bytes, new_bytes: what its function had in an earlier run and in this one, over all its
            lines, because lines move when a file is edited; None if there is no earlier run.
        children: what it called.
    """

    step: Step
    size_bytes: int = 0
    n_allocations: int = 0
    old_bytes: int | None = None
    new_bytes: int | None = None
    children: dict[Step, Node] = field(default_factory=dict)

    def add(self, allocation: Allocation) -> None:
        """Add the memory of an allocation."""
        self.size_bytes += allocation.size_bytes
        self.n_allocations += allocation.n_allocations

    def child(self, step: Step) -> Node:
        """Return the node of a call from here."""
        return self.children.setdefault(step, Node(step))

    @property
    def largest_first(self) -> list[Node]:
        """What it called, with the largest memory first."""
        return sorted(self.children.values(), key=lambda node: -node.size_bytes)


def stack_tree(
    title: str,
    allocations: Iterable[Allocation],
    root: str,
    baseline: Iterable[Allocation] | None = None,
) -> Node:
    """Return the tree of some allocations.

    Args:
        title: what the allocations are; the label of the first node.
        allocations: the allocations.
        root: the directory of the project; the paths below it are relative to it.
        baseline: the same allocations in an earlier run; None to compare with nothing.

    Example:
        >>> stack = Frame("load", "app.py", 7), Frame("test_load", "test_app.py", 5)
        >>> tree = stack_tree("Alive at the peak", [Allocation(100, 1, stack)], "")
        >>> (caller,) = tree.largest_first
        >>> caller.step.label, [one.step.place for one in caller.largest_first]
        ('test_load', ['app.py:7'])
    """
    ranked = sorted(allocations, key=lambda one: -one.size_bytes)
    tree = Node(Step(title, "", True, ("", "")))
    for one in ranked:
        tree.add(one)
    shown = [one for one in ranked[:N_STACKS] if one.size_bytes * _TOO_SMALL >= tree.size_bytes]
    for one in shown:
        node = tree
        for step in _steps(one.stack, root):
            node = node.child(step)
            node.add(one)
    rest = ranked[len(shown) :]
    if rest:
        others = tree.child(Step(f"{counted(len(rest), 'more stack')}", "", False, ("", "")))
        for one in rest:
            others.add(one)
    if baseline is not None:
        _compare(tree, _sums(ranked, root), _sums(baseline, root))
    return tree


def _sums(allocations: Iterable[Allocation], root: str) -> dict[tuple[Key, ...], int]:
    """Return how much memory each function had, by the way of calls that led to it."""
    sums: dict[tuple[Key, ...], int] = {(): 0}
    for one in allocations:
        way: tuple[Key, ...] = ()
        sums[way] += one.size_bytes
        for step in _steps(one.stack, root):
            way = (*way, step.key)
            sums[way] = sums.get(way, 0) + one.size_bytes
    return sums


def _compare(
    node: Node,
    new: dict[tuple[Key, ...], int],
    old: dict[tuple[Key, ...], int],
    way: tuple[Key, ...] = (),
) -> None:
    node.old_bytes, node.new_bytes = old.get(way, 0), new.get(way, 0)
    for step, child in node.children.items():
        if step.key != ("", ""):
            _compare(child, new, old, (*way, step.key))


def _steps(stack: tuple[Frame, ...], root: str) -> list[Step]:
    """Return the calls of a stack, the outermost first, with calls inside libraries folded."""
    if not stack:
        return [Step("outside of Python code", "", False, ("", "<none>"))]
    steps: list[Step] = []
    calls = itertools.groupby(reversed(stack), key=lambda frame: bool(library_of(frame)))
    for in_library, frames in calls:
        run = list(frames)
        if not in_library or len(run) < _SHORTEST_FOLDED:
            steps.extend(_step(frame, root) for frame in run)
        else:
            # The first call is the library's function that was used, the last one allocated.
            first, *middle, last = run
            steps += [_step(first, root), _folded(map(library_of, middle)), _step(last, root)]
    if len(steps) > _DEEPEST:
        end = len(steps) - (_DEEPEST - _OUTERMOST - 1)
        middle_of_all = steps[_OUTERMOST:end]
        steps[_OUTERMOST:end] = [_folded(step.key[0] for step in middle_of_all)]
    return steps


def _step(frame: Frame, root: str) -> Step:
    path, function = key_of(frame)
    path = path.removeprefix(os.path.join(root, "")) if root else path
    place = f"{path.replace(os.sep, '/')}:{frame.lineno}"
    return Step(printable(function), printable(place), not library_of(frame), (path, function))


def _folded(where: Iterable[str]) -> Step:
    places = list(where)
    names = ", ".join(dict.fromkeys(places))
    return Step(f"{len(places)} calls", printable(names), False, ("<folded>", names))


def nodes_of(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it."""
    yield node
    for child in node.children.values():
        yield from nodes_of(child)

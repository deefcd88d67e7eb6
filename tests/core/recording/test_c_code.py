"""The C extensions: their arguments, references and memory."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from captures import capture_of
from membudget import measure_memory
from membudget.measurement import ARENA_BYTES
from membudget.recording import marks
from membudget.recording.marks import MARKS_ARE_MADE_IN_C, MOST_OVERHEAD, N_DIGITS, SMALLEST
from membudget.recording.readers.scanner import scanner_problem
from membudget.runs import Block
from programs import ALPHABET, Machine

needs_marks = pytest.mark.skipif(not MARKS_ARE_MADE_IN_C, reason="marks are made in Python")
needs_scanner = pytest.mark.skipif(scanner_problem() is not None, reason="there is no scanner")


def extension(name: str) -> ModuleType:
    return importlib.import_module(f"membudget.recording.{name}")


class SaysThatItIsABlock:
    """Smaller than a block, but isinstance() says that it is one."""

    __slots__ = ()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return Block

    def _leave(self, *_: object) -> None:
        raise AssertionError("not a block")


@needs_marks
@pytest.mark.parametrize(
    "fake",
    [
        SaysThatItIsABlock(),
        mock.MagicMock(spec=Block),
        mock.create_autospec(Block, instance=True),
        object(),
        None,
        Block,
    ],
    ids=lambda fake: type(fake).__name__,
)
def test_objects_that_pretend_to_be_blocks_are_refused(fake: object) -> None:
    """C code writes into a block, so another object would crash, whatever its __class__ says."""
    leave: Any = Block.__exit__
    for method in (leave, leave.__get__(object(), object)):
        with pytest.raises(TypeError):
            method(fake, None, None, None)
    others: list[Any] = [Block.__enter__, Block._clear_marks, Block._set_marks]
    for method in others:
        with pytest.raises(TypeError):
            method(fake)


@needs_marks
def test_a_block_that_refers_to_itself_is_collected() -> None:
    """An ExitStack, or the user's code, can make such a cycle."""
    block: Any = measure_memory()
    block.leave = block.__exit__
    gone = weakref.ref(block)
    assert gc.is_tracked(block.leave)
    del block
    gc.collect()
    assert gone() is None


@needs_scanner
def test_a_scanner_knows_its_type() -> None:
    """Python's collector has to see the references of the type."""
    scanner_type = extension("_scanner").Scanner
    with tempfile.TemporaryFile() as file:
        file.write(capture_of([]))
        file.flush()
        scanner = new_scanner(file.fileno())
    assert scanner_type in gc.get_referents(scanner)
    assert gc.is_tracked(scanner)


def new_scanner(fd: int) -> Any:
    overheads = (marks.LEAST_OVERHEAD, MOST_OVERHEAD)
    scanner_type = extension("_scanner").Scanner
    return scanner_type(fd, ALPHABET.signature, SMALLEST, N_DIGITS, overheads)


def scanned(fd: int) -> Any:
    """Return a scanner that has scanned block 0, which can be written."""
    scanner = new_scanner(fd)
    scanner.expect(0, False, 0, True)
    assert scanner.close_block(0, None) is not None
    return scanner


@needs_marks
@needs_scanner
def test_c_and_python_have_the_same_constants() -> None:
    """Both write marks, and both read captures."""
    in_marks, in_scanner = extension("_marks"), extension("_scanner")
    length = len(ALPHABET.spell(marks.Kind.START))
    assert in_marks.MARK_LENGTH == in_scanner.MARK_LENGTH == length
    assert len(ALPHABET.signature) == in_scanner.SIGNATURE_LENGTH
    assert marks.LEAST_OVERHEAD <= in_marks.OVERHEAD <= MOST_OVERHEAD
    assert len(marks.Kind) == in_scanner.N_KINDS
    for kind in marks.Kind:
        assert getattr(in_scanner, kind.name) == kind
    assert in_scanner.ARENA_SIZE == ARENA_BYTES
    for allocator in ("FREE", "PYMALLOC_FREE", "MMAP", "MUNMAP"):
        assert getattr(in_scanner, f"ALLOCATOR_{allocator}") == getattr(marks, allocator)


def entries(capture: int, other: int) -> Iterator[Callable[[], object]]:
    """Yield a call of each function and method of the C code, and calls that fail."""
    in_marks, in_scanner = extension("_marks"), extension("_scanner")
    lengths = ALPHABET.spell(marks.Kind.RESUME)
    block: Any = measure_memory()

    def refused(call: Callable[..., object], *arguments: Any) -> Callable[[], object]:
        def run() -> None:
            with pytest.raises((TypeError, ValueError, OSError, OverflowError, KeyError)):
                call(*arguments)

        return run

    def read_all() -> None:
        scanner = new_scanner(capture)
        scanner.expect(0, False, in_scanner.KEEPS_STACKS, False)
        for offset in range(0, 1000, 8):
            scanner.tick(offset, 100_000)
        assert scanner.alive_objects(0) is not None
        assert scanner.close_block(0, None) is not None
        assert scanner.close_block(99, None) is None
        assert scanner.offset > scanner.idle_bytes >= 0
        stacks = scanner.stacks_at_peak(0)
        assert stacks == scanner.stacks_at_end(0)
        assert scanner.lost_stacks(0) in (True, False)
        bucket_ms, maxima = scanner.curve_of(0)
        assert bucket_ms == 1280
        assert len(maxima) == 79
        nodes = {scanner.begin_of(0), *(stack[0] for stack in stacks)} - {0}
        assert nodes
        for node in nodes:
            assert len(scanner.frame(*scanner.node(node)[1:])) == 3
        scanner.forget(0)

    def ask_and_forget() -> None:
        """What is asked may let go of the block, or raise something."""
        scanner = new_scanner(capture)
        scanner.expect(0, False, in_scanner.FILTERS_STACKS, False)
        with pytest.raises(ZeroDivisionError):
            scanner.close_block(0, lambda *_: 1 / 0)
        asked = []
        assert scanner.close_block(0, lambda serial, node: asked.append((serial, node)))[2] == 0
        assert len(asked) == len(set(asked)) > 0
        scanner = new_scanner(capture)
        scanner.expect(0, False, in_scanner.FILTERS_STACKS, False)
        assert scanner.close_block(0, lambda *_: scanner.forget(0)) is None

    def write_all() -> None:
        os.ftruncate(other, 0)
        scanner = scanned(capture)
        assert scanner.write_block(0, 0, other) is True
        assert scanner.write_block(7, 0, other) is False
        assert new_scanner(capture).write_block(0, 0, other) is False

    def use_block() -> None:
        block._set_marks(lengths, lengths)
        block._clear_marks()
        block.__exit__(None, None, None)
        type(block).__exit__(block, None, None, None)

    yield lambda: in_marks.make_mark(lengths)
    yield use_block
    yield refused(in_marks.make_mark, lengths[:5])
    yield refused(in_marks.make_mark, (*lengths[:5], "6"))
    yield refused(block._set_marks, lengths, 1)
    yield refused(block.__exit__, None)
    yield refused(Block.__exit__, mock.Mock(), None, None, None)
    yield read_all
    yield ask_and_forget
    yield write_all
    yield refused(new_scanner, -1)
    yield refused(lambda: scanned(capture).write_block(0, 0, -1))
    yield refused(new_scanner(capture).expect, "0", False, 0, False)
    yield refused(new_scanner(capture).expect, 0, False, 3, False)
    yield refused(new_scanner(capture).close_block, 0)
    for name in ("stacks_at_peak", "stacks_at_end", "begin_of", "lost_stacks", "node"):
        yield refused(getattr(new_scanner(capture), name), 99)
        yield refused(getattr(new_scanner(capture), name), -1)
    yield refused(new_scanner(capture).frame, 99, 0)


@needs_marks
@needs_scanner
def test_nothing_is_left_behind() -> None:
    """The C code leaks no references and no memory."""
    machine = Machine()
    machine.run([("open", 1, 6, 0), *[("malloc", 1, 9, 0)] * 9])
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as other:
        file.write(capture_of(machine.records))
        file.flush()
        for entry in entries(file.fileno(), other.fileno()):
            for _ in range(20):
                entry()
            gc.collect()
            before = sys.getallocatedblocks(), sys.getrefcount(None)
            for _ in range(1000):
                entry()
            gc.collect()
            # One object left by each call would be a thousand.
            assert abs(sys.getallocatedblocks() - before[0]) < 500
            assert abs(sys.getrefcount(None) - before[1]) < 100


def test_objects_that_are_immortal_in_later_versions_are_counted() -> None:
    """One build works with all versions, and in Python 3.11 None has a reference count."""
    sources = Path(__file__).parents[3] / "packages/core/csrc"
    modules = list(sources.glob("*module.c"))
    assert len(modules) == 3
    for module in modules:
        assert "Py_RETURN_" not in module.read_text(), module


@needs_scanner
def test_a_failure_says_what_failed() -> None:
    """errno belongs to the failed call, not to an earlier one."""
    machine = Machine()
    machine.run([("open", 1, 6, 0), *[("malloc", 1, 9, 0)] * 9])
    with tempfile.TemporaryFile() as file, open(os.devnull, "rb") as read_only:
        file.write(capture_of(machine.records))
        file.flush()
        with pytest.raises(OSError, match="Bad file descriptor"):
            scanned(file.fileno()).write_block(0, 0, read_only.fileno())
        if os.path.exists("/dev/full"):
            with open("/dev/full", "wb", buffering=0) as full:
                with pytest.raises(OSError, match="No space left"):
                    scanned(file.fileno()).write_block(0, 0, full.fileno())

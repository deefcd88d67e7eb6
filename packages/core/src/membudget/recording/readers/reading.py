"""Reading blocks out of a capture that is written no more: the figures, and where they came from.

The scanner reads the figures where it can be used, the replay elsewhere and where it depends on
stacks what counts; stack traces come from memray's reader.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...errors import CaptureError, FilterError
from ...host.raised import raised_by_us
from ...host.system import real_functions
from ...measurement import Allocation, Measurement
from ...verdict import holds, may_leak
from ..capture import import_memray
from ..marks import Alphabet
from ..request import BlockQuery
from ..temp_files import open_to_read
from .accounting import Account
from .lost_stacks import read_stacks
from .peak_stacks import Peak, read_allocations
from .replay import Replay
from .scanner import Scanner, scanner_problem


@real_functions()
def read_block(path: str, alphabet: Alphabet, query: BlockQuery) -> Measurement:
    """Read the figures of a block from the capture at ``path``.

    Raises:
        CaptureError: the capture cannot be read, or the block is not there in full.
        FilterError: the query's filter of stacks raised something.
    """
    try:
        with contextlib.closing(_reader_of(path, alphabet, query)) as reader:
            account = checked(reader.account())
            lost = isinstance(reader, Replay) and reader.lost_stacks
            measurement = replace(account.measurement, lost_stacks=lost)
            if not query.always_allocations and holds(measurement, query.budget):
                return measurement
            wanted = [_peak(reader, query, account)]
            if _wants_retained(measurement, query):
                wanted.append(_alive(reader, query, account, account.end_index - 1))
        found = [*read_allocations(path, wanted), ()]
        lost = lost or lost_stacks(path, query, account, (*found[0], *found[1]))
        return replace(measurement, allocations=found[0], retained=found[1], lost_stacks=lost)
    except (CaptureError, FilterError):
        raise
    except Exception as error:  # memray's reader raises all sorts of them on damaged input
        if not raised_by_us(error):
            raise
        raise CaptureError(f"the capture of this block cannot be read: {error}") from error


@real_functions()
def read_peaks(
    path: str, alphabet: Alphabet, blocks: Sequence[tuple[BlockQuery, Account]]
) -> list[tuple[Allocation, ...]]:
    """Read where the memory at the peaks of several scanned blocks came from, in one pass.

    Raises:
        CaptureError: the capture cannot be read.
    """
    peaks = []
    try:
        for query, account in blocks:
            with contextlib.closing(_reader_of(path, alphabet, query)) as reader:
                peaks.append(_peak(reader, query, account))
        return read_allocations(path, peaks)
    except Exception as error:  # as in read_block
        if not raised_by_us(error):
            raise
        raise CaptureError(f"the capture cannot be read: {error}") from error


def lost_stacks(
    path: str, query: BlockQuery, account: Account, allocations: Iterable[Allocation]
) -> bool:
    """Whether memray has lost the stacks of some of these allocations of a block."""
    if all(allocation.stack for allocation in allocations):
        return False
    memray = import_memray()
    with contextlib.closing(memray.FileReader(path)) as reader:
        return read_stacks(
            iter(reader.get_allocation_records()),
            account.start_index,
            account.end_index,
            thread_only=query.budget.scope.current_thread_only,
        ).lost


def checked(account: Account | None) -> Account:
    """Return an account that is whole.

    Raises:
        CaptureError: the block is not there in full.
    """
    if account is None:
        raise CaptureError(
            "the capture of this block is incomplete, so its budget could not be checked. "
            "The disk may be full (memray then stops recording), or something in the "
            "block stopped memray's tracker"
        )
    if account.interrupted:
        raise CaptureError(
            "something interrupted membudget inside this block, such as Ctrl-C, so not all "
            "of its memory was counted and its budget could not be checked"
        )
    return account


class _ScannedBlock:
    """Reads one block with a scanner of its own; has the methods of :class:`Replay`.

    Raises:
        ValueError: the capture is none that the scanner knows.
    """

    def __init__(self, path: str, alphabet: Alphabet, query: BlockQuery) -> None:
        self._alphabet = alphabet
        self._query = query
        self._capture = open_to_read(path)
        try:
            self._scanner = self._new_scanner()
        except BaseException:
            self._capture.close()
            raise

    def close(self) -> None:
        self._capture.close()

    def _new_scanner(self) -> Scanner:
        scanner = Scanner(self._capture.fileno(), self._alphabet)
        scanner.expect(self._query)
        return scanner

    def account(self) -> Account | None:
        return self._scanner.close_block(self._query.serial)

    def alive_at(self, index: int) -> Iterable[tuple[int, int]]:
        return self._new_scanner().alive_at(self._query.serial, index)


def _reader_of(path: str, alphabet: Alphabet, query: BlockQuery) -> Replay | _ScannedBlock:
    if scanner_problem() is None and query.stack_filter is None:
        try:
            return _ScannedBlock(path, alphabet, query)
        except ValueError as error:  # a version of memray that the scanner does not know
            if not raised_by_us(error):
                raise
    return Replay(path, alphabet, query)


def _wants_retained(measurement: Measurement, query: BlockQuery) -> bool:
    limit = query.budget.limit_of("retained_bytes")
    exceeded = limit is not None and measurement.retained_bytes > limit.maximum
    return exceeded or may_leak(measurement, query.budget)


def _peak(reader: Replay | _ScannedBlock, query: BlockQuery, account: Account) -> Peak:
    return _alive(reader, query, account, account.peak_index)


def _alive(reader: Replay | _ScannedBlock, query: BlockQuery, account: Account, index: int) -> Peak:
    alive = reader.alive_at(index) if account.peak_index >= 0 else ()
    return Peak(query, account.start_index, alive)

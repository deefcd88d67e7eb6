"""Reads blocks of a capture that is written no more, with the better one of two readers.

The scanner reads the figures where it can be used; the replay elsewhere, and where it depends on
stacks what counts. Stacks come from memray's reader.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from ...errors import CaptureError, MembudgetError
from ...host.raised import raised_by_us
from ...host.system import real_functions
from ...measurement import Allocation, Measurement
from ..marks import Alphabet
from ..request import BlockRequest
from ..temp_files import open_to_read
from .accounting import Account
from .found_stacks import read_allocations
from .lost_stacks import lost_stacks
from .replay import Replay
from .scanner import Scanner, scanner_problem


class BlockReader:
    """Reads one block.

    Args:
        path: the capture.
        alphabet: how its marks are spelled.
        request: the block.
        account: its account, where it has been read already: by the scanner, without a filter.
    """

    def __init__(
        self,
        path: str,
        alphabet: Alphabet,
        request: BlockRequest,
        account: Account | None = None,
    ) -> None:
        self._path = path
        self._alphabet = alphabet
        self._request = request
        self._account = account
        self._replay: Replay | None = None
        self._some_have_no_stack = False

    def figures(self) -> Measurement:
        """Return the figures, without any stacks.

        Raises:
            CaptureError: the capture cannot be read, or the block is not there in full.
            FilterError: the filter of stacks raised something.
        """
        with _reading():
            self._account = checked(self._read_account())
            return self._account.measurement

    def at_peak(self) -> tuple[Allocation, ...]:
        """Return where what was alive at the peak came from; the account must be known.

        Raises:
            CaptureError: the capture cannot be read.
        """
        assert self._account is not None
        return self._allocations(self._account, self._account.peak_index)

    def at_end(self) -> tuple[Allocation, ...]:
        """Return where what was alive at the end came from, likewise."""
        assert self._account is not None
        return self._allocations(self._account, self._account.end_index - 1)

    @property
    def lost_stacks(self) -> bool:
        """Whether memray has lost stacks, as far as stacks were read or filtered."""
        if self._replay is not None and self._replay.lost_stacks:
            return True
        if self._account is None or not self._some_have_no_stack:
            return False
        with _reading():
            return lost_stacks(self._path, self._request, self._account)

    def _read_account(self) -> Account | None:
        if scanner_problem() is None and self._request.stack_filter is None:
            try:
                with self._scanner() as scanner:
                    return scanner.close_block(self._request.serial)
            except ValueError as error:  # a version of memray that the scanner does not know
                if not raised_by_us(error):
                    raise
        self._replay = Replay(self._path, self._alphabet, self._request)
        return self._replay.account()

    def _allocations(self, account: Account, index: int) -> tuple[Allocation, ...]:
        if account.peak_index < 0:
            return ()
        with _reading():
            alive = self._alive_at(index)
            found = read_allocations(self._path, self._request, account.start_index, alive)
        self._some_have_no_stack |= not all(one.stack for one in found)
        return found

    def _alive_at(self, index: int) -> Iterable[tuple[int, int]]:
        if self._replay is not None:
            return self._replay.alive_at(index)
        with self._scanner() as scanner:
            return scanner.alive_at(self._request.serial, index)

    @contextlib.contextmanager
    def _scanner(self) -> Iterator[Scanner]:
        """Lend a scanner that has read nothing yet.

        Raises:
            ValueError: the capture is none that the scanner knows.
        """
        with open_to_read(self._path) as capture:
            scanner = Scanner(capture.fileno(), self._alphabet)
            scanner.expect(self._request)
            yield scanner


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        with real_functions():
            yield
    except MembudgetError:
        raise
    except Exception as error:  # memray's reader raises all sorts of them on damaged input
        if not raised_by_us(error):
            raise
        raise CaptureError(f"the capture of this block cannot be read: {error}") from error


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

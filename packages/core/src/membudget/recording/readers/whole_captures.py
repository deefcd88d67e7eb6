"""Reads blocks of a complete capture, if the scanner cannot be used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ...errors import CaptureError, MembudgetError
from ...host.raised import raised_by_us
from ...host.system import real_functions
from ...measurement import Allocation, Measurement
from ..marks import Alphabet
from ..request import BlockRequest
from .accounting import Account
from .found_stacks import read_allocations
from .lost_stacks import lost_stacks
from .replay import Replay


class BlockReader:
    """Reads one block.

    Args:
        path: the capture.
        alphabet: encodes its marks.
        request: the block.
    """

    def __init__(self, path: str, alphabet: Alphabet, request: BlockRequest) -> None:
        self._path = path
        self._request = request
        self._replay = Replay(path, alphabet, request)
        self._account: Account | None = None
        self._some_have_no_stack = False

    def figures(self) -> Measurement:
        """Return the figures, without any stacks.

        Raises:
            CaptureError: the capture cannot be read, or does not contain the whole block.
            FilterError: the filter of stacks raised an exception.
        """
        with _reading():
            self._account = checked(self._replay.account())
            return self._account.measurement

    def at_peak(self) -> tuple[Allocation, ...]:
        """Return the stacks of what was alive at the peak. Call :meth:`figures` first.

        Raises:
            CaptureError: the capture cannot be read.
        """
        assert self._account is not None
        return self._allocations(self._account, self._account.peak_index)

    def at_end(self) -> tuple[Allocation, ...]:
        """Return the stacks of what was alive at the end. Call :meth:`figures` first."""
        assert self._account is not None
        return self._allocations(self._account, self._account.end_index - 1)

    def hybrid_at_end(self) -> tuple[Allocation, ...]:
        """Return the same by stacks with native frames, of a capture that has these."""
        assert self._account is not None
        return self._allocations(self._account, self._account.end_index - 1, hybrid=True)

    @property
    def lost_stacks(self) -> bool:
        """Whether memray has lost stacks. Known only if stacks were read or filtered."""
        if self._replay.lost_stacks:
            return True
        if self._account is None or not self._some_have_no_stack:
            return False
        with _reading():
            return lost_stacks(self._path, self._request, self._account)

    def _allocations(
        self, account: Account, index: int, *, hybrid: bool = False
    ) -> tuple[Allocation, ...]:
        if account.peak_index < 0:
            return ()
        with _reading():
            alive = self._replay.alive_at(index)
            found = read_allocations(
                self._path, self._request, account.start_index, alive, hybrid=hybrid
            )
        self._some_have_no_stack |= not all(one.stack for one in found)
        return found


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        with real_functions():
            yield
    except MembudgetError:
        raise
    except Exception as error:  # memray's reader raises many types of errors on damaged input
        if not raised_by_us(error):
            raise
        raise CaptureError(f"the capture of this block cannot be read: {error}") from error


def checked(account: Account | None) -> Account:
    """Return an account if it is complete.

    Raises:
        CaptureError: the capture does not contain the whole block.
    """
    if account is None:
        raise CaptureError(
            "the capture of this block is incomplete, so its budget could not be checked. "
            "The disk may be full (memray then stops recording), or code in the block "
            "stopped memray's tracker"
        )
    if account.interrupted:
        raise CaptureError(
            "membudget was interrupted inside this block, for example by Ctrl-C, so not all "
            "of its memory was counted and its budget could not be checked"
        )
    return account

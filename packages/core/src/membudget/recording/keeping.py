"""Keeping the capture of a block, for memray's own reporters: ``memray flamegraph`` and others."""

from __future__ import annotations

from ..errors import CaptureError
from ..raised import raised_by_us
from ..whole_files import whole_file
from .marks import Alphabet
from .query import BlockQuery
from .scanner import Scanner, scanner_problem


def keep_block(capture: int, alphabet: Alphabet, query: BlockQuery) -> None:
    """Write a capture of a block that has ended, of what it counts, at ``query.keep_as``.

    Args:
        capture: the file descriptor of the capture that has the block; it may still be written.
        alphabet: how marks are spelled.
        query: the block.

    Raises:
        CaptureError: there is no scanner, which alone can do this.
        OSError: the file cannot be written; what was there before stays.
    """
    if scanner_problem() is not None:
        raise CaptureError(f"the reader in C is missing: {scanner_problem()}")
    try:
        scanner = Scanner(capture, alphabet)
    except ValueError as error:
        if not raised_by_us(error):
            raise
        raise CaptureError(f"this version of memray writes it in another way: {error}") from error
    with whole_file(query.keep_as) as fd:
        scanner.write_block(query, fd)

"""The directory and the names of the captures that a run keeps."""

from __future__ import annotations

import os
import tempfile
import uuid
from pathlib import Path
from typing import Final

from ..errors import InvalidOptionError
from ..recording.readers.scanner import scanner_problem
from ..results.capture_names import capture_name


class KeptCaptures:
    """A directory for captures, and a prefix for the captures of one run.

    Args:
        directory: where captures are kept; created if it does not exist.
        prefix: the start of each file name; empty for a random one.

    Raises:
        InvalidOptionError: the directory is not writable; or the scanner is missing, which is
            needed to cut the capture of a block out of a recording.

    Attributes:
        directory: its absolute path: tests change the working directory.
        prefix: the one in use.

    Example:
        >>> import tempfile
        >>> directory = tempfile.mkdtemp()
        >>> captures = KeptCaptures(directory, "run1")
        >>> captures.path_of("tests/test_a.py::test_b").removeprefix(directory)
        '/run1-tests-test_a.py-test_b-df9b21a761af.bin'
    """

    def __init__(self, directory: str | Path, prefix: str = "") -> None:
        problem = scanner_problem()
        if problem is not None:
            raise InvalidOptionError(f"cannot keep captures: the reader in C is missing: {problem}")
        self.directory: Final = os.path.abspath(directory)
        self.prefix: Final = prefix or uuid.uuid4().hex
        try:
            os.makedirs(self.directory, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.directory):
                pass
        except OSError as error:
            raise InvalidOptionError(
                f"cannot keep captures in {str(directory)!r}: {error}"
            ) from error

    @property
    def pattern(self) -> str:
        """A shell pattern that matches the paths of the captures."""
        return str(Path(self.directory, f"{self.prefix}-*.bin"))

    def path_of(self, name: str) -> str:
        """Return the path for the capture of a test; different for every name.

        It is the same in every process of a run.

        Args:
            name: the name under which a report shows the test.
        """
        return str(Path(self.directory, capture_name(self.prefix, name)))

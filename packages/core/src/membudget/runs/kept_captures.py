"""Where the captures of the tests of a run are kept, and under which names."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import uuid
from pathlib import Path
from typing import Final

from ..errors import InvalidOptionError
from ..recording.readers.scanner import scanner_problem

_LONGEST_NAME: Final = 255
"""How many bytes a file name may have, with Linux's and macOS's file systems."""
_N_DIGITS: Final = 12


class KeptCaptures:
    """A directory for captures, and the prefix that tells one run's from another's.

    Args:
        directory: where captures are kept; made if it is not there.
        prefix: begins the name of each; empty for a random one.

    Raises:
        InvalidOptionError: nothing can be written there; or there is no scanner, which alone can
            cut the capture of a block out of a recording.

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
        """What the paths of the captures have in common, as one shell pattern."""
        return str(Path(self.directory, f"{self.prefix}-*.bin"))

    def path_of(self, name: str) -> str:
        """Return the path for the capture of a test: its own, whatever its name looks like.

        The same for every process of a run.

        Args:
            name: the name under which a report shows the test.
        """
        # In the digest, names differ that look the same as file names, or in capitals only.
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_N_DIGITS]
        end = f"-{digest}.bin"
        readable = re.sub(r"[^\w.-]+", "-", name).encode(errors="replace")
        room = _LONGEST_NAME - len(os.fsencode(f"{self.prefix}-{end}"))
        shown = readable[:room].decode(errors="ignore")
        return str(Path(self.directory, f"{self.prefix}-{shown}{end}"))

"""The names of kept captures: a run and a report agree on them without asking each other."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Final

from ..host.system import Real
from ..verdict import Result
from .environment import Environment

_LONGEST_NAME: Final = 255
"""How many bytes a file name may have, with Linux's and macOS's file systems."""
_N_DIGITS: Final = 12


def capture_name(prefix: str, name: str) -> str:
    """Return the file name for the capture of a test; different for every name.

    It is the same in every process of a run.

    Args:
        prefix: the start of the file names of the run.
        name: the name under which a report shows the test.

    Example:
        >>> capture_name("run1", "tests/test_a.py::test_b")
        'run1-tests-test_a.py-test_b-df9b21a761af.bin'
    """
    # The digest distinguishes names that are the same as file names, or differ only in case.
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_N_DIGITS]
    end = f"-{digest}.bin"
    readable = re.sub(r"[^\w.-]+", "-", name).encode(errors="replace")
    room = _LONGEST_NAME - len(os.fsencode(f"{prefix}-{end}"))
    shown = readable[:room].decode(errors="ignore")
    return f"{prefix}-{shown}{end}"


def capture_of(result: Result, environment: Environment) -> str:
    """Return the path of the capture of a test; empty if the run has kept none.

    Example:
        >>> from membudget.testing import make_measurement, make_result
        >>> settings = (("memray_bin_path", "/captures"), ("memray_bin_prefix", "run1"))
        >>> capture_of(make_result("test_b", make_measurement()), Environment(settings=settings))
        '/captures/run1-test_b-9366ccd9d0c6.bin'
    """
    if result.verdict.capture:  # in a run file, it is relative to the root
        kept: str = Real.join(environment.root, result.verdict.capture)
        return kept
    settings = dict(environment.settings)
    directory, prefix = settings.get("memray_bin_path"), settings.get("memray_bin_prefix")
    if not (directory and prefix):
        return ""
    path: str = Real.join(directory, capture_name(prefix, result.name))
    return path

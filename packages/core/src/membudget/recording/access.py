"""The way to the recorder of this process, without importing memray before a block opens."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import TYPE_CHECKING, Final

from ..errors import RecordingError
from ..host.late_imports import importing
from .other_interpreters import is_main_interpreter

_IS_MAIN: Final = is_main_interpreter()

if _IS_MAIN:
    # Imported now, before a test replaces functions that they import. They do not import memray.
    from . import garbage as garbage
    from . import segment as segment
    from .readers import process as process

if TYPE_CHECKING:
    from .recorder import Recorder


def get_recorder() -> Recorder:
    """Return the recorder of this process.

    Raises:
        RecordingError: memray cannot be imported, or this is a sub-interpreter.
    """
    recorder: Recorder = _recorder_module().get_recorder()
    return recorder


@functools.cache
def _recorder_module() -> ModuleType:
    if not _IS_MAIN:
        raise RecordingError(
            "memory cannot be measured in a sub-interpreter, because memray runs only in the main "
            "interpreter: put the block around code of the main interpreter"
        )
    with importing():
        from . import recorder
    return recorder

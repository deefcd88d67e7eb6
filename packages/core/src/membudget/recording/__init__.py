"""The engine: one recorder for the process, marks in its stream, one reading of it.

memray allows one active ``Tracker`` in a process, so a tracker for each block could neither nest
nor overlap. Instead one tracker runs while any block is open and writes every allocation, and a
block is what lies between two marks in that stream:

* :mod:`marks` - what a mark is, how it is made and how it is found again;
* :mod:`request` - what is asked of the engine: which block, what of it counts, what may wait;
* :mod:`recorder` - opens and closes blocks, and decides when the tracker runs;
* :mod:`reading` - answers about a block that has ended: figures first, stacks when asked;
* :mod:`segment` - what is recorded from one start of the tracker to its stop;
* :mod:`restart_policy` - whether a recording goes on between the blocks of a run;
* :mod:`capture` - memray's tracker, and the file that it writes;
* :mod:`readers` - a capture in, the figures and the stacks of one block out;
* :mod:`temp_files`, :mod:`memrays_files` - files without a name, and those that memray opens;
* :mod:`garbage`, :mod:`greenlets`, :mod:`other_interpreters`, :mod:`thread_attributes`,
  :mod:`tracemalloc_guard` - what of Python must stay as it is while a tracker runs;
* :mod:`own_allocators`, :mod:`process_memory` - memory that memray does not see.

This is the only package of membudget that imports memray, and it does so when the first block
opens.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import TYPE_CHECKING, Final

from ..errors import RecordingError
from ..host.forks import not_forking
from ..host.system import real_functions
from .other_interpreters import is_main_interpreter

_IS_MAIN: Final = is_main_interpreter()

if _IS_MAIN:
    # Now, before a test replaces what they import by name; these modules do without memray.
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
            "memory cannot be measured in a sub-interpreter: memray runs in the main one only. Put "
            "the block around what the main interpreter does"
        )
    with not_forking, real_functions(for_imports=True):
        from . import recorder
    return recorder

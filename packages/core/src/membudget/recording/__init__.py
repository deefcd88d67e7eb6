"""The engine: one recorder for the process, which writes marks into one stream of allocations.

memray allows one active ``Tracker`` in a process, so a tracker for each block could neither nest
nor overlap. Instead one tracker runs while any block is open and writes every allocation. A block
is the part of that stream between two marks:

* :mod:`marks` - makes marks, and finds them in a stream;
* :mod:`request` - which block to record, what counts in it, and stacks that are read later;
* :mod:`recorder` - opens and closes blocks, and decides when the tracker runs;
* :mod:`reading` - reads a block that has ended: its figures, and its stacks on request;
* :mod:`segment` - the recording from one start of the tracker to its stop;
* :mod:`restart_policy` - whether a recording continues between the blocks of a run;
* :mod:`capture` - memray's tracker, and the file that it writes;
* :mod:`readers` - turn a capture into the figures and the stacks of a block;
* :mod:`temp_files`, :mod:`memrays_files` - files without a name, and the files that memray opens;
* :mod:`garbage`, :mod:`greenlets`, :mod:`other_interpreters`, :mod:`thread_attributes`,
  :mod:`tracemalloc_guard` - protect parts of Python that a running tracker would disturb;
* :mod:`own_allocators`, :mod:`process_memory` - memory that memray does not see.

This is the only package of membudget that imports memray, which it does when the first block opens.
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
    with not_forking, real_functions(for_imports=True):
        from . import recorder
    return recorder

"""The engine: one recorder for the process, marks in its stream, one reading of it.

memray allows one active ``Tracker`` in a process, so a tracker for each block could neither nest
nor overlap. Instead one tracker runs while any block is open and writes every allocation, and a
block is what lies between two marks in that stream:

* :mod:`marks` - what a mark is, how it is made and how it is found again;
* :mod:`query` - what readers are asked: which block, how, and what may wait;
* :mod:`recorder` - opens and closes blocks; decides when the tracker runs and who reads;
* :mod:`segment` - what is recorded from one start of the tracker to its stop;
* :mod:`lingering` - whether a recording goes on between the blocks of a run;
* :mod:`capture` - memray's tracker, and the file that it writes;
* :mod:`raised` - tells errors of ours from what signal handlers raise;
* :mod:`garbage_stays` - no garbage is collected while we read;
* :mod:`files` - files without a name;
* :mod:`reading` - reads blocks out of a capture, with the better one of two readers:
* :mod:`scanner` - the one in C, which can follow a capture that is still being written;
* :mod:`replay` - the one in Python, with memray's own reader;
* :mod:`accounting` - pure: records and marks in, the figures of one block out; what the replay
  does, and what the scanner is tested against;
* :mod:`keeping` - keeps the capture of a block for memray's own reporters;
* :mod:`stacks` - where the memory at a peak came from;
* :mod:`stack_traces` - stack traces as a block sees them;
* :mod:`objects` - objects that a block left behind;
* :mod:`tracemalloc_guard` - what would crash memray while it tracks them;
* :mod:`reader_process` - reads a capture that is still being written, outside this process;
* :mod:`platform` - whether any of this can run here.

This is the only package of membudget that imports memray, and it does so when the first block
opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..forks import not_forking

# Early, before a test puts something else in the place of the functions that it needs.
from . import files as files

if TYPE_CHECKING:
    from .recorder import Recorder


def current_recorder() -> Recorder:
    """Return the recorder of this process; import it, and memray with it, when first asked.

    Raises:
        RecordingError: memray cannot be imported.
    """
    with not_forking:
        from .recorder import get_recorder
    return get_recorder()

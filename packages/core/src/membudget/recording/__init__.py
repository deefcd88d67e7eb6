"""The engine: one recorder for the process, which writes marks into one stream of allocations.

memray allows one active ``Tracker`` in a process, so a tracker for each block could neither nest
nor overlap. Instead one tracker runs while any block is open and writes every allocation. A block
is the part of that stream between two marks:

* :mod:`marks` - makes marks, and finds them in a stream;
* :mod:`request` - which block to record, what counts in it, and stacks that are read later;
* :mod:`access` - the recorder of this process, imported when the first block opens;
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

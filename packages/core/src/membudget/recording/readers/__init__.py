"""Readers: a capture in, the figures and the stacks of one block out.

* :mod:`reading` - reads blocks out of a capture, with the better one of two readers:
* :mod:`scanner` - the one in C, which can follow a capture that is still being written;
* :mod:`replay` - the one in Python, with memray's own reader;
* :mod:`accounting` - pure: records and marks in, the figures of one block out; what the replay
  does, and what the scanner is tested against;
* :mod:`process` - reads a capture that is still being written, outside this process;
* :mod:`peak_stacks` - where the memory at a peak came from;
* :mod:`stack_trimming` - stacks as a block sees them;
* :mod:`lost_stacks` - whether memray has lost stacks;
* :mod:`leaked_objects` - objects that a block left behind.
"""

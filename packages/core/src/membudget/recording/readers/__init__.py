"""Readers: a capture in, the figures and the stacks of one block out.

* :mod:`whole_captures` - reads blocks of a capture that is written no more, with the better one of
  two readers:
* :mod:`scanner` - the one in C, which can follow a capture that is still being written;
* :mod:`replay` - the one in Python, with memray's own reader;
* :mod:`accounting` - pure: records and marks in, the figures of one block out; what the replay
  does, and what the scanner is tested against;
* :mod:`process` - reads a capture that is still being written, outside this process;
* :mod:`found_stacks` - the stacks of what was alive at one point of a capture;
* :mod:`stack_trimming` - stacks as a block sees them;
* :mod:`lost_stacks` - whether memray has lost stacks;
* :mod:`leaked_objects` - objects that a block left behind.
"""

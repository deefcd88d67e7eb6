"""Readers: a capture in, the figures and the stacks of one block out.

The scanner is the reader wherever it can be used:

* :mod:`scanner` - in C, follows a capture that is still being written.

Elsewhere it is the replay, in Python and with memray's own reader:

* :mod:`replay` - the figures of a block;
* :mod:`accounting` - pure: records and marks in, the figures of one block out; what the replay
  does, and what the scanner is tested against;
* :mod:`found_stacks` - the stacks of what was alive at one point of a capture;
* :mod:`lost_stacks` - whether memray has lost stacks;
* :mod:`whole_captures` - figures and stacks of a capture that is written no more;
* :mod:`process` - the same outside this process, of one that is still being written.

For both:

* :mod:`stack_trimming` - stacks as a block sees them;
* :mod:`leaked_objects` - objects that a block left behind.
"""

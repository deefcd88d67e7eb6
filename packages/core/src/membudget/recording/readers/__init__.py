"""Readers: turn a capture into the figures and the stacks of one block.

The scanner is used wherever it can be:

* :mod:`scanner` - in C, follows a capture that is still being written.

Elsewhere, the replay is used, in Python and with memray's own reader:

* :mod:`replay` - the figures of a block;
* :mod:`accounting` - pure: turns records and marks into the figures of one block. The replay uses
  it, and tests compare the scanner with it;
* :mod:`found_stacks` - the stacks of what was alive at one point of a capture;
* :mod:`lost_stacks` - whether memray has lost stacks;
* :mod:`whole_captures` - figures and stacks of a complete capture;
* :mod:`process` - the same in another process, for a capture that is still being written.

Both use:

* :mod:`stack_trimming` - cuts stacks to the frames inside the block;
* :mod:`leaked_objects` - the objects that a block leaked.
"""

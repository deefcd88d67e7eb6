"""The engine: one recorder for the process, marks in its stream, one reading of it.

memray allows one active ``Tracker`` in a process, so a tracker for each block could neither nest
nor overlap. Instead one tracker runs while any block is open and writes every allocation, and a
block is what lies between two marks in that stream:

* :mod:`marks` - what a mark is, how it is made and how it is found again;
* :mod:`accounting` - pure: records and marks in, the figures of one block out;
* :mod:`capture` - one stretch of recording: memray's tracker and the file it writes;
* :mod:`replay` - reads one block out of a capture with memray's own reader;
* :mod:`reader_process` - reads a capture that is still being written, outside this process;
* :mod:`recorder` - opens and closes blocks; decides when the tracker runs and who reads;
* :mod:`platform` - whether any of this can run here.

This is the only package of membudget that imports memray, and it does so when the first block
opens.
"""

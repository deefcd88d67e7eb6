/* Gives the parts of a capture back to the file system that nothing will read again.
 *
 * So the file of a long block takes little of the disk, whatever its length. What stays are the header,
 * the code objects, whose names a report may need, and the part that memray has mapped. Only Linux has
 * such holes, and not in all file systems. Pure C; no Python.
 */
#ifndef MEMBUDGET_CAPTURE_HOLES_H
#define MEMBUDGET_CAPTURE_HOLES_H

#include "scanner.h"

/* Make holes in the scanned part of a capture that is written beyond `written`, if that is much.
 *
 * Not after the beginning of a block that can be written. False: the file system has no holes. */
bool make_holes(Scanner *, int fd, uint64_t written);

#endif

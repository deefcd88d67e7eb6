/* Writes the capture of one block, for memray's reporters, with only what the block counts.
 *
 * Pure C; no Python.
 */
#ifndef MEMBUDGET_BLOCK_WRITER_H
#define MEMBUDGET_BLOCK_WRITER_H

#include "capture_copy.h"
#include "scanner.h"

/* Write the block `serial` of the capture that `scanner` reads, which has just begun with it.
 *
 * `n_outer` is how many frames of the thread that opened it a reader leaves out of stack traces.
 * Returns NOT_THERE if some of its marks are missing, or the capture is damaged. `error` is errno of a
 * failure. */
Written write_block(Scanner *scanner, uint64_t serial, bool thread_only, size_t n_outer, int to,
                    int *error);

#endif

/* Writes the capture of one block, for memray's reporters, with only what the block counts.
 *
 * It is read from the running recording, from the START mark of the block on. Threads, code objects and
 * native frames of before are written when the block first uses them, so the capture has nothing of
 * earlier blocks. Pure C; no Python.
 */
#ifndef MEMBUDGET_BLOCK_WRITER_H
#define MEMBUDGET_BLOCK_WRITER_H

#include "capture_copy.h"
#include "scanner.h"

/* Write the block `serial`, which `scanner` has scanned up to its END mark; see `can_be_written` of
 * scanner_expect().
 *
 * `n_outer` is how many frames of the thread that opened it a reader leaves out of stack traces.
 * Returns NOT_THERE if some of its marks are missing, or the capture is damaged. `error` is errno of a
 * failure. */
Written write_block(const Scanner *scanner, uint64_t serial, size_t n_outer, int to, int *error);

#endif

/* Writes the capture of one block, for memray's reporters: what the block counts, and nothing else.
 *
 * Pure C; no Python.
 */
#ifndef MEMBUDGET_BLOCK_WRITER_H
#define MEMBUDGET_BLOCK_WRITER_H

#include "scanner.h"

typedef enum {
    BLOCK_WRITTEN,
    BLOCK_NOT_THERE,   /* its marks are not all there, or the capture is damaged */
    BLOCK_NOT_WRITTEN, /* writing failed */
} BlockWritten;

/* Write the block `serial` of the capture that `scanner` reads, which has just begun with it.
 *
 * `n_outer` is how many frames of the thread that opened it a reader leaves out of stack traces. */
BlockWritten write_block(Scanner *scanner, uint64_t serial, bool thread_only, size_t n_outer, int to);

#endif

/* Writes the capture of a peak: what memray's reader needs to tell where its memory came from.
 *
 * All frames, and of the allocations only those that were alive at the peak; so memray groups them by
 * stack at the speed of its own code, whatever else was allocated and freed. Pure C; no Python.
 */
#ifndef MEMBUDGET_PEAK_WRITER_H
#define MEMBUDGET_PEAK_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "capture_copy.h"

/* An allocation that was alive: the index of its record, and how many of its bytes were. */
typedef struct {
    uint64_t index;
    uint64_t size;
} Alive;

/* Read the capture `from` and write the capture `to`.
 *
 * Its first allocation is the record `mark`, which is freed at once; then come those of `alive`, which
 * are in the order of the capture, as allocations of as many bytes. NOT_THERE for a capture that is
 * damaged, or that traces more, so that its numbers cannot be cut. `error` is errno of a failure. */
Written
write_peak(int from, int to, uint64_t mark, const Alive *alive, size_t n_alive, int *error);

#endif

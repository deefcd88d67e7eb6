/* Copying parts of one capture into another one. Pure C; no Python. */
#ifndef MEMBUDGET_CAPTURE_COPY_H
#define MEMBUDGET_CAPTURE_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture_decoder.h"

enum {
    COPY_BUFFER_SIZE = 1 << 16,
    /* Allocation records whose pointer follows, as the difference to the last one. */
    MALLOC_MISSING_CACHE = 128 | POINTER_CACHE_SIZE << 3 | 6,
    REALLOC_MISSING_CACHE = 128 | POINTER_CACHE_SIZE << 3 | 7,
    FREE_MISSING_CACHE = 128 | POINTER_CACHE_SIZE << 3 | ALLOCATOR_FREE,
};

typedef struct {
    int from;
    int to;
    size_t n_in;
    uint64_t in_offset; /* of in[0] in `from` */
    size_t n_out;
    unsigned char in[COPY_BUFFER_SIZE];
    unsigned char out[COPY_BUFFER_SIZE];
} Copy;

/* Each of these returns false when reading or writing failed. */

/* Copy the input from `begin` up to `end`. */
bool copy_range(Copy *, uint64_t begin, uint64_t end);

bool copy_bytes(Copy *, const void *bytes, size_t n);

bool copy_byte(Copy *, unsigned char byte);

bool copy_varint(Copy *, uint64_t value);

/* Write the difference of two addresses as memray does: zigzag, in units of eight bytes. */
bool copy_delta(Copy *, uint64_t from, uint64_t to);

/* Write the mark of the end, and what is still in the buffer. */
bool copy_end(Copy *);

#endif

/* Copying parts of one capture into another one. Pure C; no Python. */
#ifndef MEMBUDGET_CAPTURE_COPY_H
#define MEMBUDGET_CAPTURE_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture_decoder.h"

enum {
    COPY_BUFFER_SIZE = 1 << 16,
    /* The token of a free whose pointer follows, as the difference from the last one. */
    FREE_NOT_RECENT = ALLOCATION | NOT_RECENT << 3 | ALLOCATOR_FREE,
};

/* The result of writing a capture. */
typedef enum {
    WRITTEN,
    NOT_THERE,    /* the block is incomplete, or cannot be cut out */
    READ_FAILED,  /* Copy.error says why */
    WRITE_FAILED, /* the same */
    NO_MEMORY,
} Written;

typedef struct {
    int from;
    int to;
    Written failure; /* why the last function returned false */
    int error;       /* its errno; 0 if the input ended too early */
    size_t n_in;
    uint64_t in_offset; /* of in[0] in `from` */
    size_t n_out;
    unsigned char in[COPY_BUFFER_SIZE];
    unsigned char out[COPY_BUFFER_SIZE];
} Copy;

/* Each of these returns false if reading or writing failed, and sets `failure` and `error`. */

/* Read the input at an offset: `n` bytes, or fewer if it ends before that. */
bool copy_read(Copy *, void *bytes, size_t n, uint64_t offset, size_t *n_read);

/* Overwrite the output at an offset. */
bool copy_write_at(Copy *, const void *bytes, size_t n, uint64_t offset);

/* Copy the input from `begin` up to `end`. */
bool copy_range(Copy *, uint64_t begin, uint64_t end);

bool copy_bytes(Copy *, const void *bytes, size_t n);

bool copy_byte(Copy *, unsigned char byte);

bool copy_varint(Copy *, uint64_t value);

/* Write the difference of two numbers as memray does: zigzag. */
bool copy_delta(Copy *, uint64_t from, uint64_t to);

/* Write the end of the capture, and the rest of the buffer. */
bool copy_end(Copy *);

#endif

#include "peak_writer.h"

#include <stdlib.h>

/* Write an allocation at the next address. Addresses are not what a peak is about. A mapping
 * becomes a realloc, so that its reader tells mappings from the rest. */
static bool
write_allocation(Copy *copy, uint64_t size, bool is_mapping)
{
    return copy_byte(copy, is_mapping ? REALLOC_MISSING_CACHE : MALLOC_MISSING_CACHE)
           && copy_delta(copy, 0, 1) && copy_varint(copy, size);
}

/* Write the free of the last one. */
static bool
write_free(Copy *copy)
{
    return copy_byte(copy, FREE_MISSING_CACHE) && copy_delta(copy, 0, 0);
}

static Written
write_records(Copy *copy, Decoder *decoder, uint64_t mark, const Alive *alive, size_t n_alive)
{
    uint64_t copied = 0; /* or left out */
    bool mark_is_written = false;
    size_t next = 0;
    while (next < n_alive || !mark_is_written) {
        Record record;
        if (decoder_next(decoder, &record) != DECODED) {
            return NOT_THERE;
        }
        /* All that is no allocation, as it stands: it depends on no allocation before it. */
        if (!copy_range(copy, copied, record.offset)) {
            return copy->failure;
        }
        copied = decoder_offset(decoder);
        bool written = true;
        if (record.index == mark) {
            written = write_allocation(copy, record.size, false) && write_free(copy);
            mark_is_written = true;
        }
        uint64_t size = 0;
        bool is_alive = false;
        /* A mapping that lost its middle is there twice. */
        for (; next < n_alive && alive[next].index <= record.index; next++) {
            is_alive |= alive[next].index == record.index;
            size += alive[next].index == record.index ? alive[next].size : 0;
        }
        if (is_alive) {
            written = written && write_allocation(copy, size, record.allocator == ALLOCATOR_MMAP);
        }
        if (!written) {
            return copy->failure;
        }
    }
    return copy_end(copy) ? WRITTEN : copy->failure;
}

Written
write_peak(int from, int to, uint64_t mark, const Alive *alive, size_t n_alive, int *error)
{
    Copy *copy = calloc(1, sizeof(Copy));
    unsigned char *buffer = malloc(DECODER_BUFFER_SIZE);
    Written written = NO_MEMORY;
    *error = 0;
    if (copy && buffer) {
        Decoder decoder;
        copy->from = from;
        copy->to = to;
        if (decoder_begin(&decoder, from, buffer) != DECODED || decoder.native_traces
            || decoder.object_lifetimes)
        {
            written = NOT_THERE;
        } else {
            written = write_records(copy, &decoder, mark, alive, n_alive);
            *error = copy->error;
        }
    }
    free(buffer);
    free(copy);
    return written;
}

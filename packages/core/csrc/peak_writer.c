#include "peak_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture_decoder.h"

enum {
    BUFFER_SIZE = 1 << 16,
    TRAILER = 1,
    MALLOC_MISSING_CACHE = 128 | 15 << 3 | 6, /* allocation, pointer follows, malloc */
    FREE_MISSING_CACHE = 128 | 15 << 3 | ALLOCATOR_FREE,
    LONGEST_ALLOCATION = 32,
};

typedef struct {
    int from;
    int to;
    uint64_t copied; /* how much of `from` has been copied or left out */
    uint64_t pointer;
    size_t n_in;
    uint64_t in_offset; /* of in[0] in `from` */
    size_t n_out;
    unsigned char in[BUFFER_SIZE];
    unsigned char out[BUFFER_SIZE];
} Copy;

static bool
flush(Copy *copy)
{
    size_t written = 0;
    while (written < copy->n_out) {
        ssize_t n = write(copy->to, copy->out + written, copy->n_out - written);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        written += n > 0 ? (size_t)n : 0;
    }
    copy->n_out = 0;
    return true;
}

/* Make `offset` of the input be at hand; return how many bytes are from there on, 0 for none. */
static size_t
at_hand(Copy *copy, uint64_t offset)
{
    if (offset < copy->in_offset || offset >= copy->in_offset + copy->n_in) {
        ssize_t n = pread(copy->from, copy->in, BUFFER_SIZE, (off_t)offset);
        copy->n_in = n > 0 ? (size_t)n : 0;
        copy->in_offset = offset;
    }
    return (size_t)(copy->in_offset + copy->n_in - offset);
}

/* Copy the input up to `end`. */
static bool
copy_to(Copy *copy, uint64_t end)
{
    while (copy->copied < end) {
        size_t n = at_hand(copy, copy->copied);
        if (n > end - copy->copied) {
            n = (size_t)(end - copy->copied);
        }
        if (n > BUFFER_SIZE - copy->n_out) {
            n = BUFFER_SIZE - copy->n_out;
        }
        if (!n && (!copy->n_out || !flush(copy))) {
            return false;
        }
        memcpy(copy->out + copy->n_out, copy->in + (copy->copied - copy->in_offset), n);
        copy->n_out += n;
        copy->copied += n;
    }
    return true;
}

static size_t
write_varint(unsigned char *into, uint64_t value)
{
    size_t n = 0;
    for (; value > 0x7f; value >>= 7) {
        into[n++] = (unsigned char)(value | 0x80);
    }
    into[n++] = (unsigned char)value;
    return n;
}

/* Write an allocation record at the next address, or the free of the last one. */
static bool
write_record(Copy *copy, unsigned char token, uint64_t size)
{
    if (BUFFER_SIZE - copy->n_out < LONGEST_ALLOCATION && !flush(copy)) {
        return false;
    }
    bool is_free = token == FREE_MISSING_CACHE;
    uint64_t delta = is_free ? 0 : 1;
    unsigned char *out = copy->out + copy->n_out;
    size_t n = 0;
    out[n++] = token;
    n += write_varint(out + n, delta << 1); /* zigzag */
    if (!is_free) {
        n += write_varint(out + n, size);
    }
    copy->n_out += n;
    return true;
}

static PeakWritten
write_records(Copy *copy, Decoder *decoder, uint64_t mark, const Alive *alive, size_t n_alive)
{
    copy->copied = 0;
    bool mark_is_written = false;
    size_t next = 0;
    while (next < n_alive || !mark_is_written) {
        Record record;
        if (decoder_next(decoder, &record) != DECODED) {
            return PEAK_NOT_KNOWN;
        }
        /* All that is no allocation, as it stands: it depends on no allocation before it. */
        if (!copy_to(copy, record.offset)) {
            return PEAK_NOT_WRITTEN;
        }
        copy->copied = decoder_offset(decoder);
        bool written = true;
        if (record.index == mark) {
            written = write_record(copy, MALLOC_MISSING_CACHE, record.size)
                      && write_record(copy, FREE_MISSING_CACHE, 0);
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
            written = written && write_record(copy, MALLOC_MISSING_CACHE, size);
        }
        if (!written) {
            return PEAK_NOT_WRITTEN;
        }
    }
    if (copy->n_out == BUFFER_SIZE && !flush(copy)) {
        return PEAK_NOT_WRITTEN;
    }
    copy->out[copy->n_out++] = TRAILER;
    return flush(copy) ? PEAK_WRITTEN : PEAK_NOT_WRITTEN;
}

PeakWritten
write_peak(int from, int to, uint64_t mark, const Alive *alive, size_t n_alive)
{
    Copy *copy = calloc(1, sizeof(Copy));
    unsigned char *buffer = malloc(DECODER_BUFFER_SIZE);
    PeakWritten written = PEAK_NOT_WRITTEN;
    if (copy && buffer) {
        Decoder decoder;
        copy->from = from;
        copy->to = to;
        if (decoder_begin(&decoder, from, buffer) != DECODED || decoder.native_traces
            || decoder.object_lifetimes)
        {
            written = PEAK_NOT_KNOWN;
        } else {
            written = write_records(copy, &decoder, mark, alive, n_alive);
        }
    }
    free(buffer);
    free(copy);
    return written;
}

#include "capture_copy.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool
fail(Copy *copy, Written failure, int error)
{
    copy->failure = failure;
    copy->error = error;
    return false;
}

/* Whether to repeat a call that did not transfer anything, because a signal interrupted it. */
static bool
interrupted(ssize_t n)
{
    return n < 0 && errno == EINTR;
}

bool
copy_read(Copy *copy, void *bytes, size_t n, uint64_t offset, size_t *n_read)
{
    return read_at(copy->from, bytes, n, offset, n_read) || fail(copy, READ_FAILED, errno);
}

bool
copy_write_at(Copy *copy, const void *bytes, size_t n, uint64_t offset)
{
    size_t written = 0;
    while (written < n) {
        ssize_t here
                = pwrite(copy->to, (const char *)bytes + written, n - written, (off_t)(offset + written));
        if (here > 0) {
            written += (size_t)here;
        } else if (!interrupted(here)) {
            return fail(copy, WRITE_FAILED, here ? errno : EIO);
        }
    }
    return true;
}

static bool
flush(Copy *copy)
{
    size_t written = 0;
    while (written < copy->n_out) {
        ssize_t n = write(copy->to, copy->out + written, copy->n_out - written);
        if (n > 0) {
            written += (size_t)n;
        } else if (!interrupted(n)) {
            return fail(copy, WRITE_FAILED, n ? errno : EIO);
        }
    }
    copy->n_out = 0;
    return true;
}

bool
copy_bytes(Copy *copy, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    while (n) {
        if (copy->n_out == COPY_BUFFER_SIZE && !flush(copy)) {
            return false;
        }
        size_t here = COPY_BUFFER_SIZE - copy->n_out;
        if (here > n) {
            here = n;
        }
        memcpy(copy->out + copy->n_out, from, here);
        copy->n_out += here;
        from += here;
        n -= here;
    }
    return true;
}

/* Load the input at `offset`; return how many bytes are loaded from there on, 0 for a failure. */
static size_t
at_hand(Copy *copy, uint64_t offset)
{
    if (offset < copy->in_offset || offset >= copy->in_offset + copy->n_in) {
        copy->in_offset = offset;
        copy->n_in = 0;
        if (copy_read(copy, copy->in, COPY_BUFFER_SIZE, offset, &copy->n_in) && !copy->n_in) {
            fail(copy, READ_FAILED, 0);
        }
        if (copy->failure) {
            return 0;
        }
    }
    return (size_t)(copy->in_offset + copy->n_in - offset);
}

bool
copy_range(Copy *copy, uint64_t begin, uint64_t end)
{
    while (begin < end) {
        size_t n = at_hand(copy, begin);
        if (n > end - begin) {
            n = (size_t)(end - begin);
        }
        if (!n || !copy_bytes(copy, copy->in + (begin - copy->in_offset), n)) {
            return false;
        }
        begin += n;
    }
    return true;
}

bool
copy_byte(Copy *copy, unsigned char byte)
{
    return copy_bytes(copy, &byte, 1);
}

bool
copy_varint(Copy *copy, uint64_t value)
{
    for (; value > 0x7f; value >>= 7) {
        if (!copy_byte(copy, (unsigned char)(value | 0x80))) {
            return false;
        }
    }
    return copy_byte(copy, (unsigned char)value);
}

bool
copy_delta(Copy *copy, uint64_t from, uint64_t to)
{
    uint64_t delta = to - from;
    return copy_varint(copy, delta << 1 ^ (delta >> 63 ? ~UINT64_C(0) : 0));
}

bool
copy_end(Copy *copy)
{
    return copy_byte(copy, TRAILER) && flush(copy);
}

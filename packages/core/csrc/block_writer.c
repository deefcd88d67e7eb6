#include "block_writer.h"

#include <stdlib.h>
#include <time.h>

typedef struct {
    Scanner *scanner;
    Copy copy;
    uint64_t copied; /* or skipped */
    uint64_t native_delta; /* of skipped records, for the next record that has one */
    size_t n_records;
} Writer;

/* Copy up to `end`; the first native delta in between includes those of skipped records. */
static bool
copy_up_to(Writer *writer, uint64_t end, const NativeDelta *native)
{
    if (native->begin && writer->native_delta) {
        if (!copy_range(&writer->copy, writer->copied, native->begin)
            || !copy_delta(&writer->copy, 0, native->delta + writer->native_delta))
        {
            return false;
        }
        writer->native_delta = 0;
        writer->copied = native->end;
    }
    bool copied = copy_range(&writer->copy, writer->copied, end);
    writer->copied = end;
    return copied;
}

/* Set a reader's recent pointers to those of the capture, with frees of unknown memory, which a
 * reader ignores. */
static bool
write_pointers(Writer *writer)
{
    const Decoder *decoder = &writer->scanner->decoder;
    uint64_t last = 0;
    for (unsigned i = 0; i < N_RECENT_POINTERS; i++) {
        uint64_t address = decoder->pointers[(decoder->oldest_pointer + i) % N_RECENT_POINTERS];
        uint64_t pointer = address >> POINTER_ALIGNMENT_BITS;
        if (!copy_byte(&writer->copy, FREE_NOT_RECENT)
            || !copy_delta(&writer->copy, last, pointer))
        {
            return false;
        }
        last = pointer;
    }
    writer->n_records += N_RECENT_POINTERS;
    return true;
}

/* Write a free of the same pointer instead of an allocation, so that a reader's recent pointers
 * stay correct. */
static bool
write_free_instead(Writer *writer, const Record *record)
{
    unsigned char bytes[1 + 10];
    size_t n;
    if (!copy_read(&writer->copy, bytes, sizeof(bytes), record->offset, &n)) {
        return false;
    }
    size_t length = 1;
    if ((bytes[0] >> 3 & POINTER_BITS) == NOT_RECENT) {
        while (length < n && bytes[length++] & 0x80) {
        }
    }
    bytes[0] = (unsigned char)((bytes[0] & ~ALLOCATOR_BITS) | ALLOCATOR_FREE);
    return copy_bytes(&writer->copy, bytes, length);
}

static bool
write_record(Writer *writer, const Record *record, bool counted)
{
    const Decoder *decoder = &writer->scanner->decoder;
    uint64_t end = decoder_offset(decoder);
    writer->n_records++;
    if (counted || !allocates(record->allocator)) {
        return copy_up_to(writer, end, &decoder->native);
    }
    writer->native_delta += decoder->native.begin ? decoder->native.delta : 0;
    writer->copied = end;
    return write_free_instead(writer, record);
}

static Written
write_records(Writer *writer, uint64_t serial)
{
    Scanner *scanner = writer->scanner;
    bool inside = false;
    for (;;) {
        Record record;
        if (scanner_step(scanner, &record) != SCANNED) {
            return scanner->no_memory ? NO_MEMORY : NOT_THERE;
        }
        if (!copy_up_to(writer, record.offset, &scanner->decoder.native_before)) {
            return writer->copy.failure;
        }
        const Block *block = scanner_block(scanner, serial);
        if (block->state == CLOSED) {
            return copy_end(&writer->copy) ? WRITTEN : writer->copy.failure;
        }
        if (inside) {
            if (!write_record(writer, &record, scanner_counted(scanner, block, &record))) {
                return writer->copy.failure;
            }
            continue;
        }
        writer->native_delta += scanner->decoder.native.begin ? scanner->decoder.native.delta : 0;
        writer->copied = decoder_offset(&scanner->decoder);
        inside = block->state == OPEN;
        if (inside && !write_pointers(writer)) {
            return writer->copy.failure;
        }
    }
}

/* Write the numbers in the header that are specific to the block. */
static bool
write_header(Writer *writer, uint64_t serial, size_t n_outer)
{
    const Scanner *scanner = writer->scanner;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    size_t n_records = writer->n_records;
    long long end_time = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    unsigned long tid = scanner->threads[scanner_block(writer->scanner, serial)->thread].tid;
    uint64_t main_tid_offset = scanner->decoder.main_tid_offset;
    Copy *copy = &writer->copy;
    return copy_write_at(copy, &n_records, sizeof(n_records), N_ALLOCATIONS_OFFSET)
           && copy_write_at(copy, &end_time, sizeof(end_time), END_TIME_OFFSET)
           && copy_write_at(copy, &tid, sizeof(tid), main_tid_offset)
           && copy_write_at(copy, &n_outer, sizeof(n_outer), main_tid_offset + sizeof(tid));
}

Written
write_block(Scanner *scanner, uint64_t serial, bool thread_only, size_t n_outer, int to, int *error)
{
    Writer *writer = calloc(1, sizeof(Writer));
    Written written = NO_MEMORY;
    *error = 0;
    if (writer && scanner_expect(scanner, serial, thread_only, FIGURES_ONLY)) {
        writer->scanner = scanner;
        writer->copy.from = scanner->decoder.fd;
        writer->copy.to = to;
        written = write_records(writer, serial);
        if (written == WRITTEN && !write_header(writer, serial, n_outer)) {
            written = writer->copy.failure;
        }
        *error = writer->copy.error;
    }
    free(writer);
    return written;
}

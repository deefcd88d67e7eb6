#include "block_writer.h"

#include <string.h>
#include <time.h>

#include "growth.h"

enum { LEAST_CALLERS = 64 };

typedef struct {
    const Scanner *from; /* it has scanned the block */
    const Block *block;
    Scanner scanner; /* scans it again */
    Copy copy;
    uint64_t copied; /* or skipped: a position in the capture */
    size_t n_records;
    bool *has_thread; /* written; by its number, for threads from before the block */
    /* What has been written of code objects, by their position in the tree of `from`. */
    bool *has_code;
    int32_t last_line;
    /* The new numbers of native frames, by their old ones; 0: not written. */
    uint32_t *native_numbers;
    uint32_t n_native;
    uint64_t last_native;
    uint64_t last_instruction;
    uint32_t *callers; /* native frames that are written next, outermost last */
    size_t callers_capacity;
} Writer;

/* False, as all of the functions below if something failed. */
static bool
failed(Writer *writer, Written failure)
{
    writer->copy.failure = failure;
    return false;
}

static bool
copy_up_to(Writer *writer, uint64_t end)
{
    bool copied = copy_range(&writer->copy, writer->copied, end);
    writer->copied = end;
    return copied;
}

/* Write what a number is without its deltas; remember it for the next delta. */
static bool
write_native_number(Writer *writer, uint64_t number)
{
    uint64_t last = writer->last_native;
    writer->last_native = number;
    return copy_delta(&writer->copy, last, number);
}

/* Write a native frame, whose caller is written. */
static bool
write_native_frame(Writer *writer, uint32_t number)
{
    NativeFrame frame = writer->from->native.frames[number - 1];
    uint64_t last = writer->last_instruction;
    writer->last_instruction = frame.instruction;
    writer->native_numbers[number] = ++writer->n_native;
    return copy_byte(&writer->copy, NATIVE_TRACE_INDEX)
           && copy_delta(&writer->copy, last, frame.instruction)
           && write_native_number(writer, writer->native_numbers[frame.caller]);
}

/* Write a native stack unless it is written. */
static bool
define_native_stack(Writer *writer, uint64_t number)
{
    if (number > writer->from->native.n_frames) {
        return failed(writer, NOT_THERE);
    }
    size_t n_callers = 0;
    for (; number && !writer->native_numbers[number];
         number = writer->from->native.frames[number - 1].caller)
    {
        if (n_callers == writer->callers_capacity) {
            uint32_t *callers = doubled(writer->callers, &writer->callers_capacity, LEAST_CALLERS,
                                        sizeof(uint32_t));
            if (!callers) {
                return failed(writer, NO_MEMORY);
            }
            writer->callers = callers;
        }
        writer->callers[n_callers++] = (uint32_t)number;
    }
    while (n_callers--) {
        if (!write_native_frame(writer, writer->callers[n_callers])) {
            return false;
        }
    }
    return true;
}

/* Write a code object unless it is written. */
static bool
define_code(Writer *writer, uint32_t number)
{
    const StackTree *tree = &writer->from->tree;
    const CodeObject *code = tree_code(tree, number);
    if (!code) {
        return failed(writer, NOT_THERE);
    }
    bool *has_code = &writer->has_code[code - tree->codes];
    if (*has_code) {
        return true;
    }
    *has_code = true;
    CodeText text;
    if (decoder_read_code(writer->copy.from, code->begin, code->end, &text) != DECODED) {
        bool no_memory = !text.bytes;
        reader_free(text.bytes);
        return failed(writer, no_memory ? NO_MEMORY : NOT_THERE);
    }
    Copy *copy = &writer->copy;
    uint64_t last = (uint64_t)(int64_t)writer->last_line;
    writer->last_line = code->first_line;
    bool written = copy_byte(copy, CODE_OBJECT) && copy_varint(copy, number)
                   && copy_bytes(copy, text.function, strlen(text.function) + 1)
                   && copy_bytes(copy, text.filename, strlen(text.filename) + 1)
                   && copy_delta(copy, last, (uint64_t)(int64_t)code->first_line)
                   && copy_varint(copy, text.n_lines)
                   && copy_bytes(copy, text.lines, text.n_lines);
    reader_free(text.bytes);
    return written;
}

/* Write the name and the stack that a thread had at the beginning of the block. */
static bool
write_thread(Writer *writer, const Thread *thread)
{
    if (!copy_range(&writer->copy, thread->name_begin, thread->name_end)) {
        return false;
    }
    for (size_t i = 0; i < thread->stack.depth; i++) {
        const StackFrame *frame = &thread->stack.frames[i];
        if (!define_code(writer, frame->code)
            || !copy_byte(&writer->copy, (unsigned char)(FRAME_PUSH | frame->is_entry))
            || !copy_varint(&writer->copy, frame->code)
            || !copy_delta(&writer->copy, 0, (uint64_t)(int64_t)frame->instruction))
        {
            return false;
        }
    }
    return true;
}

/* Write what a thread had before the block, before the first record of it. */
static bool
define_thread(Writer *writer)
{
    const Beginning *beginning = writer->block->beginning;
    size_t number = writer->scanner.current;
    if (number >= beginning->n_threads || writer->has_thread[number]) {
        return true;
    }
    writer->has_thread[number] = true;
    return write_thread(writer, &beginning->threads[number]);
}

static bool
write_context_switch(Writer *writer)
{
    unsigned long tid = (unsigned long)writer->scanner.decoder.tid;
    return copy_byte(&writer->copy, CONTEXT_SWITCH) && copy_bytes(&writer->copy, &tid, sizeof(tid));
}

/* Set a reader's recent pointers to those of the capture, with frees of unknown memory, which a
 * reader ignores. */
static bool
write_pointers(Writer *writer)
{
    const Decoder *decoder = &writer->scanner.decoder;
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
write_allocation(Writer *writer, const Record *record, uint64_t end)
{
    writer->n_records++;
    if (frees(record->allocator)) {
        return copy_up_to(writer, end);
    }
    if (allocates(record->allocator) && !scanner_counted(&writer->scanner, record)) {
        writer->copied = end;
        return write_free_instead(writer, record);
    }
    if (!writer->scanner.decoder.native_traces) {
        return copy_up_to(writer, end);
    }
    if (!define_native_stack(writer, record->native) || !copy_up_to(writer, record->native_offset)
        || !write_native_number(writer, writer->native_numbers[record->native]))
    {
        return false;
    }
    writer->copied = end;
    return copy_varint(&writer->copy, record->size);
}

static bool
write_record(Writer *writer, const Record *record)
{
    uint64_t end = decoder_offset(&writer->scanner.decoder);
    /* In between are records of kinds that Record does not have: context switches, libraries. */
    if (!copy_up_to(writer, record->offset)) {
        return false;
    }
    switch (record->kind) {
        case CODE_OBJECT:
        case NATIVE_TRACE_INDEX: /* written when they are used */
        case MEMORY_RECORD: /* nothing uses it, and its time is relative to that of the header */
            writer->copied = end;
            return true;
        case FRAME_PUSH:
            return define_thread(writer) && define_code(writer, record->code)
                   && copy_up_to(writer, end);
        case ALLOCATION:
            return define_thread(writer) && write_allocation(writer, record, end);
        default:
            return define_thread(writer) && copy_up_to(writer, end);
    }
}

static bool
write_beginning(Writer *writer)
{
    const Decoder *decoder = &writer->scanner.decoder;
    writer->copied = decoder_offset(decoder);
    return copy_range(&writer->copy, 0, decoder->header_end)
           && copy_range(&writer->copy, decoder->map_begin, decoder->map_end)
           && write_context_switch(writer) && write_pointers(writer);
}

/* Write the records up to the END mark. */
static bool
write_records(Writer *writer)
{
    for (;;) {
        Record record;
        if (scanner_step(&writer->scanner, &record) != SCANNED) {
            return failed(writer, writer->scanner.no_memory ? NO_MEMORY : NOT_THERE);
        }
        if (writer->scanner.blocks->state == CLOSED) {
            return copy_up_to(writer, record.offset) && copy_end(&writer->copy);
        }
        if (!write_record(writer, &record)) {
            return false;
        }
    }
}

/* Write the numbers in the header that are specific to the block. */
static bool
write_header(Writer *writer, size_t n_outer)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    size_t n_records = writer->n_records;
    long long times[]
            = {writer->block->expected_ms, (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000};
    unsigned long tid = (unsigned long)writer->scanner.threads[writer->block->thread].tid;
    uint64_t main_tid_offset = writer->scanner.decoder.main_tid_offset;
    Copy *copy = &writer->copy;
    return copy_write_at(copy, &n_records, sizeof(n_records), N_ALLOCATIONS_OFFSET)
           && copy_write_at(copy, times, sizeof(times), TIMES_OFFSET)
           && copy_write_at(copy, &tid, sizeof(tid), main_tid_offset)
           && copy_write_at(copy, &n_outer, sizeof(n_outer), main_tid_offset + sizeof(tid));
}

static bool
begin(Writer *writer, const Scanner *from, const Block *block, int to)
{
    writer->from = from;
    writer->block = block;
    writer->copy.from = from->decoder.fd;
    writer->copy.to = to;
    writer->has_thread = reader_calloc(block->beginning->n_threads, sizeof(bool));
    writer->has_code = reader_calloc(from->tree.n_codes + 1, sizeof(bool));
    writer->native_numbers = reader_calloc(from->native.n_frames + 1, sizeof(uint32_t));
    bool begun = scanner_begin_again(&writer->scanner, from, block);
    return (begun && writer->has_thread && writer->has_code && writer->native_numbers)
           || failed(writer, NO_MEMORY);
}

static void
clear(Writer *writer)
{
    scanner_clear(&writer->scanner);
    reader_free(writer->has_thread);
    reader_free(writer->has_code);
    reader_free(writer->native_numbers);
    reader_free(writer->callers);
    reader_free(writer);
}

Written
write_block(const Scanner *scanner, uint64_t serial, size_t n_outer, int to, int *error)
{
    *error = 0;
    const Block *block = scanner_block(scanner, serial);
    if (!block || block->state != CLOSED || !block->beginning) {
        return NOT_THERE;
    }
    Writer *writer = reader_calloc(1, sizeof(Writer));
    if (!writer) {
        return NO_MEMORY;
    }
    bool written = begin(writer, scanner, block, to) && write_beginning(writer)
                   && write_records(writer) && write_header(writer, n_outer);
    Written result = written ? WRITTEN : writer->copy.failure;
    *error = writer->copy.error;
    clear(writer);
    return result;
}

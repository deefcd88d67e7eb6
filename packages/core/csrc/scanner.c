#include "scanner.h"

#include <stdlib.h>
#include <string.h>

/* Marks. */

static bool
can_begin_mark(const Spelling *spelling, const Record *record)
{
    return record->size >= spelling->signature[0] + spelling->least_overhead
           && record->size <= spelling->signature[0] + spelling->most_overhead
           && allocates(record->allocator) && record->allocator != ALLOCATOR_MMAP;
}

static bool
fits(const Spelling *spelling, int position, uint64_t length)
{
    if (position < SIGNATURE_LENGTH) {
        return length == spelling->signature[position];
    }
    uint64_t n_digits = position == SIGNATURE_LENGTH ? N_KINDS : spelling->n_digits;
    return length >= spelling->smallest && length - spelling->smallest < n_digits;
}

/* Look ahead whether `first` begins a mark. Other threads may come between its records. */
static bool
begins_mark(Scanner *scanner, const Record *first, Mark *mark)
{
    const Spelling *spelling = &scanner->spelling;
    Decoder ahead = decoder_fork(&scanner->decoder, scanner->ahead);
    uint64_t overhead = first->size - spelling->signature[0];
    uint64_t digits[MARK_LENGTH] = {0};
    uint64_t address = first->address;
    int n_read = 1;
    bool alive = true;
    Record record;
    while (decoder_next(&ahead, &record) == DECODED) {
        if (record.tid != first->tid) {
            continue;
        }
        if (alive) {
            /* The object just made is freed before anything else happens on its thread. */
            if (!frees(record.allocator) || record.address != address) {
                return false;
            }
            alive = false;
            if (n_read == MARK_LENGTH) {
                mark->kind = (MarkKind)digits[SIGNATURE_LENGTH];
                mark->serial = digits[4] * spelling->n_digits + digits[5];
                mark->first = first->index;
                mark->last = record.index;
                return true;
            }
        } else {
            uint64_t length = record.size - overhead;
            if (!allocates(record.allocator) || record.allocator == ALLOCATOR_MMAP
                || record.size < overhead || !fits(spelling, n_read, length))
            {
                return false;
            }
            digits[n_read++] = length - spelling->smallest;
            address = record.address;
            alive = true;
        }
    }
    return false;
}

/* Threads. */

static bool
turn_to_thread(Scanner *scanner, uint64_t tid)
{
    if (scanner->n_threads && scanner->threads[scanner->current].tid == tid) {
        return true;
    }
    for (size_t i = 0; i < scanner->n_threads; i++) {
        if (scanner->threads[i].tid == tid) {
            scanner->current = i;
            return true;
        }
    }
    Thread *threads = realloc(scanner->threads, (scanner->n_threads + 1) * sizeof(Thread));
    if (!threads) {
        return false;
    }
    scanner->threads = threads;
    scanner->current = scanner->n_threads++;
    threads[scanner->current] = (Thread){.tid = tid};
    return true;
}

/* Blocks. */

Block *
scanner_block(Scanner *scanner, uint64_t serial)
{
    for (size_t i = scanner->n_blocks; i--;) { /* the newest is the likeliest */
        if (scanner->blocks[i].serial == serial) {
            return &scanner->blocks[i];
        }
    }
    return NULL;
}

bool
scanner_expect(Scanner *scanner, uint64_t serial, bool thread_only)
{
    Block *blocks = realloc(scanner->blocks, (scanner->n_blocks + 1) * sizeof(Block));
    if (!blocks) {
        return false;
    }
    scanner->blocks = blocks;
    blocks[scanner->n_blocks++]
            = (Block){.serial = serial, .thread_only = thread_only, .state = EXPECTED};
    return true;
}

static void
leave_block(Scanner *scanner, Block *block)
{
    if (block->state == OPEN && !--scanner->n_open) {
        allocations_clear(&scanner->allocations);
        mappings_clear(&scanner->mappings);
    }
    block->state = CLOSED;
}

void
scanner_forget(Scanner *scanner, uint64_t serial)
{
    Block *block = scanner_block(scanner, serial);
    if (block) {
        leave_block(scanner, block);
        free(block->suspensions);
        size_t n_behind = (size_t)(scanner->blocks + scanner->n_blocks - block) - 1;
        memmove(block, block + 1, n_behind * sizeof(Block));
        scanner->n_blocks--;
    }
}

static bool
was_suspended(const Block *block, uint32_t epoch)
{
    size_t low = 0;
    size_t high = block->n_suspensions;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (block->suspensions[middle].behind > epoch) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low < block->n_suspensions && block->suspensions[low].first <= epoch;
}

bool
block_counts(const Block *block, Origin origin)
{
    return origin.epoch >= block->epoch && (!block->thread_only || origin.thread == block->thread)
           && (!block->n_suspensions || !was_suspended(block, origin.epoch));
}

/* False: no memory. */
static bool
suspend(Scanner *scanner, Block *block)
{
    if (block->n_suspended++) {
        return true;
    }
    size_t length = (block->n_suspensions + 1) * sizeof(Suspension);
    Suspension *suspensions = realloc(block->suspensions, length);
    if (!suspensions) {
        return false;
    }
    block->suspensions = suspensions;
    suspensions[block->n_suspensions++] = (Suspension){++scanner->epoch, UINT32_MAX};
    return true;
}

static void
go_on(Scanner *scanner, Block *block)
{
    if (block->n_suspended && !--block->n_suspended) {
        block->suspensions[block->n_suspensions - 1].behind = ++scanner->epoch;
    }
}

/* Take what was freed out of the books of the blocks that counted it. */
static void
take_back(void *context, uint64_t size, Origin origin)
{
    Scanner *scanner = context;
    for (size_t i = 0; i < scanner->n_blocks; i++) {
        Block *block = &scanner->blocks[i];
        if (block->state == OPEN && block_counts(block, origin)) {
            block->alive -= size;
        }
    }
}

static void
count_in(Block *block, uint64_t size, uint64_t index, int magnitude)
{
    block->alive += size;
    block->total += size;
    block->n_allocations++;
    block->histogram[magnitude]++;
    if (block->alive >= block->peak) {
        block->peak = block->alive;
        block->peak_index = index;
    }
}

static int
bit_length(uint64_t size)
{
    int length = 0;
    for (; size; size >>= 1) {
        length++;
    }
    return length;
}

static void
free_address(Scanner *scanner, uint64_t address)
{
    Allocation freed;
    if (allocations_remove(&scanner->allocations, address, &freed)) {
        take_back(scanner, freed.size, freed.origin);
    }
}

/* Enter a record into the books. False: no memory. */
static bool
account(Scanner *scanner, const Record *record)
{
    if (!scanner->n_open) {
        return true;
    }
    bool maps = record->allocator == ALLOCATOR_MMAP;
    if (maps || record->allocator == ALLOCATOR_MUNMAP) {
        /* A mapping made over another one replaces it. */
        if (!mappings_remove(&scanner->mappings, record->address, record->size, take_back, scanner)) {
            return false;
        }
    } else {
        /* So does an address that is given out again before its free was seen: two threads in
         * realloc and malloc can swap their records. */
        free_address(scanner, record->address);
    }
    if (!allocates(record->allocator) || scanner->threads[scanner->current].at_work) {
        return true;
    }
    Origin origin = {record->index, scanner->epoch, (uint32_t)scanner->current};
    int magnitude = bit_length(record->size);
    bool counted = false;
    for (size_t i = 0; i < scanner->n_blocks; i++) {
        Block *block = &scanner->blocks[i];
        if (block->state == OPEN && block_counts(block, origin)) {
            count_in(block, record->size, record->index, magnitude);
            counted = true;
        }
    }
    if (!counted) {
        return true;
    }
    return maps ? mappings_add(&scanner->mappings, record->address, record->size, origin)
                : allocations_add(&scanner->allocations, record->address, record->size, origin);
}

/* Objects. */

static void
see_object(void *context, uint64_t tid, uint64_t address, bool created)
{
    Scanner *scanner = context;
    Allocation destroyed;
    allocations_remove(&scanner->objects, address, &destroyed);
    if (!created || !scanner->n_open) {
        return;
    }
    if (!turn_to_thread(scanner, tid)) {
        scanner->broken = true;
        return;
    }
    Origin origin = {scanner->decoder.next_index, scanner->epoch, (uint32_t)scanner->current};
    if (!scanner->threads[scanner->current].at_work
        && !allocations_add(&scanner->objects, address, 0, origin))
    {
        scanner->broken = true;
    }
}

void
scanner_track_objects(Scanner *scanner)
{
    scanner->decoder.object_seen = see_object;
    scanner->decoder.object_context = scanner;
}

/* Scanning. */

/* False: no memory. */
static bool
begin_mark(Scanner *scanner, Mark mark)
{
    Thread *thread = &scanner->threads[scanner->current];
    Block *block = mark.kind == PAUSE || mark.kind == RESUME ? NULL : scanner_block(scanner, mark.serial);
    bool is_open = block && block->state == OPEN;
    if (mark.kind == END || mark.kind == PAUSE) {
        /* A thread that is at work already was interrupted, and has not been counted since. */
        for (size_t i = 0; i < scanner->n_blocks && thread->at_work; i++) {
            scanner->blocks[i].interrupted |= scanner->blocks[i].state == OPEN;
        }
    }
    if (mark.kind == END && is_open) {
        block->end_index = mark.first;
        leave_block(scanner, block);
    } else if (mark.kind == SUSPEND && is_open && !suspend(scanner, block)) {
        return false;
    }
    thread->was_at_work = thread->at_work;
    thread->at_work = true;
    thread->in_mark = true;
    thread->mark = mark;
    return true;
}

static void
open_block(Scanner *scanner, Thread *thread, Block *block)
{
    block->state = OPEN;
    block->epoch = ++scanner->epoch;
    block->thread = (uint32_t)(thread - scanner->threads);
    block->start_index = thread->mark.first;
    scanner->n_open++;
}

static void
end_mark(Scanner *scanner, Thread *thread)
{
    MarkKind kind = thread->mark.kind;
    thread->in_mark = false;
    thread->at_work = kind == END || kind == PAUSE
                      || ((kind == SUSPEND || kind == CONTINUE) && thread->was_at_work);
    Block *block = kind == START || kind == CONTINUE ? scanner_block(scanner, thread->mark.serial) : NULL;
    if (!block) {
        return;
    }
    if (kind == START && block->state == EXPECTED) {
        open_block(scanner, thread, block);
    } else if (kind == CONTINUE && block->state == OPEN) {
        go_on(scanner, block);
    }
}

Scanned
scanner_step(Scanner *scanner, Record *record)
{
    uint64_t begin = decoder_offset(&scanner->decoder);
    switch (decoder_next(&scanner->decoder, record)) {
        case DECODED:
            break;
        case END_OF_DATA:
            return INCOMPLETE;
        default:
            return BROKEN;
    }
    if (!scanner->n_open) {
        scanner->idle_bytes += decoder_offset(&scanner->decoder) - begin;
    }
    if (!turn_to_thread(scanner, record->tid)) {
        return BROKEN;
    }
    Thread *thread = &scanner->threads[scanner->current];
    Mark mark;
    if (!thread->in_mark && can_begin_mark(&scanner->spelling, record)
        && begins_mark(scanner, record, &mark) && !begin_mark(scanner, mark))
    {
        return BROKEN;
    }
    if (!account(scanner, record)) {
        return BROKEN;
    }
    if (thread->in_mark && record->index == thread->mark.last) {
        end_mark(scanner, thread);
    }
    return SCANNED;
}

bool
scanner_counted(const Scanner *scanner, const Block *block, const Record *record)
{
    Origin origin = {record->index, scanner->epoch, (uint32_t)scanner->current};
    return block->state == OPEN && allocates(record->allocator)
           && !scanner->threads[scanner->current].at_work && block_counts(block, origin);
}

Scanned
scanner_close_block(Scanner *scanner, uint64_t serial, const Block **block)
{
    decoder_resume(&scanner->decoder);
    Record record;
    while (!scanner->broken) {
        *block = scanner_block(scanner, serial);
        if (!*block) {
            return INCOMPLETE;
        }
        if ((*block)->state == CLOSED) {
            return SCANNED;
        }
        Scanned scanned = scanner_step(scanner, &record);
        if (scanned == INCOMPLETE) {
            return INCOMPLETE;
        }
        scanner->broken = scanned == BROKEN;
    }
    return BROKEN;
}

Scanned
scanner_scan_to(Scanner *scanner, uint64_t index)
{
    decoder_resume(&scanner->decoder);
    Record record;
    while (!scanner->broken && scanner->decoder.next_index <= index) {
        Scanned scanned = scanner_step(scanner, &record);
        if (scanned == INCOMPLETE) {
            return INCOMPLETE;
        }
        scanner->broken = scanned == BROKEN;
    }
    return scanner->broken ? BROKEN : SCANNED;
}

bool
scanner_begin(Scanner *scanner, int fd, const Spelling *spelling)
{
    memset(scanner, 0, offsetof(Scanner, buffer));
    scanner->spelling = *spelling;
    scanner->broken = decoder_begin(&scanner->decoder, fd, scanner->buffer) != DECODED;
    return !scanner->broken;
}

void
scanner_clear(Scanner *scanner)
{
    allocations_clear(&scanner->allocations);
    allocations_clear(&scanner->objects);
    mappings_clear(&scanner->mappings);
    for (size_t i = 0; i < scanner->n_blocks; i++) {
        free(scanner->blocks[i].suspensions);
    }
    free(scanner->threads);
    free(scanner->blocks);
    scanner->threads = NULL;
    scanner->blocks = NULL;
    scanner->n_threads = scanner->n_blocks = scanner->n_open = 0;
    scanner->broken = true;
}

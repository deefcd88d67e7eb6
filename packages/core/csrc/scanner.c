#include "scanner.h"

#include <string.h>
#include <time.h>

#include "reader_memory.h"

/* How much a Python thread may allocate without a stack; see lost_stacks.py. */
enum { BORDERS_OF_THREAD = 4096 };

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

typedef enum { NO_MARK, A_MARK, UNDECIDED } LookAhead;

/* Look ahead whether `first` begins a mark. Records of other threads may be in between.
 *
 * UNDECIDED: the decoder has a limit, and it is too close. */
static LookAhead
look_ahead(Scanner *scanner, const Record *first, Mark *mark)
{
    const Spelling *spelling = &scanner->spelling;
    Decoder ahead = decoder_fork(&scanner->decoder, scanner->ahead);
    uint64_t overhead = first->size - spelling->signature[0];
    uint64_t digits[MARK_LENGTH] = {0};
    uint64_t address = first->address;
    int n_read = 1;
    bool alive = true;
    Record record;
    Decoded decoded;
    while ((decoded = decoder_next_allocation(&ahead, &record)) == DECODED) {
        if (record.tid != first->tid) {
            continue;
        }
        if (alive) {
            /* In a mark, the object is freed before anything else happens on its thread. */
            if (!frees(record.allocator) || record.address != address) {
                return NO_MARK;
            }
            alive = false;
            if (n_read == MARK_LENGTH) {
                mark->kind = (MarkKind)digits[SIGNATURE_LENGTH];
                mark->serial = digits[4] * spelling->n_digits + digits[5];
                mark->first = first->index;
                mark->last = record.index;
                return A_MARK;
            }
        } else {
            uint64_t length = record.size - overhead;
            if (!allocates(record.allocator) || record.allocator == ALLOCATOR_MMAP
                || record.size < overhead || !fits(spelling, n_read, length))
            {
                return NO_MARK;
            }
            digits[n_read++] = length - spelling->smallest;
            address = record.address;
            alive = true;
        }
    }
    return decoded == END_OF_DATA && ahead.limit != NO_LIMIT ? UNDECIDED : NO_MARK;
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
    Thread *threads = reader_realloc(scanner->threads, (scanner->n_threads + 1) * sizeof(Thread));
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
scanner_block(const Scanner *scanner, uint64_t serial)
{
    for (size_t i = scanner->n_blocks; i--;) { /* most likely the newest */
        if (scanner->blocks[i].serial == serial) {
            return &scanner->blocks[i];
        }
    }
    return NULL;
}

bool
scanner_expect(Scanner *scanner, uint64_t serial, bool thread_only, StackUse stack_use,
               bool can_be_written)
{
    struct timespec now = {0, 0};
    if (can_be_written) {
        clock_gettime(CLOCK_REALTIME, &now);
    }
    Block *blocks = reader_realloc(scanner->blocks, (scanner->n_blocks + 1) * sizeof(Block));
    if (!blocks) {
        return false;
    }
    scanner->blocks = blocks;
    blocks[scanner->n_blocks++] = (Block){
            .serial = serial,
            .thread_only = thread_only,
            .stack_use = stack_use,
            .state = EXPECTED,
            .can_be_written = can_be_written,
            .begin_ms = clock_ms(),
            .expected_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
    };
    return true;
}

static void
clear_threads(Thread *threads, size_t n_threads)
{
    for (size_t i = 0; i < n_threads; i++) {
        stack_clear(&threads[i].stack);
    }
    reader_free(threads);
}

/* Return a copy; NULL: no memory. */
static Thread *
copy_threads(const Thread *threads, size_t n_threads)
{
    Thread *copies = reader_malloc(n_threads * sizeof(Thread));
    for (size_t i = 0; copies && i < n_threads; i++) {
        copies[i] = threads[i];
        if (!stack_copy(&copies[i].stack, &threads[i].stack)) {
            clear_threads(copies, i);
            copies = NULL;
        }
    }
    return copies;
}

/* False: no memory. */
static bool
keep_beginning(const Scanner *scanner, Block *block)
{
    Beginning *beginning = reader_malloc(sizeof(Beginning));
    if (!beginning) {
        return false;
    }
    beginning->decoder = scanner->decoder;
    beginning->threads = copy_threads(scanner->threads, scanner->n_threads);
    beginning->n_threads = scanner->n_threads;
    beginning->current = scanner->current;
    if (!beginning->threads) {
        reader_free(beginning);
        return false;
    }
    block->beginning = beginning;
    return true;
}

/* False: no memory. */
static bool
begin_running(Scanner *scanner, uint64_t serial)
{
    uint64_t *running = reader_realloc(scanner->running, (scanner->n_running + 1) * sizeof(uint64_t));
    if (!running) {
        return false;
    }
    scanner->running = running;
    running[scanner->n_running++] = serial;
    return true;
}

static void
end_running(Scanner *scanner, uint64_t serial)
{
    for (size_t i = 0; i < scanner->n_running; i++) {
        if (scanner->running[i] == serial) {
            scanner->running[i] = scanner->running[--scanner->n_running];
            if (!scanner->n_running) {
                allocations_clear(&scanner->allocations);
                allocations_clear(&scanner->owed);
                mappings_clear(&scanner->mappings);
                if (!scanner->tracks_objects) {
                    origins_clear(&scanner->origins);
                }
            }
            return;
        }
    }
}

static void
leave_block(Scanner *scanner, Block *block)
{
    if (block->state != CLOSED && block->has_begun) {
        scanner->n_keeping_stacks -= block->stack_use != FIGURES_ONLY;
    }
    scanner->n_open -= block->state == OPEN;
    block->state = CLOSED;
}

static void
clear_block(Block *block)
{
    reader_free(block->suspensions);
    reader_free(block->without_stack);
    reader_free(block->curve);
    block_stacks_clear(&block->stacks);
    if (block->beginning) {
        clear_threads(block->beginning->threads, block->beginning->n_threads);
        reader_free(block->beginning);
    }
}

void
scanner_forget(Scanner *scanner, uint64_t serial)
{
    Block *block = scanner_block(scanner, serial);
    if (block) {
        leave_block(scanner, block);
        end_running(scanner, serial);
        clear_block(block);
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
block_counts(const Block *block, const Origin *origin)
{
    return origin->epoch >= block->epoch && (!block->thread_only || origin->thread == block->thread)
           && (!block->n_suspensions || !was_suspended(block, origin->epoch));
}

/* False: no memory. */
static bool
suspend(Scanner *scanner, Block *block)
{
    if (block->n_suspended++) {
        return true;
    }
    size_t length = (block->n_suspensions + 1) * sizeof(Suspension);
    Suspension *suspensions = reader_realloc(block->suspensions, length);
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

static BlockStack *
stack_in(Block *block, const Origin *origin)
{
    return block_stacks_find(&block->stacks, origin->node, origin->thread != block->thread);
}

/* Subtract `before` from the blocks that counted it, except for `left`. */
static void
take_back(Scanner *scanner, const Origin *origin, StackSums before, StackSums left)
{
    for (size_t i = 0; i < scanner->n_blocks; i++) {
        Block *block = &scanner->blocks[i];
        if (block->state != OPEN || !block_counts(block, origin)) {
            continue;
        }
        if (block->stack_use != FIGURES_ONLY) {
            BlockStack *stack = stack_in(block, origin);
            if (!stack || !stack->counts) {
                continue;
            }
            before_change(stack, &block->stacks);
            stack->alive = sums_with(sums_without(stack->alive, before), left);
        }
        block->alive -= before.size - left.size;
    }
}

static StackSums
sums_of_mapping(const Mapping *mapping)
{
    uint64_t size = mapping->high - mapping->low;
    return (StackSums){size, 1, size == ARENA_SIZE ? size : 0};
}

static void
take_mapping_back(void *context, const Mapping *mapping, const Mapping *left, size_t n_left)
{
    StackSums sums_left = {0, 0, 0};
    for (size_t i = 0; i < n_left; i++) {
        sums_left = sums_with(sums_left, sums_of_mapping(&left[i]));
    }
    take_back(context, &mapping->origin, sums_of_mapping(mapping), sums_left);
}

static void
count_in(Block *block, BlockStack *stack, const Record *record, StackSums sums, int magnitude)
{
    if (stack) {
        before_change(stack, &block->stacks);
        stack->alive = sums_with(stack->alive, sums);
    }
    block->alive += sums.size;
    block->total += sums.size;
    block->n_allocations++;
    block->histogram[magnitude]++;
    if (block->alive > block->recent_peak) {
        block->recent_peak = block->alive;
    }
    if (block->alive >= block->peak) {
        block->peak = block->alive;
        block->peak_index = record->index;
        block->stacks.n_peaks++;
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

/* Return whether something was there. */
static bool
free_address(Scanner *scanner, uint64_t address)
{
    Allocation freed;
    if (!allocations_remove(&scanner->allocations, address, &freed)) {
        return false;
    }
    Origin origin = origin_numbered(&scanner->origins, freed.origin);
    take_back(scanner, &origin, (StackSums){freed.size, 1, 0}, (StackSums){0, 0, 0});
    return true;
}

/* An address is reused before its free was seen: that free is owed. False: no memory. */
static bool
owe_a_free(Scanner *scanner, const Record *record)
{
    Allocation owed = {.address = record->address};
    allocations_remove(&scanner->owed, record->address, &owed);
    return allocations_add(&scanner->owed, record->address, record->index, owed.origin + 1);
}

/* Whether a free is owed: it is the first record of its thread since. */
static bool
is_late(Scanner *scanner, const Record *record)
{
    Allocation owed;
    if (!allocations_find(&scanner->owed, record->address, &owed)
        || scanner->threads[scanner->current].behind > owed.size)
    {
        return false;
    }
    allocations_remove(&scanner->owed, record->address, &owed);
    if (owed.origin > 1) {
        allocations_add(&scanner->owed, owed.address, owed.size, owed.origin - 1);
    }
    return true;
}

/* Stacks. */

static Scanned
out_of_memory(Scanner *scanner)
{
    scanner->no_memory = true;
    return BROKEN;
}

static Scanned
scanned(Scanner *scanner, StackStatus status)
{
    if (status == STACK_NO_MEMORY) {
        return out_of_memory(scanner);
    }
    return status == STACK_KNOWN ? SCANNED : BROKEN;
}

/* Record, for a block, an allocation without a stack by a thread that had one. False: no memory. */
static bool
count_without_stack(const Scanner *scanner, Block *block, uint64_t size)
{
    if (scanner->current == block->thread) {
        block->lost_stacks = true;
    }
    if (block->lost_stacks || block->thread_only) {
        return true;
    }
    size_t i = 0;
    while (i < block->n_without_stack && block->without_stack[i].thread != scanner->current) {
        i++;
    }
    if (i == block->n_without_stack) {
        WithoutStack *longer = reader_realloc(block->without_stack, (i + 1) * sizeof(WithoutStack));
        if (!longer) {
            return false;
        }
        block->without_stack = longer;
        block->without_stack[block->n_without_stack++] = (WithoutStack){scanner->current, 0};
    }
    block->without_stack[i].n_bytes += size;
    block->lost_stacks = block->without_stack[i].n_bytes > BORDERS_OF_THREAD;
    return true;
}

/* Update lost stacks of the open blocks for a record. False: no memory. */
static bool
see_stack(Scanner *scanner, const Record *record)
{
    Thread *thread = &scanner->threads[scanner->current];
    if (thread->stack.depth) {
        thread->had_stack = true;
        return true;
    }
    for (size_t i = 0; i < scanner->n_blocks && scanner->n_keeping_stacks; i++) {
        Block *block = &scanner->blocks[i];
        bool had_one = thread->had_stack || thread->named || scanner->current == block->thread;
        bool inside = block->has_begun && block->state != CLOSED && record->index != block->start_index;
        if (inside && block->stack_use != FIGURES_ONLY && had_one
            && !count_without_stack(scanner, block, record->size))
        {
            return false;
        }
    }
    return true;
}

/* Add the stack of an allocation to a block; see scanner_step(). */
static Scanned
enter_stack(Scanner *scanner, Block *block, const Origin *origin)
{
    bool is_other = origin->thread != block->thread;
    if (block_stacks_find(&block->stacks, origin->node, is_other)) {
        return SCANNED;
    }
    bool counts = true;
    if (block->stack_use == FILTERS_STACKS) {
        /* Its thread does not matter. */
        const BlockStack *same = block_stacks_find(&block->stacks, origin->node, !is_other);
        if (!same) {
            scanner->question = (Question){block->serial, origin->node, is_other};
            return ASKS;
        }
        counts = same->counts;
    }
    return block_stacks_add(&block->stacks, origin->node, is_other, counts) ? SCANNED
                                                                         : out_of_memory(scanner);
}

void
scanner_answer(Scanner *scanner, bool counts)
{
    Question question = scanner->question;
    Block *block = scanner_block(scanner, question.serial);
    if (!block || block_stacks_find(&block->stacks, question.node, question.is_other)) {
        return; /* it was forgotten in the meantime */
    }
    if (!block_stacks_add(&block->stacks, question.node, question.is_other, counts)) {
        scanner->broken = scanner->no_memory = true;
    }
}

/* Find the origin of an allocation, and add its stack to every block that counts it and keeps
 * stacks. */
static Scanned
find_origin(Scanner *scanner, const Record *record, Origin *origin)
{
    Thread *thread = &scanner->threads[scanner->current];
    *origin = (Origin){scanner->epoch, (uint32_t)scanner->current, NO_STACK};
    if (!scanner->n_keeping_stacks || thread->at_work || !allocates(record->allocator)) {
        return SCANNED;
    }
    Scanned found = scanned(scanner, tree_find(&scanner->tree, &thread->stack, &origin->node));
    for (size_t i = 0; i < scanner->n_blocks && found == SCANNED; i++) {
        Block *block = &scanner->blocks[i];
        if (block->state == OPEN && block->stack_use != FIGURES_ONLY && block_counts(block, origin)) {
            found = enter_stack(scanner, block, origin);
        }
    }
    return found;
}

/* Count a record. False: no memory. */
static bool
account(Scanner *scanner, const Record *record, const Origin *origin)
{
    if (!scanner->n_running) {
        return true;
    }
    bool maps = record->allocator == ALLOCATOR_MMAP;
    if (maps || record->allocator == ALLOCATOR_MUNMAP) {
        /* A mapping over another one replaces it. */
        if (!mappings_remove(&scanner->mappings, record->address, record->size, take_mapping_back,
                             scanner))
        {
            return false;
        }
    } else if (frees(record->allocator)) {
        if (!scanner->owed.n_used || !is_late(scanner, record)) {
            free_address(scanner, record->address);
        }
    } else if (free_address(scanner, record->address) && !owe_a_free(scanner, record)) {
        return false;
    }
    if (!allocates(record->allocator)) {
        return true;
    }
    int magnitude = bit_length(record->size);
    /* A mapping of 0 bytes has no range. */
    StackSums sums = {record->size, !maps || record->size, 0};
    sums.arenas = maps && record->size == ARENA_SIZE ? ARENA_SIZE : 0;
    bool counted = false;
    bool at_work = scanner->threads[scanner->current].at_work;
    for (size_t i = 0; i < scanner->n_blocks && !at_work; i++) {
        Block *block = &scanner->blocks[i];
        if (block->state != OPEN || !block_counts(block, origin)) {
            continue;
        }
        BlockStack *stack = block->stack_use == FIGURES_ONLY ? NULL : stack_in(block, origin);
        if (!stack || stack->counts) {
            count_in(block, stack, record, sums, magnitude);
            counted = true;
        }
    }
    if (maps) {
        return !counted || mappings_add(&scanner->mappings, record->address, record->size, *origin);
    }
    uint32_t number = 0;
    return (!counted || origins_find(&scanner->origins, origin, &number))
           && allocations_add(&scanner->allocations, record->address, record->size, number);
}

/* Objects. */

/* False: no memory. */
static bool
see_object(Scanner *scanner, const Record *record)
{
    Allocation destroyed;
    allocations_remove(&scanner->objects, record->address, &destroyed);
    if (!record->created || !scanner->n_open || scanner->threads[scanner->current].at_work) {
        return true;
    }
    Origin origin = {scanner->epoch, (uint32_t)scanner->current, NO_STACK};
    uint32_t number;
    return origins_find(&scanner->origins, &origin, &number)
           && allocations_add(&scanner->objects, record->address, 0, number);
}

void
scanner_track_objects(Scanner *scanner)
{
    scanner->tracks_objects = true;
}

/* Scanning. */

static Scanned
begin_block(Scanner *scanner, Block *block, uint64_t start_index)
{
    block->has_begun = true;
    block->thread = (uint32_t)scanner->current;
    block->start_index = start_index;
    scanner->n_keeping_stacks += block->stack_use != FIGURES_ONLY;
    CallStack *stack = &scanner->threads[scanner->current].stack;
    return scanned(scanner, tree_find(&scanner->tree, stack, &block->start_node));
}

static Scanned
begin_mark(Scanner *scanner, Mark mark)
{
    Thread *thread = &scanner->threads[scanner->current];
    Block *block = mark.kind == PAUSE || mark.kind == RESUME ? NULL : scanner_block(scanner, mark.serial);
    bool is_open = block && block->state == OPEN;
    if (mark.kind == END || mark.kind == PAUSE) {
        /* The thread is already at work: it was interrupted, and not counted since. */
        for (size_t i = 0; i < scanner->n_blocks && thread->at_work; i++) {
            scanner->blocks[i].interrupted |= scanner->blocks[i].state == OPEN;
        }
    }
    if (mark.kind == END) {
        if (is_open) {
            block->end_index = mark.first;
            if (block->curve) {
                curve_go_on(block->curve, scanner->closed_ms, block->recent_peak);
            }
            leave_block(scanner, block);
        }
        end_running(scanner, mark.serial);
    } else if (mark.kind == START && block && !block->has_begun && block->state == EXPECTED) {
        Scanned begun = begin_block(scanner, block, mark.first);
        if (begun != SCANNED) {
            return begun;
        }
    } else if (mark.kind == SUSPEND && is_open && !suspend(scanner, block)) {
        return out_of_memory(scanner);
    } else if (mark.kind == LOOK && is_open) {
        block->n_looks++;
        block->alive_at_look = block->alive;
    }
    thread->was_at_work = thread->at_work;
    thread->at_work = true;
    thread->in_mark = true;
    thread->mark = mark;
    return SCANNED;
}

/* False: no memory. */
static bool
end_mark(Scanner *scanner, Thread *thread)
{
    MarkKind kind = thread->mark.kind;
    if (kind == START && !begin_running(scanner, thread->mark.serial)) {
        return false;
    }
    thread->in_mark = false;
    bool turns = kind == START || kind == END || kind == PAUSE || kind == RESUME;
    thread->at_work = turns ? kind == END || kind == PAUSE : thread->was_at_work;
    Block *block = kind == START || kind == CONTINUE ? scanner_block(scanner, thread->mark.serial) : NULL;
    if (!block) {
        return true;
    }
    if (kind == START && block->state == EXPECTED) {
        block->state = OPEN;
        block->epoch = ++scanner->epoch;
        scanner->n_open++;
        return !block->can_be_written || keep_beginning(scanner, block);
    } else if (kind == CONTINUE && block->state == OPEN) {
        go_on(scanner, block);
    }
    return true;
}

/* Ticks. */

uint64_t
clock_ms(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Make room for a tick: forget those that were scanned, or else every other one. */
static void
thin_ticks(Ticks *ticks)
{
    size_t step = ticks->n_passed ? 1 : 2;
    size_t n_left = 0;
    for (size_t i = ticks->n_passed + step - 1; i < ticks->n_ticks; i += step) {
        ticks->ticks[n_left++] = ticks->ticks[i];
    }
    if (ticks->n_passed) {
        ticks->least_ms = 0;
    } else {
        ticks->least_ms = 2 * (ticks->least_ms ? ticks->least_ms : FIRST_BUCKET_MS);
    }
    ticks->n_ticks = n_left;
    ticks->n_passed = 0;
}

void
scanner_tick(Scanner *scanner, uint64_t offset, uint64_t time_ms)
{
    Ticks *ticks = &scanner->ticks;
    if (!ticks->ticks && !(ticks->ticks = reader_malloc(MOST_TICKS * sizeof(Tick)))) {
        return;
    }
    Tick *last = ticks->n_ticks > ticks->n_passed ? &ticks->ticks[ticks->n_ticks - 1] : NULL;
    if (last && last->offset == offset) {
        last->last_ms = time_ms;
        return;
    }
    if (last && time_ms - last->first_ms < ticks->least_ms) {
        return;
    }
    if (ticks->n_ticks == MOST_TICKS) {
        thin_ticks(ticks);
    }
    ticks->ticks[ticks->n_ticks++] = (Tick){offset, time_ms, time_ms};
}

/* Continue the curves of the open blocks up to a tick. False: no memory. */
static bool
draw_curves(Scanner *scanner, const Tick *tick)
{
    for (size_t i = 0; i < scanner->n_blocks && scanner->n_open; i++) {
        Block *block = &scanner->blocks[i];
        if (block->state != OPEN || block->stack_use == FIGURES_ONLY) {
            continue;
        }
        if (!block->curve && !(block->curve = curve_new(block->begin_ms))) {
            return false;
        }
        curve_go_on(block->curve, tick->first_ms, block->recent_peak);
        curve_go_on(block->curve, tick->last_ms, block->alive);
        block->recent_peak = block->alive;
    }
    return true;
}

/* False: no memory. */
static bool
pass_ticks(Scanner *scanner, uint64_t offset)
{
    Ticks *ticks = &scanner->ticks;
    while (ticks->n_passed < ticks->n_ticks && ticks->ticks[ticks->n_passed].offset <= offset) {
        if (!draw_curves(scanner, &ticks->ticks[ticks->n_passed++])) {
            return false;
        }
    }
    return true;
}

/* Process a record that is not an allocation. */
static Scanned
follow(Scanner *scanner, const Record *record)
{
    uint64_t end = decoder_offset(&scanner->decoder);
    bool defines = record->kind == CODE_OBJECT || record->kind == NATIVE_TRACE_INDEX;
    if (record->kind == MEMORY_RECORD || (defines && scanner->is_again)) {
        return SCANNED;
    }
    if (record->kind == CODE_OBJECT) {
        CodeObject code = {record->offset, end, record->code, record->number};
        return scanned(scanner, tree_add_code(&scanner->tree, code));
    }
    if (record->kind == NATIVE_TRACE_INDEX) {
        NativeFrame frame = {record->address, (uint32_t)record->native};
        return scanned(scanner, record->native > scanner->native.n_frames
                                        ? STACK_DAMAGED
                                        : native_frames_add(&scanner->native, frame));
    }
    if (!turn_to_thread(scanner, record->tid)) {
        return out_of_memory(scanner);
    }
    Thread *thread = &scanner->threads[scanner->current];
    switch (record->kind) {
        case FRAME_PUSH:
            if (!stack_push(&thread->stack, record->code, record->number, record->is_entry)) {
                return out_of_memory(scanner);
            }
            return SCANNED;
        case FRAME_POP:
            return stack_pop(&thread->stack, record->n_frames) ? SCANNED : BROKEN;
        case THREAD_RECORD:
            thread->named = record->named;
            thread->name_begin = record->offset;
            thread->name_end = end;
            return SCANNED;
        default: /* an object */
            if (scanner->tracks_objects && !see_object(scanner, record)) {
                return out_of_memory(scanner);
            }
            return SCANNED;
    }
}

/* Decode the next record. */
static Scanned
next_record(Scanner *scanner, Record *record)
{
    uint64_t begin = decoder_offset(&scanner->decoder);
    if (scanner->ticks.n_passed < scanner->ticks.n_ticks && !pass_ticks(scanner, begin)) {
        return out_of_memory(scanner);
    }
    Decoded decoded = decoder_next(&scanner->decoder, record);
    if (decoded != DECODED) {
        return decoded == END_OF_DATA ? INCOMPLETE : BROKEN;
    }
    if (!scanner->n_open) {
        scanner->idle_bytes += decoder_offset(&scanner->decoder) - begin;
    }
    return SCANNED;
}

/* Check whether a mark begins at an allocation record, whose thread becomes the current one.
 *
 * INCOMPLETE: that is not known yet. */
static Scanned
begin_allocation(Scanner *scanner, const Record *record)
{
    if (!turn_to_thread(scanner, record->tid)) {
        return out_of_memory(scanner);
    }
    Scanned found = SCANNED;
    if (!scanner->threads[scanner->current].in_mark && can_begin_mark(&scanner->spelling, record)) {
        Mark mark;
        LookAhead seen = look_ahead(scanner, record, &mark);
        if (seen == UNDECIDED) {
            return INCOMPLETE;
        }
        if (seen == A_MARK) {
            found = begin_mark(scanner, mark);
        }
    }
    if (found == SCANNED && allocates(record->allocator) && !see_stack(scanner, record)) {
        return out_of_memory(scanner);
    }
    return found;
}

/* Stop at a record until something is there. */
static Scanned
wait_at(Scanner *scanner, const Record *record, Awaited awaited)
{
    scanner->waiting = *record;
    scanner->awaited = awaited;
    return awaited == AN_ANSWER ? ASKS : INCOMPLETE;
}

Scanned
scanner_step(Scanner *scanner, Record *record)
{
    Awaited awaited = scanner->awaited;
    scanner->awaited = NOTHING;
    if (awaited != NOTHING) {
        *record = scanner->waiting;
    } else {
        Scanned read = next_record(scanner, record);
        if (read != SCANNED) {
            return read;
        }
        if (record->kind != ALLOCATION) {
            return follow(scanner, record);
        }
    }
    if (awaited != AN_ANSWER) {
        Scanned begun = begin_allocation(scanner, record);
        if (begun != SCANNED) {
            return begun == INCOMPLETE ? wait_at(scanner, record, MORE_OF_A_MARK) : begun;
        }
    }
    Origin origin;
    Scanned found = find_origin(scanner, record, &origin);
    if (found != SCANNED) {
        return found == ASKS ? wait_at(scanner, record, AN_ANSWER) : found;
    }
    if (!account(scanner, record, &origin)) {
        return out_of_memory(scanner);
    }
    Thread *thread = &scanner->threads[scanner->current];
    thread->behind = record->index + 1;
    if (thread->in_mark && record->index == thread->mark.last && !end_mark(scanner, thread)) {
        return out_of_memory(scanner);
    }
    return SCANNED;
}

bool
scanner_counted(const Scanner *scanner, const Record *record)
{
    const Block *block = scanner->blocks;
    Origin origin = {scanner->epoch, (uint32_t)scanner->current, NO_STACK};
    return block->state == OPEN && allocates(record->allocator)
           && !scanner->threads[scanner->current].at_work && block_counts(block, &origin);
}

typedef bool (*IsReached)(const Block *);

static bool
is_closed(const Block *block)
{
    return block->state == CLOSED;
}

static bool
is_at_a_look(const Block *block)
{
    return block->n_looks > block->n_seen;
}

static Scanned
scan_until(Scanner *scanner, IsReached is_reached, uint64_t serial, const Block **block)
{
    scanner->decoder.limit = NO_LIMIT;
    decoder_resume(&scanner->decoder);
    Record record;
    while (!scanner->broken) {
        *block = scanner_block(scanner, serial);
        if (!*block) {
            return INCOMPLETE;
        }
        if (is_reached(*block)) {
            return SCANNED;
        }
        Scanned step = scanner_step(scanner, &record);
        if (step == INCOMPLETE || step == ASKS) {
            return step;
        }
        scanner->broken = step == BROKEN;
    }
    return BROKEN;
}

Scanned
scanner_close_block(Scanner *scanner, uint64_t serial, const Block **block)
{
    scanner->closed_ms = clock_ms();
    return scan_until(scanner, is_closed, serial, block);
}

Scanned
scanner_look(Scanner *scanner, uint64_t serial, const Block **block)
{
    Scanned found = scan_until(scanner, is_at_a_look, serial, block);
    if (found == SCANNED) {
        scanner_block(scanner, serial)->n_seen++;
    }
    return found;
}

Scanned
scanner_follow(Scanner *scanner, uint64_t limit)
{
    if (limit < decoder_offset(&scanner->decoder)) {
        return INCOMPLETE;
    }
    scanner->decoder.limit = limit;
    Record record;
    Scanned step = SCANNED;
    while (!scanner->broken && step == SCANNED) {
        step = scanner_step(scanner, &record);
        scanner->broken = step == BROKEN;
    }
    return scanner->broken ? BROKEN : step;
}

bool
scanner_begin(Scanner *scanner, int fd, const Spelling *spelling)
{
    memset(scanner, 0, offsetof(Scanner, buffer));
    scanner->spelling = *spelling;
    scanner->broken = decoder_begin(&scanner->decoder, fd, scanner->buffer) != DECODED;
    return !scanner->broken;
}

bool
scanner_begin_again(Scanner *scanner, const Scanner *from, const Block *block)
{
    const Beginning *beginning = block->beginning;
    memset(scanner, 0, offsetof(Scanner, buffer));
    scanner->is_again = true;
    scanner->spelling = from->spelling;
    scanner->decoder = decoder_fork(&beginning->decoder, scanner->buffer);
    scanner->decoder.fd = from->decoder.fd; /* the beginning may have been read from another one */
    scanner->decoder.limit = NO_LIMIT;
    scanner->threads = copy_threads(beginning->threads, beginning->n_threads);
    scanner->n_threads = scanner->threads ? beginning->n_threads : 0;
    scanner->current = beginning->current;
    if (!scanner->threads
        || !scanner_expect(scanner, block->serial, block->thread_only, FIGURES_ONLY, false))
    {
        scanner->broken = scanner->no_memory = true;
        return false;
    }
    scanner->blocks->has_begun = true;
    scanner->blocks->state = OPEN;
    scanner->blocks->thread = block->thread;
    scanner->n_open = 1;
    return true;
}

void
scanner_clear(Scanner *scanner)
{
    allocations_clear(&scanner->allocations);
    allocations_clear(&scanner->objects);
    allocations_clear(&scanner->owed);
    mappings_clear(&scanner->mappings);
    origins_clear(&scanner->origins);
    tree_clear(&scanner->tree);
    native_frames_clear(&scanner->native);
    for (size_t i = 0; i < scanner->n_blocks; i++) {
        clear_block(&scanner->blocks[i]);
    }
    clear_threads(scanner->threads, scanner->n_threads);
    reader_free(scanner->blocks);
    reader_free(scanner->running);
    reader_free(scanner->ticks.ticks);
    scanner->ticks = (Ticks){NULL, 0, 0, 0};
    scanner->threads = NULL;
    scanner->blocks = NULL;
    scanner->running = NULL;
    scanner->n_threads = scanner->n_blocks = scanner->n_open = scanner->n_running = 0;
    scanner->broken = true;
}

/* Feeds damaged captures to the C code of the core, under AddressSanitizer; see fuzz.py.
 *
 * Every capture is read twice: as it is, and with memory that fails now and then, and following it as
 * the thread does. The second reading says that it is broken, or finds the same as the first.
 *
 *     fuzz_scanner SEED N_INPUTS CAPTURE...
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block_writer.h"
#include "line_table.h"
#include "reader_memory.h"
#include "scanner.h"

enum { MOST_BYTES = 1 << 16, N_SERIALS = 8 };

static uint64_t state;

static uint64_t
draw(uint64_t below)
{
    state ^= state << 13; /* xorshift64 */
    state ^= state >> 7;
    state ^= state << 17;
    return below ? state % below : 0;
}

static unsigned char input[MOST_BYTES];
static size_t length;

static void
mutate_once(void)
{
    static const unsigned char telling[]
            = {0, 1, 2, 5, 6, 7, 8, 10, 12, 14, 16, 32, 47, 64, 0x7f, 0x80, 0xf8, 0xfd, 0xfe, 0xff};
    size_t at = draw(length);
    size_t n = 1 + draw(16);
    size_t from = draw(length);
    switch (draw(7)) {
        case 0:
            input[at] ^= (unsigned char)(1 << draw(8));
            break;
        case 1:
            input[at] = telling[draw(sizeof(telling))];
            break;
        case 2: /* a long number, or an end that never comes */
            memset(input + at, draw(2) ? 0xff : 0x80, n < length - at ? n : length - at);
            break;
        case 3:
            memset(input + at, 0, n < length - at ? n : length - at);
            break;
        case 4: /* cut */
            length = at ? at : 1;
            break;
        case 5: /* leave out */
            n = n < length - at ? n : length - at - 1;
            memmove(input + at, input + at + n, length - at - n);
            length -= n;
            break;
        default: /* repeat */
            n = n * (1 + draw(64));
            if (length + n <= MOST_BYTES && from + n <= length) {
                memmove(input + at + n, input + at, length - at);
                memmove(input + at, input + from, n);
                length += n;
            }
    }
}

static uint64_t failing; /* one of so many calls; 0 for none */
static uint64_t n_failed;

static bool
fails(void)
{
    bool now = failing && !draw(failing);
    n_failed += now;
    return now;
}

/* In place of reader_memory.c, so that the sanitizer sees every piece. */

void *
reader_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

void *
reader_calloc(size_t n, size_t size)
{
    return fails() ? NULL : calloc(n, size);
}

void *
reader_realloc(void *piece, size_t size)
{
    return fails() ? NULL : realloc(piece, size);
}

void
reader_free(void *piece)
{
    free(piece);
}

static uint64_t n_scanned;
static uint64_t n_unread;
static uint64_t n_kept;
static uint64_t n_frames;
static uint64_t n_asked;
static uint64_t n_followed;
static uint64_t n_curves;

static void
empty(int out)
{
    if (ftruncate(out, 0) || lseek(out, 0, SEEK_SET)) {
        exit(2);
    }
}

/* What was found of a block. */
typedef struct {
    uint64_t scanned; /* a Scanned; as wide as the others, so that there are no gaps */
    uint64_t peak, total, n_allocations, alive, n_objects, stacks;
} Found;

static uint64_t
count_objects(const Scanner *scanner, const Block *block)
{
    uint64_t n = 0;
    for (size_t i = 0; i < scanner->objects.n_places; i++) {
        const Place *object = &scanner->objects.places[i];
        Origin origin = origin_numbered(&scanner->origins, object->origin);
        n += object->address && block_counts(block, &origin);
    }
    return n;
}

static StackUse
stack_use_of(unsigned serial)
{
    return (StackUse)(serial % (FILTERS_STACKS + 1));
}

/* Scan up to the end of a block. Which stacks count depends on their numbers. */
static Scanned
close_block(Scanner *scanner, uint64_t serial, const Block **block)
{
    Scanned scanned;
    while ((scanned = scanner_close_block(scanner, serial, block)) == ASKS) {
        n_asked++;
        scanner_answer(scanner, scanner->question.node % 3 != 1);
    }
    return scanned;
}

/* Scan a part of the capture as the thread does, with limits that come close to each other. */
static void
follow_some(Scanner *scanner)
{
    uint64_t begin = decoder_offset(&scanner->decoder);
    for (uint64_t n = draw(6), limit = begin; n && limit < length; n--) {
        limit += draw(draw(2) ? 64 : length);
        scanner_follow(scanner, limit < length ? limit : length);
    }
    n_followed += decoder_offset(&scanner->decoder) > begin;
}

/* Make a number of the stacks of a block; their sums have to be the block's. */
static uint64_t
sum_stacks(const Block *block)
{
    uint64_t hash = 0;
    uint64_t alive = 0;
    uint64_t at_peak = 0;
    if (block->stack_use == FIGURES_ONLY) {
        return 0;
    }
    for (uint32_t i = 1; i < block->stacks.stacks.n_items; i++) {
        const BlockStack *stack = block_stack(&block->stacks, i);
        StackSums peak = *sums_at_peak(stack, &block->stacks);
        alive += stack->alive.size;
        at_peak += peak.size;
        const uint64_t told[] = {stack->node, stack->is_other, stack->counts, stack->alive.size,
                                 stack->alive.n_allocations, stack->alive.arenas, peak.size,
                                 peak.n_allocations, peak.arenas};
        for (size_t n = 0; n < sizeof(told) / sizeof(*told); n++) {
            hash = (hash ^ told[n]) * UINT64_C(0x9E3779B97F4A7C15);
        }
    }
    if (alive != block->alive || at_peak != block->peak) {
        fprintf(stderr, "the stacks of block %llu are not what it has\n",
                (unsigned long long)block->serial);
        abort();
    }
    return hash ^ block->lost_stacks;
}

/* The largest value of the curve of a block has to be its peak. */
static void
check_curve(const Block *block)
{
    const Curve *curve = block->curve;
    uint64_t peak = 0;
    if (!curve) {
        return;
    }
    for (size_t i = 0; i < curve->n_buckets; i++) {
        peak = curve->maxima[i] > peak ? curve->maxima[i] : peak;
    }
    if (peak != block->peak || !curve->n_buckets || curve->n_buckets > MOST_BUCKETS) {
        fprintf(stderr, "the curve of block %llu is not what it has\n",
                (unsigned long long)block->serial);
        abort();
    }
    n_curves++;
}

/* Read the frames of all stacks, as the module does. */
static void
read_frames(const Scanner *scanner)
{
    const StackTree *tree = &scanner->tree;
    for (uint32_t i = 1; i < tree->nodes.n_items; i++) {
        const StackNode *node = tree_node(tree, i);
        const CodeObject *code = tree_code(tree, node->code);
        CodeText text;
        if (node->parent >= i || !code) {
            fprintf(stderr, "a node without a parent, or without a code object\n");
            abort();
        }
        if (decoder_read_code(scanner->decoder.fd, code->begin, code->end, &text) == DECODED) {
            n_frames += strlen(text.function) + strlen(text.filename) > 0;
            line_of(text.lines, text.n_lines, code->first_line, node->instruction);
            line_of(text.lines, text.n_lines, code->first_line, INT32_MAX);
        }
        free(text.bytes);
    }
}

/* Note when some parts of the capture were written, as the thread does. */
static void
tick(Scanner *scanner)
{
    uint64_t now = clock_ms();
    uint64_t offset = decoder_offset(&scanner->decoder);
    for (uint64_t n = draw(8) ? draw(40) : draw(6000); n; n--) {
        offset += draw(9);
        now += draw(30) ? draw(40) : draw(UINT64_C(1) << 50);
        scanner_tick(scanner, offset, now);
    }
}

/* Read these blocks, a bit for each. Returns which of them could be asked for. */
static unsigned
read_blocks(int fd, const Spelling *spelling, unsigned serials, bool objects, bool follows,
            Found *found)
{
    static Scanner scanner;
    const Block *block = NULL;
    unsigned expected = 0;
    bool begun = scanner_begin(&scanner, fd, spelling);
    for (unsigned serial = 0; begun && serial < N_SERIALS; serial++) {
        if (serials >> serial & 1
            && scanner_expect(&scanner, serial, serial & 1, stack_use_of(serial), serial & 2))
        {
            expected |= 1u << serial;
        }
    }
    if (objects) {
        scanner_track_objects(&scanner);
    }
    tick(&scanner);
    for (unsigned serial = 0; serial < N_SERIALS; serial++) {
        memset(&found[serial], 0, sizeof(Found));
        found[serial].scanned = BROKEN;
        if (follows) {
            follow_some(&scanner);
        }
        if (expected >> serial & 1) {
            found[serial].scanned = close_block(&scanner, serial, &block);
        }
        if (found[serial].scanned == SCANNED) {
            found[serial] = (Found){SCANNED, block->peak, block->total, block->n_allocations,
                                    block->alive, count_objects(&scanner, block), sum_stacks(block)};
            check_curve(block);
        }
    }
    read_frames(&scanner);
    scanner_clear(&scanner);
    return expected;
}

static void
read_with_failures(int fd, const Spelling *spelling)
{
    Found right[N_SERIALS];
    Found found[N_SERIALS];
    bool objects = draw(2); /* a block whose objects count is the only one */
    unsigned serials = objects ? 1u << draw(N_SERIALS) : (1u << N_SERIALS) - 1;
    failing = 1 + draw(40);
    bool follows = !objects && draw(2); /* it would go beyond the block, and see objects destroyed */
    unsigned expected = read_blocks(fd, spelling, serials, objects, follows, found);
    failing = 0;
    read_blocks(fd, spelling, expected, objects, false, right);
    for (unsigned serial = 0; serial < N_SERIALS; serial++) {
        if (found[serial].scanned == BROKEN) {
            n_unread += right[serial].scanned != BROKEN;
        } else if (memcmp(&found[serial], &right[serial], sizeof(Found)) != 0) {
            fprintf(stderr, "without memory, block %u has other figures\n", serial);
            abort();
        }
    }
}

/* What the module does with a capture, in an order that varies. */
static void
feed(int fd, int out, const Spelling *spelling)
{
    static Scanner scanner;
    const Block *block;
    if (scanner_begin(&scanner, fd, spelling)) {
        for (uint64_t serial = 0; serial < N_SERIALS; serial++) {
            scanner_expect(&scanner, serial, serial & 1, stack_use_of((unsigned)serial), draw(2));
        }
        if (draw(2)) {
            scanner_track_objects(&scanner);
        }
        for (int i = 0; i < N_SERIALS; i++) {
            uint64_t serial = draw(N_SERIALS);
            follow_some(&scanner);
            if (close_block(&scanner, serial, &block) == SCANNED) {
                n_scanned++;
                empty(out);
                int error;
                n_kept += write_block(&scanner, serial, draw(9), out, &error) == WRITTEN;
            }
            if (!draw(4)) {
                scanner_forget(&scanner, draw(N_SERIALS));
            }
        }
    }
    read_frames(&scanner);
    scanner_clear(&scanner);
}

int
main(int argc, char **argv)
{
    if (argc < 4) {
        return 2;
    }
    uint64_t seed = strtoull(argv[1], NULL, 10);
    uint64_t n_inputs = strtoull(argv[2], NULL, 10);
    /* As the captures of the tests spell marks. */
    Spelling spelling = {{9001, 9500, 8777}, 8192, 4096, 33, 97};
    int n_seeds = argc - 3;
    unsigned char(*seeds)[MOST_BYTES] = malloc((size_t)n_seeds * MOST_BYTES);
    size_t *lengths = malloc((size_t)n_seeds * sizeof(size_t));
    for (int i = 0; i < n_seeds; i++) {
        FILE *file = fopen(argv[3 + i], "rb");
        lengths[i] = file ? fread(seeds[i], 1, MOST_BYTES, file) : 0;
        if (!lengths[i]) {
            return 2;
        }
        fclose(file);
    }
    int fd = memfd_create("input", 0);
    int out = memfd_create("kept", 0);
    for (uint64_t n = 0; n < n_inputs; n++) {
        state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) + n * UINT64_C(0xD1B54A32D192ED03) + 1;
        draw(0);
        int which = (int)draw((uint64_t)n_seeds);
        length = lengths[which];
        memcpy(input, seeds[which], length);
        for (uint64_t mutations = draw(6); mutations; mutations--) {
            mutate_once();
        }
        if (ftruncate(fd, 0) || pwrite(fd, input, length, 0) != (ssize_t)length) {
            return 2;
        }
        feed(fd, out, &spelling);
        read_with_failures(fd, &spelling);
        failing = draw(3) ? 0 : 1 + draw(40);
        feed(fd, out, &spelling);
        failing = 0;
    }
    free(seeds);
    free(lengths);
    printf("%llu inputs, %llu blocks read, %llu kept, %llu frames read, %llu stacks asked about, %llu "
           "times followed, %llu curves; "
           "%llu allocations failed, %llu blocks could not be read for it; no finding\n",
           (unsigned long long)n_inputs, (unsigned long long)n_scanned, (unsigned long long)n_kept,
           (unsigned long long)n_frames, (unsigned long long)n_asked, (unsigned long long)n_followed,
           (unsigned long long)n_curves,
           (unsigned long long)n_failed, (unsigned long long)n_unread);
    return 0;
}

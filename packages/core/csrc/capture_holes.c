#define _GNU_SOURCE
#include "capture_holes.h"

#ifdef __linux__

#include <fcntl.h>
#include <linux/falloc.h>

enum {
    MAPPED = 16 << 20, /* the part of the capture that memray has mapped: the last one, or less */
    LEAST_GAIN = 4 << 20,
    LEAST_HOLE = 1 << 14,
    BLOCK = 1 << 12, /* of most file systems */
};

/* Make a hole of the whole blocks in a range. */
static bool
make_hole(int fd, uint64_t begin, uint64_t end)
{
    begin = (begin + BLOCK - 1) / BLOCK * BLOCK;
    end = end / BLOCK * BLOCK;
    return end < begin + LEAST_HOLE
           || !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)begin,
                         (off_t)(end - begin));
}

static bool
is_needed(const Scanner *scanner)
{
    for (size_t i = 0; i < scanner->n_blocks; i++) {
        if (scanner->blocks[i].can_be_written) {
            return true;
        }
    }
    return false;
}

static void
forget_names(Scanner *scanner)
{
    for (size_t i = 0; i < scanner->n_threads; i++) {
        Thread *thread = &scanner->threads[i];
        if (thread->name_begin < scanner->given_back) {
            thread->name_begin = thread->name_end = 0;
        }
    }
}

bool
make_holes(Scanner *scanner, int fd, uint64_t written)
{
    uint64_t begin = scanner->given_back ? scanner->given_back : scanner->decoder.header_end;
    uint64_t end = decoder_offset(&scanner->decoder);
    if (written < MAPPED || is_needed(scanner)) {
        return true;
    }
    if (end > written - MAPPED) {
        end = written - MAPPED;
    }
    if (end < begin + LEAST_GAIN) {
        return true;
    }
    /* Even if making them fails in the middle. */
    scanner->given_back = end;
    forget_names(scanner);
    const StackTree *tree = &scanner->tree;
    bool made = true;
    for (size_t i = 0; made && i < tree->n_codes && tree->codes[i].begin < end; i++) {
        if (tree->codes[i].end > begin) { /* it may lie across the end of the last part */
            made = make_hole(fd, begin, tree->codes[i].begin);
            begin = tree->codes[i].end;
        }
    }
    return made && make_hole(fd, begin, end);
}

#else

bool
make_holes(Scanner *scanner, int fd, uint64_t written)
{
    (void)scanner;
    (void)fd;
    (void)written;
    return false;
}

#endif

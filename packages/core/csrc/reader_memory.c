#define _GNU_SOURCE
#include "reader_memory.h"

#include <stdlib.h>

#ifdef __linux__

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Small pieces have a power of two as their length and are cut from chunks; larger ones are mapped
 * each on their own. */
enum {
    LEAST_BITS = 6,
    MOST_BITS = 19,
    CHUNK = 1 << 18,
    PAGE = 1 << 16, /* the largest that a Linux has */
};

/* Before each piece. */
typedef struct {
    _Alignas(max_align_t) size_t length; /* with the header */
} Header;

typedef struct Free {
    struct Free *next;
} Free;

static struct {
    atomic_flag locked; /* for a few instructions at a time, or a system call */
    Free *free[MOST_BITS + 1];
    unsigned char *chunk;
    size_t chunk_left;
    size_t taken;
} all = {.locked = ATOMIC_FLAG_INIT};

static void
lock(void)
{
    while (atomic_flag_test_and_set_explicit(&all.locked, memory_order_acquire)) {
        sched_yield();
    }
}

static void
unlock(void)
{
    atomic_flag_clear_explicit(&all.locked, memory_order_release);
}

/* NULL: no memory. */
static void *
map(size_t length)
{
    /* A table that has become larger is used everywhere, and a page costs less now than when it is
     * used for the first time. */
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    long address = syscall(SYS_mmap, NULL, length, PROT_READ | PROT_WRITE, flags, -1, 0L);
    if (address == -1) {
        return NULL;
    }
    all.taken += length;
    return (void *)address;
}

static void *
map_again(void *begin, size_t length, size_t new_length)
{
    long address = syscall(SYS_mremap, begin, length, new_length, MREMAP_MAYMOVE);
    if (address == -1) {
        return NULL;
    }
    all.taken += new_length - length;
    return (void *)address;
}

/* Return the length of a piece with its header; 0: too much. */
static size_t
length_for(size_t size)
{
    if (size > PTRDIFF_MAX / 2) {
        return 0;
    }
    size_t least = size + sizeof(Header);
    if (least > (size_t)1 << MOST_BITS) {
        return (least + PAGE - 1) / PAGE * PAGE;
    }
    size_t length = (size_t)1 << LEAST_BITS;
    while (length < least) {
        length *= 2;
    }
    return length;
}

static bool
is_small(size_t length)
{
    return length <= (size_t)1 << MOST_BITS;
}

static Free **
free_pieces(size_t length)
{
    return &all.free[__builtin_ctzl(length)];
}

static void *
cut_from_chunk(size_t length)
{
    if (length > CHUNK / 4) {
        return map(length);
    }
    if (all.chunk_left < length) {
        unsigned char *chunk = map(CHUNK);
        if (!chunk) {
            return NULL;
        }
        all.chunk = chunk;
        all.chunk_left = CHUNK;
    }
    all.chunk_left -= length;
    return all.chunk + all.chunk_left;
}

/* Return a piece; `is_new` if it is all zeros. */
static void *
take(size_t size, bool *is_new)
{
    size_t length = length_for(size);
    if (!length) {
        return NULL;
    }
    lock();
    Free *piece = is_small(length) ? *free_pieces(length) : NULL;
    *is_new = !piece;
    Header *header;
    if (piece) {
        *free_pieces(length) = piece->next;
        header = (Header *)(void *)piece - 1;
    } else {
        header = is_small(length) ? cut_from_chunk(length) : map(length);
    }
    unlock();
    if (!header) {
        return NULL;
    }
    header->length = length;
    return header + 1;
}

void *
reader_malloc(size_t size)
{
    bool ignored;
    return take(size, &ignored);
}

void *
reader_calloc(size_t n, size_t size)
{
    size_t n_bytes;
    bool is_new;
    if (__builtin_mul_overflow(n, size, &n_bytes)) {
        return NULL;
    }
    void *piece = take(n_bytes, &is_new);
    return piece && !is_new ? memset(piece, 0, n_bytes) : piece;
}

void
reader_free(void *piece)
{
    if (!piece) {
        return;
    }
    Header *header = (Header *)piece - 1;
    size_t length = header->length;
    lock();
    if (is_small(length)) {
        Free **pieces = free_pieces(length);
        *(Free *)piece = (Free){*pieces};
        *pieces = piece;
    } else {
        all.taken -= length;
        syscall(SYS_munmap, header, length);
    }
    unlock();
}

void *
reader_realloc(void *piece, size_t size)
{
    if (!piece) {
        return reader_malloc(size);
    }
    Header *header = (Header *)piece - 1;
    size_t length = header->length;
    size_t new_length = length_for(size);
    if (!new_length || new_length == length) {
        return new_length ? piece : NULL;
    }
    if (!is_small(length) && !is_small(new_length)) {
        lock();
        header = map_again(header, length, new_length);
        unlock();
        if (!header) {
            return NULL;
        }
        header->length = new_length;
        return header + 1;
    }
    void *other = reader_malloc(size);
    if (other) {
        size_t old_size = length - sizeof(Header);
        memcpy(other, piece, old_size < size ? old_size : size);
        reader_free(piece);
    }
    return other;
}

size_t
reader_memory_taken(void)
{
    lock();
    size_t taken = all.taken;
    unlock();
    return taken;
}

#else

void *
reader_malloc(size_t size)
{
    return malloc(size);
}

void *
reader_calloc(size_t n, size_t size)
{
    return calloc(n, size);
}

void *
reader_realloc(void *piece, size_t size)
{
    return realloc(piece, size);
}

void
reader_free(void *piece)
{
    free(piece);
}

size_t
reader_memory_taken(void)
{
    return 0;
}

#endif

/* The format of the captures of memray 1.20; no other file knows it.
 *
 * A capture of FileFormat.ALL_ALLOCATIONS with header version 13, as memray describes it in its
 * records.h, record_writer.cpp and record_reader.cpp. Pure C; no Python.
 *
 * The header: numbers are in the byte order of the machine, and a string ends with a zero byte.
 *
 *     char magic[7]               "memray" and a zero byte
 *     int version                 CAPTURE_VERSION
 *     int python_version          PY_VERSION_HEX
 *     bool native_traces
 *     unsigned char format        ALL_ALLOCATIONS
 *     size_t n_allocations        written at the end, like the two times
 *     size_t n_frames
 *     long long start_time, end_time    in milliseconds
 *     string command_line
 *     int pid
 *     unsigned long main_tid
 *     size_t n_skipped            outermost frames of that thread that readers leave out
 *     unsigned char python_allocator
 *     bool trace_python_allocators, object_lifetimes
 *     string stdlib
 *     strings site_packages, sys_path    each list ends with an empty string
 *
 * A record begins with its token, a byte. A varint has seven bits in each byte, the lowest first, and
 * the highest bit in all but the last byte. A delta is the difference to the last number of its kind,
 * zigzag, as a varint: for 0, -1, 1, -2 it is 0, 1, 2, 3.
 *
 *     FILLER                not written yet; memray fills the file with zeros in advance
 *     TRAILER               the end
 *     MEMORY_RECORD         varint rss, varint milliseconds since the beginning
 *     NATIVE_TRACE_INDEX    the next native frame: delta of its instruction's address, delta of the
 *                           number of its caller, as one of native stacks; they count from 1
 *     MEMORY_MAP_START      the loaded shared libraries follow:
 *     SEGMENT_HEADER        string filename, varint n_segments, uintptr_t address
 *     SEGMENT               uintptr_t address, varint size
 *     THREAD_RECORD         string name of the thread
 *     CONTEXT_SWITCH        unsigned long tid: the next records belong to this thread
 *     CODE_OBJECT           varint id, string function, string filename, delta of the first line,
 *                           varint length of the line table, its bytes (line_table.h)
 *     FRAME_POP | n - 1     the thread's n innermost frames are popped
 *     OBJECT_RECORD | pointer << 1 | created
 *                           delta of the pointer if it is not a recent one; with native_traces, for an
 *                           object that is created: delta of the number of the native stack
 *     FRAME_PUSH | is_entry_frame
 *                           varint id of the code object, zigzag varint: the offset of the
 *                           instruction in bytes, negative for unknown
 *     ALLOCATION | pointer << 3 | allocator
 *                           delta of the pointer if it is not a recent one; a byte for the allocator
 *                           if it is 0 in the token; unless it frees: delta of the number of the
 *                           native stack with native_traces, varint size
 *
 * A pointer is the number of a recent one, 0 for the last added one, or NOT_RECENT: then it is divided
 * by eight and written as a delta, and replaces the oldest of the recent ones.
 */
#ifndef MEMBUDGET_CAPTURE_FORMAT_H
#define MEMBUDGET_CAPTURE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    CAPTURE_VERSION = 13,
    ALL_ALLOCATIONS = 0,
    MAGIC_LENGTH = 7,
};

/* The positions of header fields that a writer changes; for the two of the main thread see
 * `main_tid_offset` of the decoder. */
enum {
    N_ALLOCATIONS_OFFSET = MAGIC_LENGTH + 2 * sizeof(int) + 2,
    TIMES_OFFSET = N_ALLOCATIONS_OFFSET + 2 * sizeof(size_t),
};

/* Tokens; those from FRAME_POP on have numbers in their lower bits. */
typedef enum {
    FILLER = 0,
    TRAILER = 1,
    MEMORY_RECORD = 2,
    NATIVE_TRACE_INDEX = 5,
    MEMORY_MAP_START = 6,
    SEGMENT_HEADER = 7,
    SEGMENT = 8,
    THREAD_RECORD = 10,
    CONTEXT_SWITCH = 12,
    CODE_OBJECT = 14,
    FRAME_POP = 16,
    OBJECT_RECORD = 32,
    FRAME_PUSH = 64,
    ALLOCATION = 128,
} Token;

enum {
    N_RECENT_POINTERS = 15,
    NOT_RECENT = N_RECENT_POINTERS,
    POINTER_BITS = 15, /* a mask for the shifted number */
    ALLOCATOR_BITS = 7,
    POPPED_BITS = 15,
    POINTER_ALIGNMENT_BITS = 3,
};

/* memray.AllocatorType, as far as a reader has to distinguish them. */
enum {
    ALLOCATOR_PYMALLOC_FREE = 1,
    ALLOCATOR_FREE = 5,
    ALLOCATOR_MMAP = 14,
    ALLOCATOR_MUNMAP = 15,
    LAST_ALLOCATOR = ALLOCATOR_MUNMAP,
};

static inline bool
frees(unsigned char allocator)
{
    return allocator == ALLOCATOR_FREE || allocator == ALLOCATOR_PYMALLOC_FREE;
}

static inline bool
allocates(unsigned char allocator)
{
    return !frees(allocator) && allocator != ALLOCATOR_MUNMAP;
}

#endif

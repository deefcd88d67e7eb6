/* The records of a memray capture, one after the other.
 *
 * Knows the encoding of FileFormat.ALL_ALLOCATIONS with header version 13 (memray 1.20), which
 * memray describes in its record_writer.cpp and record_reader.cpp. Pure C; no Python.
 *
 * The file may still be written: memray fills it with zero bytes in advance and a zero byte where a
 * record would begin is the end for now. Nothing that was read ahead is kept from one call of
 * decoder_resume() to the next.
 */
#ifndef MEMBUDGET_CAPTURE_DECODER_H
#define MEMBUDGET_CAPTURE_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAPTURE_VERSION 13

/* memray.AllocatorType, as far as a reader has to tell them apart. */
enum {
    ALLOCATOR_PYMALLOC_FREE = 1,
    ALLOCATOR_FREE = 5,
    ALLOCATOR_MMAP = 14,
    ALLOCATOR_MUNMAP = 15,
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

/* One allocation record. Its index counts the allocation records before it, as memray's reader
 * does. */
typedef struct {
    uint64_t tid;
    uint64_t address;
    uint64_t size;
    uint64_t index;
    uint64_t offset; /* where the record begins in the file */
    unsigned char allocator;
} Record;

/* Where the number of a native stack is written: as the difference to the last one. */
typedef struct {
    uint64_t begin; /* in the file; 0 for nowhere */
    uint64_t end;
    uint64_t delta;
} NativeDelta;

typedef enum {
    DECODED,
    END_OF_DATA, /* nothing more has been written yet */
    DAMAGED,     /* no capture that this decoder knows */
} Decoded;

/* Told of every object that is created or destroyed, where the capture has them. */
typedef void (*ObjectSeen)(void *context, uint64_t tid, uint64_t address, bool created);

enum { POINTER_CACHE_SIZE = 15, DECODER_BUFFER_SIZE = 1 << 16 };

typedef struct {
    int fd;
    bool native_traces;
    bool object_lifetimes;
    uint64_t main_tid_offset; /* of a number in the header, see HeaderRecord in memray's records.h */
    /* What the encoding carries from record to record. */
    uint64_t tid;
    bool has_tid;
    uint64_t last_pointer;
    uint64_t pointers[POINTER_CACHE_SIZE];
    unsigned oldest_pointer; /* the cache is a ring */
    uint64_t next_index;
    ObjectSeen object_seen; /* NULL for nobody */
    void *object_context;
    /* With native traces: of the last allocation record, and of the first other record between it
     * and the one before. */
    NativeDelta native;
    NativeDelta native_before;
    /* The bytes at hand: file offset of buffer[0], and the part of it that is not yet decoded. */
    uint64_t offset;
    size_t position;
    size_t length;
    size_t chunk; /* how much to read next: little for a short look, more for a long way */
    unsigned char *buffer; /* DECODER_BUFFER_SIZE bytes */
} Decoder;

/* Begin with the capture's header. Returns DAMAGED for a header that is not of CAPTURE_VERSION or
 * not of a capture of all allocations. */
Decoded decoder_begin(Decoder *decoder, int fd, unsigned char *buffer);

/* Read the file anew from where decoding stands. */
void decoder_resume(Decoder *decoder);

/* Decode up to and with the next allocation record. */
Decoded decoder_next(Decoder *decoder, Record *record);

/* Make a copy that decodes ahead, with a buffer of its own, and tells nobody of objects. */
Decoder decoder_fork(const Decoder *decoder, unsigned char *buffer);

/* How many bytes of the file have been decoded. */
static inline uint64_t
decoder_offset(const Decoder *decoder)
{
    return decoder->offset + decoder->position;
}

#endif

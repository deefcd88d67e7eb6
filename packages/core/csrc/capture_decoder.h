/* Decodes the records of a memray capture one by one; capture_format.h describes their format.
 *
 * Pure C; no Python. The file may still be written: a zero byte where a record would begin is the
 * present end. Bytes that were read ahead are not kept from one decoder_resume() to the next. With a
 * `limit`, the decoder stops between two records, and can go on when the limit is higher.
 */
#ifndef MEMBUDGET_CAPTURE_DECODER_H
#define MEMBUDGET_CAPTURE_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture_format.h"

/* A record. Fields that its kind does not have are not changed. */
typedef struct {
    Token kind; /* ALLOCATION, OBJECT_RECORD, FRAME_PUSH, FRAME_POP, CODE_OBJECT, THREAD_RECORD,
                 * NATIVE_TRACE_INDEX or MEMORY_RECORD */
    unsigned char allocator;
    bool created;    /* of an object; it is destroyed otherwise */
    bool named;      /* of a thread: its name is not empty */
    bool is_entry;   /* of a frame: C code called it */
    uint32_t code;   /* the number of a code object */
    int32_t number;  /* of a code object: its first line; of a frame: the offset of its instruction */
    uint32_t n_frames; /* how many frames are popped */
    uint64_t tid;    /* its thread; not set for code objects and native frames */
    uint64_t address; /* of an allocation or an object; of a native frame: its instruction */
    uint64_t size;
    uint64_t native; /* with native traces: the number of an allocation's innermost native frame; the
                      * number of the caller of a native frame; 0 for none */
    uint64_t native_offset; /* of an allocation: where that number is in the file */
    uint64_t index; /* counts the allocation records before it, as memray's reader does */
    uint64_t offset; /* where the record begins in the file */
} Record;

typedef enum {
    DECODED,
    END_OF_DATA, /* nothing more has been written yet */
    DAMAGED,     /* not a capture that this decoder knows */
} Decoded;

enum { DECODER_BUFFER_SIZE = 1 << 16 };

#define NO_LIMIT UINT64_MAX

typedef struct {
    int fd;
    bool native_traces;
    bool object_lifetimes;
    uint64_t main_tid_offset; /* of a number in the header */
    uint64_t header_end;
    /* The state of the encoding, from record to record. */
    uint64_t tid;
    bool has_tid;
    int32_t first_line;
    uint64_t last_pointer;
    uint64_t pointers[N_RECENT_POINTERS];
    unsigned oldest_pointer; /* the pointers are a ring */
    uint64_t next_index;
    uint64_t last_native;
    uint64_t last_instruction;
    /* The records of the shared libraries that were loaded last, with native traces. */
    uint64_t map_begin;
    uint64_t map_end;
    /* The loaded bytes: file offset of buffer[0], and the part of it that is not yet decoded. */
    uint64_t offset;
    size_t position;
    size_t length;
    uint64_t limit; /* where the part of the file ends that is complete; NO_LIMIT: unknown */
    size_t chunk; /* how much to read next: little at first, more in a long scan */
    unsigned char *buffer; /* DECODER_BUFFER_SIZE bytes */
} Decoder;

/* Begin with the capture's header. Returns DAMAGED for a header that is not of CAPTURE_VERSION or
 * not of a capture of all allocations. */
Decoded decoder_begin(Decoder *decoder, int fd, unsigned char *buffer);

/* Read the file again from the present position. */
void decoder_resume(Decoder *decoder);

/* Decode the next record whose kind Record has. */
Decoded decoder_next(Decoder *decoder, Record *record);

/* Decode up to and including the next allocation record. */
Decoded decoder_next_allocation(Decoder *decoder, Record *record);

/* Make a copy that decodes ahead, with its own buffer and the same limit. */
Decoder decoder_fork(const Decoder *decoder, unsigned char *buffer);

/* How many bytes of the file have been decoded. */
static inline uint64_t
decoder_offset(const Decoder *decoder)
{
    return decoder->offset + decoder->position;
}

/* Read up to `n` bytes of a file from `offset` on; `n_read` is less if the file ends. False: errno is
 * set. */
bool read_at(int fd, void *bytes, size_t n, uint64_t offset, size_t *n_read);

/* The content of a code object record; its parts point into `bytes`. */
typedef struct {
    unsigned char *bytes;
    const char *function; /* ends with a zero byte, like filename */
    const char *filename;
    const unsigned char *lines; /* see line_table.h */
    size_t n_lines;
} CodeText;

/* Read the code object record from `begin` up to `end`. Returns DAMAGED if it is not there, or if
 * there is no memory; then `bytes` is NULL. The caller frees `bytes`. */
Decoded decoder_read_code(int fd, uint64_t begin, uint64_t end, CodeText *text);

#endif

/* The records of a memray capture, one after the other; capture_format.h says how they are written.
 *
 * Pure C; no Python. The file may still be written: a zero byte where a record would begin is the end
 * for now. Nothing that was read ahead is kept from one call of decoder_resume() to the next.
 */
#ifndef MEMBUDGET_CAPTURE_DECODER_H
#define MEMBUDGET_CAPTURE_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture_format.h"

/* A record. What its kind does not have is left as it was. */
typedef struct {
    Token kind; /* ALLOCATION, OBJECT_RECORD, FRAME_PUSH, FRAME_POP, CODE_OBJECT or THREAD_RECORD */
    unsigned char allocator;
    bool created;    /* of an object; it is destroyed otherwise */
    bool named;      /* of a thread: its name is not empty */
    uint32_t code;   /* the number of a code object */
    int32_t number;  /* of a code object: its first line; of a frame: the offset of its instruction */
    uint32_t n_frames; /* how many frames are popped */
    uint64_t tid;    /* of all but code objects, which are nobody's */
    uint64_t address; /* of an allocation or an object */
    uint64_t size;
    uint64_t index; /* counts the allocation records before it, as memray's reader does */
    uint64_t offset; /* where the record begins in the file */
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

enum { DECODER_BUFFER_SIZE = 1 << 16 };

typedef struct {
    int fd;
    bool native_traces;
    bool object_lifetimes;
    uint64_t main_tid_offset; /* of a number in the header */
    /* What the encoding carries from record to record. */
    uint64_t tid;
    bool has_tid;
    int32_t first_line;
    uint64_t last_pointer;
    uint64_t pointers[N_RECENT_POINTERS];
    unsigned oldest_pointer; /* they are a ring */
    uint64_t next_index;
    /* With native traces: of the last allocation record, and of the first other record between it
     * and the one before. */
    NativeDelta native;
    NativeDelta native_before;
    bool between; /* no record has been read since the last allocation record */
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

/* Decode the next record that has a kind of its own in Record. */
Decoded decoder_next(Decoder *decoder, Record *record);

/* Decode up to and with the next allocation record. */
Decoded decoder_next_allocation(Decoder *decoder, Record *record);

/* Make a copy that decodes ahead, with a buffer of its own. */
Decoder decoder_fork(const Decoder *decoder, unsigned char *buffer);

/* How many bytes of the file have been decoded. */
static inline uint64_t
decoder_offset(const Decoder *decoder)
{
    return decoder->offset + decoder->position;
}

/* Read up to `n` bytes of a file from `offset` on; `n_read` is less where the file ends. False: errno
 * says why not. */
bool read_at(int fd, void *bytes, size_t n, uint64_t offset, size_t *n_read);

/* What a code object record says; its parts point into `bytes`. */
typedef struct {
    unsigned char *bytes;
    const char *function; /* ended by a zero byte, as the other is */
    const char *filename;
    const unsigned char *lines; /* see line_table.h */
    size_t n_lines;
} CodeText;

/* Read the code object record that is written from `begin` up to `end`. DAMAGED when it is not there,
 * or there is no memory: `bytes` is NULL then. The caller frees `bytes`. */
Decoded decoder_read_code(int fd, uint64_t begin, uint64_t end, CodeText *text);

#endif

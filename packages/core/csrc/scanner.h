/* The figures of blocks, read from the capture that memray is still writing.
 *
 * Follows the records of a capture, finds the marks in them (marks.py says what a mark is) and keeps
 * the books of every open block, in one pass: each scan goes on where the last one stopped. The
 * rules are those of accounting.py; tests hold the two against each other. Pure C; no Python.
 */
#ifndef MEMBUDGET_SCANNER_H
#define MEMBUDGET_SCANNER_H

#include "capture_decoder.h"
#include "live_memory.h"

enum {
    SIGNATURE_LENGTH = 3,
    MARK_LENGTH = 6, /* how many objects make a mark */
    HISTOGRAM_LENGTH = 65,
};

/* How marks are spelled; see Alphabet in marks.py. */
typedef struct {
    uint64_t signature[SIGNATURE_LENGTH];
    uint64_t smallest; /* the length that stands for zero */
    uint64_t n_digits;
    uint64_t least_overhead;
    uint64_t most_overhead;
} Spelling;

typedef enum { START, END, PAUSE, RESUME, SUSPEND, CONTINUE, N_KINDS } MarkKind;

typedef struct {
    MarkKind kind;
    uint64_t serial;
    uint64_t first; /* the index of its first record */
    uint64_t last;  /* and of its last one */
} Mark;

typedef enum { EXPECTED, OPEN, CLOSED } BlockState;

/* Epochs in which a block counts nothing. */
typedef struct {
    uint32_t first;
    uint32_t behind; /* the first one behind them; UINT32_MAX while they last */
} Suspension;

typedef struct {
    uint64_t serial;
    BlockState state;
    bool thread_only;
    bool interrupted; /* not everything in it could be counted; see locate() in accounting.py */
    uint32_t epoch;   /* counts what has this epoch or a later one */
    uint32_t thread;  /* the one that opened it */
    uint64_t start_index; /* the first record of its START mark */
    uint64_t end_index;   /* the first record of its END mark */
    uint64_t alive;
    uint64_t peak;
    uint64_t total;
    uint64_t n_allocations;
    uint64_t histogram[HISTOGRAM_LENGTH]; /* by bit length of the size */
    uint64_t peak_index; /* the record that reached the peak; none if n_allocations is 0 */
    uint32_t n_suspended; /* how many suspensions overlap now */
    Suspension *suspensions; /* in their order; they do not overlap */
    size_t n_suspensions;
} Block;

typedef struct {
    uint64_t tid;
    bool at_work; /* for membudget: what it allocates counts nowhere */
    bool was_at_work; /* before `mark` */
    bool in_mark; /* `mark` has begun, and ends with its last record */
    Mark mark;
} Thread;

typedef enum {
    SCANNED,
    INCOMPLETE,    /* the mark that was looked for is not there */
    BROKEN,        /* the capture is damaged, or no memory is left; nothing can be read any more */
} Scanned;

typedef struct {
    Spelling spelling;
    Decoder decoder;
    bool broken;
    Thread *threads;
    size_t n_threads;
    size_t current; /* the thread of the last record */
    Block *blocks;
    size_t n_blocks;
    size_t n_open;
    uint32_t epoch;
    uint64_t idle_bytes; /* how much of the capture was written while no block was open */
    Allocations allocations;
    Mappings mappings;
    Allocations objects; /* that open blocks count; where scanner_track_objects() was called */
    unsigned char buffer[DECODER_BUFFER_SIZE];
    unsigned char ahead[DECODER_BUFFER_SIZE];
} Scanner;

/* False: no capture that can be read; scanner_clear() is to be called all the same. */
bool scanner_begin(Scanner *, int fd, const Spelling *);

void scanner_clear(Scanner *);

/* Take note of objects from here on; for a capture that is written no more. */
void scanner_track_objects(Scanner *);

/* Keep the books of a block whose START mark is still to come. False: no memory. */
bool scanner_expect(Scanner *, uint64_t serial, bool thread_only);

void scanner_forget(Scanner *, uint64_t serial);

/* Scan up to the END mark of a block; `block` is its books, until the next call. */
Scanned scanner_close_block(Scanner *, uint64_t serial, const Block **block);

/* Scan one record. */
Scanned scanner_step(Scanner *, Record *);

/* Whether the block counts the record that was scanned last. */
bool scanner_counted(const Scanner *, const Block *, const Record *);

/* Scan up to and with the record `index`. */
Scanned scanner_scan_to(Scanner *, uint64_t index);

/* Whether the open block counts what comes from there. */
bool block_counts(const Block *, Origin);

Block *scanner_block(Scanner *, uint64_t serial);

#endif

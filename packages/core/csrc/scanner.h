/* The figures and the stacks of blocks, read from the capture that memray is still writing.
 *
 * Follows the records of a capture, finds the marks in them (marks.py says what a mark is) and keeps
 * the books of every open block, in one pass: each scan goes on where the last one stopped. The
 * rules are written down in accounting.py, and only there; tests hold the two against each other.
 *
 * Which stacks count in a block that filters them, the caller says: once for each stack. Pure C; no
 * Python.
 */
#ifndef MEMBUDGET_SCANNER_H
#define MEMBUDGET_SCANNER_H

#include "block_stacks.h"
#include "capture_decoder.h"
#include "live_memory.h"
#include "stack_tree.h"

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

/* What another thread than the block's has allocated without a stack, though it had one before. */
typedef struct {
    size_t thread;
    uint64_t n_bytes;
} WithoutStack;

/* Epochs in which a block counts nothing. */
typedef struct {
    uint32_t first;
    uint32_t behind; /* the first one behind them; UINT32_MAX while they last */
} Suspension;

/* How much of stacks a block is to know. */
typedef enum {
    FIGURES_ONLY,
    KEEPS_STACKS, /* what each stack has alive, and had at the peak */
    FILTERS_STACKS, /* that too; and it counts only the stacks that the caller says */
} StackUse;

typedef struct {
    uint64_t serial;
    BlockState state;
    StackUse stack_use;
    bool thread_only;
    bool has_begun; /* with the first record of its START mark; it is open after the last one */
    bool lost_stacks; /* memray has lost some; see lost_stacks.py */
    bool interrupted; /* not everything in it could be counted; see locate() in accounting.py */
    uint32_t epoch;   /* counts what has this epoch or a later one */
    uint32_t thread;  /* the one that opened it */
    uint32_t start_node; /* the stack of the first record of its START mark */
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
    BlockStacks stacks;
    WithoutStack *without_stack;
    size_t n_without_stack;
} Block;

typedef struct {
    uint64_t tid;
    uint64_t behind; /* the index after that of its last record */
    bool at_work; /* for membudget: what it allocates counts nowhere */
    bool was_at_work; /* before `mark` */
    bool in_mark; /* `mark` has begun, and ends with its last record */
    bool named;
    bool had_stack; /* at an allocation */
    CallStack stack;
    Mark mark;
} Thread;

typedef enum {
    SCANNED,
    INCOMPLETE,    /* the mark that was looked for is not there */
    ASKS,          /* scanner_answer() has to say first whether a stack counts */
    BROKEN,        /* the capture is damaged, or no memory is left; nothing can be read any more */
} Scanned;

/* Whether a block counts a stack. */
typedef struct {
    uint64_t serial;
    uint32_t node;
    bool is_other; /* of another thread than the block's */
} Question;

typedef struct {
    Spelling spelling;
    Decoder decoder;
    bool broken;
    bool no_memory; /* why it is broken */
    Thread *threads;
    size_t n_threads;
    size_t current; /* the thread of the last record */
    bool is_waiting; /* for the answer to `question` */
    Question question;
    Record waiting; /* the record that it is about, which comes next */
    StackTree tree;
    size_t n_keeping_stacks; /* how many blocks do that have begun, and not ended */
    Block *blocks;
    size_t n_blocks;
    size_t n_open;
    uint32_t epoch;
    uint64_t idle_bytes; /* how much of the capture was written while no block was open */
    uint64_t *running; /* serials of the blocks between their marks, expected or not */
    size_t n_running;
    /* What was made since a block runs. What no block counts is there as well, with epoch 0. */
    Allocations allocations;
    Mappings mappings;
    /* Frees that are late: the index of the record that showed it as `size`, their number as `node`. */
    Allocations owed;
    bool tracks_objects;
    Allocations objects; /* that open blocks count, where they are tracked */
    unsigned char buffer[DECODER_BUFFER_SIZE];
    unsigned char ahead[DECODER_BUFFER_SIZE];
} Scanner;

/* False: no capture that can be read; scanner_clear() is to be called all the same. */
bool scanner_begin(Scanner *, int fd, const Spelling *);

void scanner_clear(Scanner *);

/* Take note of objects from here on; for a capture that is written no more. */
void scanner_track_objects(Scanner *);

/* Keep the books of a block whose START mark is still to come. False: no memory. */
bool scanner_expect(Scanner *, uint64_t serial, bool thread_only, StackUse);

void scanner_forget(Scanner *, uint64_t serial);

/* Scan up to the END mark of a block; `block` is its books, until the next call. Call it again after
 * ASKS. */
Scanned scanner_close_block(Scanner *, uint64_t serial, const Block **block);

/* Answer `question` of a scanner that asks. */
void scanner_answer(Scanner *, bool counts);

/* Scan up to and with the next allocation record. */
Scanned scanner_step(Scanner *, Record *);

/* Whether the block counts the record that was scanned last. */
bool scanner_counted(const Scanner *, const Block *, const Record *);

/* Whether the open block counts what comes from there. */
bool block_counts(const Block *, const Origin *);

Block *scanner_block(Scanner *, uint64_t serial);

#endif

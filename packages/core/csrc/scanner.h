/* The figures and the stacks of blocks, read from the capture that memray is still writing.
 *
 * Follows the records of a capture, finds the marks in them (marks.py explains marks) and counts for
 * every open block, in one pass: each scan continues where the last one stopped. Only accounting.py
 * describes the rules; tests compare the two.
 *
 * If a block filters stacks, the caller decides once for each stack whether it counts. Pure C; no
 * Python.
 */
#ifndef MEMBUDGET_SCANNER_H
#define MEMBUDGET_SCANNER_H

#include "block_stacks.h"
#include "capture_decoder.h"
#include "curve.h"
#include "live_memory.h"
#include "native_frames.h"
#include "stack_tree.h"

enum {
    SIGNATURE_LENGTH = 3,
    MARK_LENGTH = 6, /* how many objects make a mark */
    HISTOGRAM_LENGTH = 65,
};

/* How marks are encoded; see Alphabet in marks.py. */
typedef struct {
    uint64_t signature[SIGNATURE_LENGTH];
    uint64_t smallest; /* the length that encodes zero */
    uint64_t n_digits;
    uint64_t least_overhead;
    uint64_t most_overhead;
} Spelling;

typedef enum { START, END, PAUSE, RESUME, SUSPEND, CONTINUE, LOOK, N_KINDS } MarkKind;

typedef struct {
    MarkKind kind;
    uint64_t serial;
    uint64_t first; /* the index of its first record */
    uint64_t last;  /* the index of its last record */
} Mark;

typedef enum { EXPECTED, OPEN, CLOSED } BlockState;

/* What another thread than the block's has allocated without a stack, although it had one before. */
typedef struct {
    size_t thread;
    uint64_t n_bytes;
} WithoutStack;

/* Epochs in which a block counts nothing. */
typedef struct {
    uint32_t first;
    uint32_t behind; /* the first one after them; UINT32_MAX while they last */
} Suspension;

/* How a block uses stacks. */
typedef enum {
    FIGURES_ONLY,
    KEEPS_STACKS, /* counts what is alive, and was at the peak, by stack */
    FILTERS_STACKS, /* the same, but counts only the stacks that the caller accepts */
} StackUse;

typedef struct {
    uint64_t tid;
    uint64_t behind; /* the index after its last record */
    uint64_t name_begin; /* where the record of its name is; 0 for none */
    uint64_t name_end;
    bool at_work; /* it does membudget's work, which no block counts */
    bool was_at_work; /* the value of at_work before `mark` */
    bool in_mark; /* the last record was inside `mark` */
    bool named;
    bool had_stack; /* an allocation had a stack */
    CallStack stack;
    Mark mark;
} Thread;

/* The state of the scanner after the START mark of a block, from which the block is read again. */
typedef struct {
    Decoder decoder; /* without a buffer */
    Thread *threads;
    size_t n_threads;
    size_t current;
} Beginning;

typedef struct {
    uint64_t serial;
    BlockState state;
    StackUse stack_use;
    bool thread_only;
    bool can_be_written; /* it keeps its `beginning` */
    Beginning *beginning; /* NULL before the end of its START mark */
    int64_t expected_ms; /* the time of scanner_expect(), in milliseconds since 1970 */
    bool has_begun; /* true from the first record of its START mark on; it is open after the last one */
    bool lost_stacks; /* memray has lost some, see lost_stacks.py */
    bool interrupted; /* not everything in it was counted; see locate() in accounting.py */
    uint32_t epoch;   /* it counts memory of this epoch or later */
    uint32_t thread;  /* the thread that opened it */
    uint32_t start_node; /* the stack of the first record of its START mark */
    uint64_t start_index; /* the first record of its START mark */
    uint64_t end_index;   /* the first record of its END mark */
    uint64_t alive;
    uint64_t peak;
    uint64_t total;
    uint64_t n_allocations;
    uint64_t histogram[HISTOGRAM_LENGTH]; /* by bit length of the size */
    uint64_t begin_ms; /* the time of scanner_expect(), of the clock of ticks */
    uint64_t recent_peak; /* since the last tick in it */
    Curve *curve; /* of a block that keeps stacks; NULL before the first tick in it */
    uint64_t peak_index; /* the record that reached the peak; none if n_allocations is 0 */
    uint64_t n_looks; /* how many of its LOOK marks were scanned */
    uint64_t alive_at_look; /* at the last of them */
    uint64_t n_seen; /* for how many of them scanner_look() has returned */
    uint32_t n_suspended; /* how many suspensions overlap now */
    Suspension *suspensions; /* in order, without overlaps */
    size_t n_suspensions;
    BlockStacks stacks;
    WithoutStack *without_stack;
    size_t n_without_stack;
} Block;

typedef enum {
    SCANNED,
    INCOMPLETE,    /* the mark was not found */
    ASKS,          /* call scanner_answer() first: does a stack count? */
    BROKEN,        /* the capture is damaged, or there is no memory; no more reading is possible */
} Scanned;

/* What the scanner needs in the middle of a record. */
typedef enum {
    NOTHING,
    AN_ANSWER,      /* to `question` */
    MORE_OF_A_MARK, /* the record may begin a mark whose end is beyond the decoder's limit */
} Awaited;

/* Whether a block counts a stack. */
typedef struct {
    uint64_t serial;
    uint32_t node;
    bool is_other; /* it is of another thread than the block's */
} Question;

/* When a part of the capture was written. */
typedef struct {
    uint64_t offset; /* where it ends */
    uint64_t first_ms; /* when it was seen first */
    uint64_t last_ms; /* when nothing was written behind it yet */
} Tick;

enum { MOST_TICKS = 2048 };

/* Ticks that were not scanned yet, in order. */
typedef struct {
    Tick *ticks; /* MOST_TICKS of them; NULL before the first one */
    size_t n_ticks;
    size_t n_passed; /* how many of them have been scanned */
    uint64_t least_ms; /* between two of them, since some were forgotten */
} Ticks;

typedef struct {
    Spelling spelling;
    Decoder decoder;
    bool broken;
    bool no_memory; /* why it is broken */
    bool is_again; /* see scanner_begin_again(): another scanner has the code objects and so on */
    Thread *threads;
    size_t n_threads;
    size_t current; /* the thread of the last record */
    Awaited awaited;
    Question question;
    Record waiting; /* the record to which it goes back when `awaited` is there */
    StackTree tree;
    NativeFrames native;
    size_t n_keeping_stacks; /* how many blocks that keep stacks have begun and not ended */
    Block *blocks;
    size_t n_blocks;
    size_t n_open;
    uint32_t epoch;
    uint64_t given_back; /* the capture is no longer whole up to here; see capture_holes.h */
    Ticks ticks;
    uint64_t closed_ms; /* when scanner_close_block() was called last */
    uint64_t idle_bytes; /* how much of the capture was written while no block was open */
    uint64_t *running; /* serials of the blocks between their marks, expected or not */
    size_t n_running;
    /* What was allocated since a block runs. What no block counts has epoch 0. */
    Allocations allocations;
    Mappings mappings;
    Origins origins; /* of `allocations` and `objects` */
    /* Late frees: `size` is the index of the record that showed the last one, `origin` their number. */
    Allocations owed;
    bool tracks_objects;
    Allocations objects; /* of open blocks, if objects are tracked */
    unsigned char buffer[DECODER_BUFFER_SIZE];
    unsigned char ahead[DECODER_BUFFER_SIZE];
} Scanner;

/* False: the capture cannot be read. Call scanner_clear() in any case. */
bool scanner_begin(Scanner *, int fd, const Spelling *);

void scanner_clear(Scanner *);

/* Track objects from here on. For a complete capture. */
void scanner_track_objects(Scanner *);

/* Begin to scan one block of another scanner again, for its records and not for its figures; the block
 * has a `beginning`. False: no memory. Call scanner_clear() in any case. */
bool scanner_begin_again(Scanner *, const Scanner *from, const Block *);

/* Count for a block whose START mark is still to come. False: no memory.
 *
 * `can_be_written`: block_writer.h can write it after it has ended. */
bool scanner_expect(Scanner *, uint64_t serial, bool thread_only, StackUse, bool can_be_written);

void scanner_forget(Scanner *, uint64_t serial);

/* Scan up to the END mark of a block; `block` is valid until the next call. After ASKS, call it
 * again. */
Scanned scanner_close_block(Scanner *, uint64_t serial, const Block **block);

/* Scan up to the next LOOK mark of an open block, if it was not scanned yet. Otherwise like
 * scanner_close_block(). */
Scanned scanner_look(Scanner *, uint64_t serial, const Block **block);

/* Answer `question` of a scanner that asks. */
void scanner_answer(Scanner *, bool counts);

/* Scan the records before `limit`, where the part of the file ends that is complete.
 *
 * INCOMPLETE: continue with a higher limit. ASKS: only scanner_close_block() and scanner_look() go on. */
Scanned scanner_follow(Scanner *, uint64_t limit);

/* Milliseconds of a clock that never goes back. */
uint64_t clock_ms(void);

/* Note that at a time, the capture was written up to an offset; neither goes back. Does nothing if
 * there is no memory. */
void scanner_tick(Scanner *, uint64_t offset, uint64_t time_ms);

/* Scan the next record. */
Scanned scanner_step(Scanner *, Record *);

/* Whether the one block of a scanner counts the record that was scanned last. */
bool scanner_counted(const Scanner *, const Record *);

/* Whether the open block counts memory of this origin. */
bool block_counts(const Block *, const Origin *);

Block *scanner_block(const Scanner *, uint64_t serial);

#endif

#define _GNU_SOURCE
#include "follower.h"

bool
identify(CaptureFile *file, int fd)
{
    struct stat status;
    if (fstat(fd, &status)) {
        return false;
    }
    *file = (CaptureFile){fd, status.st_dev, status.st_ino, status.st_nlink > 0};
    return true;
}

#ifdef __linux__

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "capture_holes.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif

enum {
    BATCH = 1 << 16, /* how much it scans at a time */
    /* From the end of what is written. There, records may be incomplete: memcpy() may write the end of
     * a record first, and memray writes a record in several parts. */
    DISTANCE = 1 << 16,
    PROBE = 512, /* so many bytes are not all zeros, except after the end */
    STACK = 1 << 19,
    LAZY_MS = 20, /* how long it sleeps while little is written, */
    BUSY_MS = 2,  /* and while it follows */
    MOST_IDLE = 50, /* after so many sleeps with nothing to follow, it sleeps until it is called */
};

static struct {
    pthread_mutex_t lock; /* of all that is below; the thread holds it while it scans */
    pthread_cond_t called;
    bool has_thread;
    bool cannot_run;
    Scanner *scanner; /* NULL: nothing to follow */
    CaptureFile file;
    Following following;
    bool is_busy;      /* it has scanned a part of this capture */
    bool is_stuck;     /* it cannot scan further, and only notes the time */
    uint64_t written;  /* up to where the capture was written, */
    uint64_t noted_ms; /* at that time */
    uint64_t reach;    /* up to where it may scan next: more than BATCH if that was too little */
    int fd;            /* of the file, in the table of the thread; -1: none */
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER, .called = PTHREAD_COND_INITIALIZER, .fd = -1};

static atomic_int n_waiting; /* how many others wait for the lock: the thread lets them go first */
static atomic_uint_fast64_t followed;

static void
take_lock(void)
{
    atomic_fetch_add(&n_waiting, 1);
    pthread_mutex_lock(&shared.lock);
    atomic_fetch_sub(&n_waiting, 1);
}

static void
release_lock(void)
{
    pthread_mutex_unlock(&shared.lock);
}

static bool
is_file(const struct stat *status)
{
    bool has_name = status->st_nlink > 0;
    return status->st_dev == shared.file.device && status->st_ino == shared.file.inode
           && has_name == shared.file.has_name;
}

/* Open the capture in the table of this thread. False: its number belongs to another file by now. */
static bool
open_file(void)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), shared.file.fd);
    /* First without opening it, because opening a device can have effects. */
    if (stat(path, &status) || !is_file(&status)) {
        return false;
    }
    shared.fd = open(path, O_RDWR | O_CLOEXEC);
    return shared.fd >= 0 && !fstat(shared.fd, &status) && is_file(&status);
}

static void
close_file(void)
{
    if (shared.fd >= 0) {
        close(shared.fd);
        shared.fd = -1;
    }
}

/* Whether something is written around `offset`. Then everything before it is. */
static bool
is_written(uint64_t offset)
{
    static const unsigned char zeros[PROBE];
    unsigned char bytes[PROBE];
    size_t n;
    bool written = read_at(shared.fd, bytes, sizeof(bytes), offset, &n) && memcmp(bytes, zeros, n) != 0;
    atomic_thread_fence(memory_order_seq_cst);
    return written;
}

/* Return where the written part ends; everything before `begin` is written. */
static uint64_t
end_of_written(uint64_t begin)
{
    uint64_t low = begin;
    uint64_t high = begin + PROBE;
    if (!is_written(low)) {
        return begin;
    }
    while (is_written(high)) {
        uint64_t step = 2 * (high - begin);
        low = high;
        high = begin + step;
    }
    while (high - low > PROBE) {
        uint64_t middle = low + (high - low) / 2;
        if (is_written(middle)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    unsigned char bytes[PROBE];
    size_t n = 0;
    bool is_read = read_at(shared.fd, bytes, sizeof(bytes), low, &n);
    while (is_read && n && !bytes[n - 1]) {
        n--;
    }
    return low + n;
}

/* Note for curves up to where the capture is written now. */
static void
note_time(void)
{
    uint64_t now = clock_ms();
    if (now - shared.noted_ms >= LAZY_MS) {
        uint64_t scanned = decoder_offset(&shared.scanner->decoder);
        shared.written = end_of_written(shared.written > scanned ? shared.written : scanned);
        shared.noted_ms = now;
        scanner_tick(shared.scanner, shared.written, now);
    }
}

static Scanned
scan_up_to(uint64_t limit)
{
    Scanner *scanner = shared.scanner;
    int fd = scanner->decoder.fd;
    scanner->decoder.fd = shared.fd;
    Scanned scanned = scanner_follow(scanner, limit);
    scanner->decoder.fd = fd;
    atomic_store(&followed, decoder_offset(&scanner->decoder));
    return scanned;
}

/* Scan a batch if there is one. Returns whether there may be another one now. */
static bool
follow(void)
{
    Scanner *scanner = shared.scanner;
    uint64_t begin = decoder_offset(&scanner->decoder);
    uint64_t least = shared.is_busy ? 0 : shared.following.least_unread;
    uint64_t end = begin + shared.reach;
    uint64_t written = (end < begin + least ? begin + least : end) + DISTANCE;
    if (shared.fd < 0 && !open_file()) {
        shared.scanner = NULL;
        return false;
    }
    note_time();
    if (shared.is_stuck || !is_written(written)) {
        return false;
    }
    shared.is_busy = true;
    if (scan_up_to(end) != INCOMPLETE) {
        shared.is_stuck = true; /* it is broken, or has a question for Python */
        return false;
    }
    bool has_moved = decoder_offset(&scanner->decoder) > begin;
    shared.reach = has_moved ? BATCH : 2 * shared.reach;
    if (shared.following.gives_back) {
        shared.following.gives_back = make_holes(scanner, shared.fd, written);
    }
    return has_moved;
}

static void
sleep_ms(long milliseconds)
{
    nanosleep(&(struct timespec){0, milliseconds * 1000000}, NULL);
}

static void *
run(void *unused)
{
    (void)unused;
    /* A table of its own: the program may close all files, and must see the end of a pipe when it has
     * closed the other end. */
    bool can_run = !syscall(SYS_close_range, 0U, UINT_MAX, CLOSE_RANGE_UNSHARE);
    syscall(SYS_prctl, PR_SET_NAME, "membudget");
    for (int n_idle = 0; can_run;) {
        while (atomic_load(&n_waiting)) {
            sched_yield();
        }
        pthread_mutex_lock(&shared.lock);
        bool has_more = shared.scanner && follow();
        n_idle = shared.scanner ? 0 : n_idle + 1;
        if (!shared.scanner) {
            close_file();
        }
        if (n_idle > MOST_IDLE) {
            n_idle = 0;
            pthread_cond_wait(&shared.called, &shared.lock);
        }
        bool is_busy = shared.scanner && shared.is_busy && !shared.is_stuck;
        pthread_mutex_unlock(&shared.lock);
        if (!has_more) {
            sleep_ms(is_busy ? BUSY_MS : LAZY_MS);
        }
    }
    take_lock();
    shared.has_thread = false;
    shared.cannot_run = true;
    release_lock();
    return NULL;
}

static void
forget_thread(void)
{
    pthread_mutex_init(&shared.lock, NULL);
    pthread_cond_init(&shared.called, NULL);
    atomic_store(&n_waiting, 0);
    atomic_store(&followed, 0);
    shared.has_thread = false;
    shared.scanner = NULL;
    shared.fd = -1;
}

static bool
has_processor_for_it(void)
{
    cpu_set_t processors;
    return sched_getaffinity(0, sizeof(processors), &processors) || CPU_COUNT(&processors) > 1;
}

/* The thread inherits that all signals are blocked. */
static bool
create_thread(void)
{
    static bool is_registered;
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t every;
    sigset_t before;
    if (!is_registered && pthread_atfork(take_lock, release_lock, forget_thread)) {
        return false;
    }
    is_registered = true;
    if (pthread_attr_init(&attributes)) {
        return false;
    }
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    bool created = !pthread_attr_setstacksize(&attributes, STACK)
                   && !pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED)
                   && !pthread_create(&thread, &attributes, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return created;
}

bool
follower_start(void)
{
    take_lock();
    if (!shared.has_thread && !shared.cannot_run) {
        shared.has_thread = has_processor_for_it() && create_thread();
        shared.cannot_run = !shared.has_thread;
    }
    bool has_thread = shared.has_thread;
    release_lock();
    return has_thread;
}

void
follower_follow(Scanner *scanner, const CaptureFile *file, Following following)
{
    take_lock();
    if (shared.has_thread) {
        shared.scanner = scanner;
        shared.file = *file;
        shared.following = following;
        shared.is_busy = false;
        shared.is_stuck = false;
        shared.written = 0;
        shared.reach = BATCH;
        pthread_cond_signal(&shared.called);
    }
    release_lock();
}

void
follower_leave(const Scanner *scanner)
{
    take_lock();
    if (shared.scanner == scanner) {
        shared.scanner = NULL;
    }
    release_lock();
}

uint64_t
follower_offset(void)
{
    return atomic_load(&followed);
}

#else

bool
follower_start(void)
{
    return false;
}

void
follower_follow(Scanner *scanner, const CaptureFile *file, Following following)
{
    (void)scanner;
    (void)file;
    (void)following;
}

void
follower_leave(const Scanner *scanner)
{
    (void)scanner;
}

uint64_t
follower_offset(void)
{
    return 0;
}

#endif

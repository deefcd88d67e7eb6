/* A thread that scans a capture while memray is writing it.
 *
 * So at the end of a long block little is left to read. A process has one such thread, for the capture
 * that is being recorded. It keeps a distance from the end of what is written, and scans only while
 * nobody else uses the scanner: follower_follow() gives it the scanner, follower_leave() takes it back.
 * On Linux only, and only with two processors or more. Pure C; no Python.
 *
 * The program does not notice the thread, apart from its number of threads: the thread uses only
 * reader_memory.h, blocks all signals, and has its own table of open files, with only the capture in
 * it. A forked child does not have the thread; it can start its own.
 */
#ifndef MEMBUDGET_FOLLOWER_H
#define MEMBUDGET_FOLLOWER_H

#include <sys/stat.h>

#include "scanner.h"

/* A file that may be closed, and its number used for another one, at any time. */
typedef struct {
    int fd;
    dev_t device;
    ino_t inode;
    bool has_name;
} CaptureFile;

/* False: errno is set. */
bool identify(CaptureFile *, int fd);

/* Start the thread, unless it runs. To be called while no tracker runs: starting a thread allocates.
 * False: it cannot run here. */
bool follower_start(void);

typedef struct {
    uint64_t least_unread; /* begin when so many bytes have not been read */
    bool gives_back; /* free the parts of the file that nothing reads again; see capture_holes.h */
} Following;

/* Let the thread scan, until follower_leave(). Nobody else may use the scanner in the meantime. */
void follower_follow(Scanner *, const CaptureFile *, Following);

/* Take the scanner back. Waits until the thread has scanned what it has begun: 64 KiB at most. */
void follower_leave(const Scanner *);

/* How far the thread has scanned the capture that it follows, or followed last. */
uint64_t follower_offset(void);

#endif

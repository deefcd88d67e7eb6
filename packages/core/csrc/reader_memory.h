/* Memory for the readers, of which memray records nothing.
 *
 * memray records the calls of malloc(), mmap() and so on of all libraries, but no system calls that a
 * library makes itself. So on Linux this memory comes from such calls: a thread that reads a capture
 * while a block runs must not add to the block. Elsewhere it is malloc()'s.
 *
 * The functions are like those of the C library, and can be called by several threads. Pure C; no
 * Python. Up to twice as much is taken as was asked for; freed pieces of up to half a megabyte are kept
 * for the next ones.
 */
#ifndef MEMBUDGET_READER_MEMORY_H
#define MEMBUDGET_READER_MEMORY_H

#include <stddef.h>

void *reader_malloc(size_t size);

void *reader_calloc(size_t n, size_t size);

void *reader_realloc(void *piece, size_t size);

void reader_free(void *piece);

/* How many bytes are taken from the system; 0 where they are malloc()'s. */
size_t reader_memory_taken(void);

#endif

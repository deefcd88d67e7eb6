/* Arrays that grow. Pure C; no Python. */
#ifndef MEMBUDGET_GROWTH_H
#define MEMBUDGET_GROWTH_H

#include <stddef.h>

#include "reader_memory.h"

/* Return an array with twice the capacity, at first `least` items. NULL: no memory, no change. */
static inline void *
doubled(void *items, size_t *capacity, size_t least, size_t item_bytes)
{
    size_t more = *capacity ? 2 * *capacity : least;
    void *longer = reader_realloc(items, more * item_bytes);
    if (longer) {
        *capacity = more;
    }
    return longer;
}

#endif

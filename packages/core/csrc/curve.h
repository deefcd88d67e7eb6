/* How much a block had alive over time: the maximum in each of some stretches of equal length.
 *
 * The clock are ticks, see scanner_tick(). What happened between two of them can be anywhere in
 * between. When the curve is full, each two neighbours become one, of twice the length. Pure C; no
 * Python.
 */
#ifndef MEMBUDGET_CURVE_H
#define MEMBUDGET_CURVE_H

#include <stddef.h>
#include <stdint.h>

enum { MOST_BUCKETS = 120, FIRST_BUCKET_MS = 20 };

typedef struct {
    uint64_t begin_ms;
    uint64_t last_ms; /* the curve is known up to here */
    uint64_t bucket_ms;
    size_t n_buckets; /* at least one after the first curve_go_on() */
    uint64_t maxima[MOST_BUCKETS];
} Curve;

/* Return an empty curve, for reader_free(); NULL: no memory. */
Curve *curve_new(uint64_t begin_ms);

/* Add the time up to `until_ms`, in which the largest amount was `most`. */
void curve_go_on(Curve *, uint64_t until_ms, uint64_t most);

#endif

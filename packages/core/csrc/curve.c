#include "curve.h"

#include "reader_memory.h"

Curve *
curve_new(uint64_t begin_ms)
{
    Curve *curve = reader_malloc(sizeof(Curve));
    if (curve) {
        *curve = (Curve){.begin_ms = begin_ms, .last_ms = begin_ms, .bucket_ms = FIRST_BUCKET_MS};
    }
    return curve;
}

static uint64_t
larger(uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

static void
double_buckets(Curve *curve)
{
    curve->bucket_ms *= 2;
    curve->n_buckets = (curve->n_buckets + 1) / 2;
    for (size_t i = 0; i < MOST_BUCKETS / 2; i++) {
        curve->maxima[i] = larger(curve->maxima[2 * i], curve->maxima[2 * i + 1]);
    }
    for (size_t i = MOST_BUCKETS / 2; i < MOST_BUCKETS; i++) {
        curve->maxima[i] = 0;
    }
}

void
curve_go_on(Curve *curve, uint64_t until_ms, uint64_t most)
{
    until_ms = larger(until_ms, curve->last_ms); /* a tick may be from before the block */
    while ((until_ms - curve->begin_ms) / curve->bucket_ms >= MOST_BUCKETS) {
        double_buckets(curve);
    }
    size_t first = (size_t)((curve->last_ms - curve->begin_ms) / curve->bucket_ms);
    size_t last = (size_t)((until_ms - curve->begin_ms) / curve->bucket_ms);
    for (size_t i = first; i <= last; i++) {
        curve->maxima[i] = larger(curve->maxima[i], most);
    }
    curve->n_buckets = last + 1;
    curve->last_ms = until_ms;
}

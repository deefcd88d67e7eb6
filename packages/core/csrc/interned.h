/* A table of unique items: each has a number, and is found by its first words.
 *
 * The numbers count up from 1; item 0 means none, and is all zeros. The caller passes the kind of
 * items each time, so that the compiler can optimize for it. Pure C; no Python.
 */
#ifndef MEMBUDGET_INTERNED_H
#define MEMBUDGET_INTERNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    unsigned char *items;
    uint32_t n_items;
    uint32_t capacity;
    uint32_t *places; /* numbers by the hash of the item; 0: free. Twice as many as `capacity` */
} Interned;

/* The kind of items in a table: their size in bytes, and how many 32-bit words identify them. */
typedef struct {
    size_t n_bytes;
    size_t n_words;
} ItemShape;

static inline void *
interned_item(const Interned *table, ItemShape shape, uint32_t number)
{
    return table->items + number * shape.n_bytes;
}

/* Return the place with the number of the item with these words, or a free place. */
static inline uint32_t *
interned_place(const Interned *table, ItemShape shape, const uint32_t *words)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < shape.n_words; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 32;
    }
    size_t mask = 2 * (size_t)table->capacity - 1;
    for (size_t place = (size_t)hash & mask;; place = (place + 1) & mask) {
        const uint32_t *there = interned_item(table, shape, table->places[place]);
        bool same = true;
        for (size_t i = 0; i < shape.n_words; i++) {
            same = same && there[i] == words[i];
        }
        if (same || !table->places[place]) {
            return &table->places[place];
        }
    }
}

/* Return the number of the item with these words; 0 if it is not there. */
static inline uint32_t
interned_find(const Interned *table, ItemShape shape, const uint32_t *words)
{
    return table->n_items ? *interned_place(table, shape, words) : 0;
}

/* Add an item that is not there: its words, then zeros. Returns its number; 0: no memory. */
uint32_t interned_add(Interned *table, ItemShape shape, const uint32_t *words);

void interned_clear(Interned *table);

#endif

#include "interned.h"

#include <string.h>

#include "reader_memory.h"

enum { LEAST_ITEMS = 32, WORD = sizeof(uint32_t) };

static bool
grow(Interned *table, ItemShape shape)
{
    if (table->capacity > UINT32_MAX / 4) {
        return false;
    }
    uint32_t capacity = table->capacity ? 2 * table->capacity : LEAST_ITEMS;
    unsigned char *items = reader_realloc(table->items, capacity * shape.n_bytes);
    if (!items) {
        return false;
    }
    table->items = items;
    uint32_t *places = reader_calloc(2 * (size_t)capacity, sizeof(uint32_t));
    if (!places) {
        return false;
    }
    reader_free(table->places);
    table->places = places;
    table->capacity = capacity;
    if (!table->n_items) {
        memset(items, 0, shape.n_bytes);
        table->n_items = 1;
    }
    for (uint32_t i = 1; i < table->n_items; i++) {
        *interned_place(table, shape, interned_item(table, shape, i)) = i;
    }
    return true;
}

uint32_t
interned_add(Interned *table, ItemShape shape, const uint32_t *words)
{
    if (table->n_items == table->capacity && !grow(table, shape)) {
        return 0;
    }
    uint32_t number = table->n_items++;
    unsigned char *item = interned_item(table, shape, number);
    memset(item, 0, shape.n_bytes);
    memcpy(item, words, shape.n_words * WORD);
    *interned_place(table, shape, words) = number;
    return number;
}

void
interned_clear(Interned *table)
{
    reader_free(table->items);
    reader_free(table->places);
    memset(table, 0, sizeof(*table));
}

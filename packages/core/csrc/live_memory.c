#include "live_memory.h"

#include <string.h>

#include "growth.h"

enum { LEAST_PLACES = 1 << 10, LEAST_RANGES = 64, LEAST_LARGE = 8, PAGE_BITS = 12, ALIGNMENT_BITS = 4 };

static size_t
home_of(const Allocations *table, uint64_t address)
{
    /* Pages are spread (Fibonacci hashing), but addresses of one page stay together, because memory
     * that was allocated together is used together. */
    uint64_t page = (address >> PAGE_BITS) * UINT64_C(0x9E3779B97F4A7C15) >> 24;
    uint64_t in_page = (address >> ALIGNMENT_BITS) & ((1 << (PAGE_BITS - ALIGNMENT_BITS)) - 1);
    return (size_t)(page << (PAGE_BITS - ALIGNMENT_BITS) | in_page) & (table->n_places - 1);
}

static size_t
place_of(const Allocations *table, uint64_t address)
{
    size_t place = home_of(table, address);
    while (table->places[place].address && table->places[place].address != address) {
        place = (place + 1) & (table->n_places - 1);
    }
    return place;
}

static bool
grow(Allocations *table)
{
    Allocations larger = *table;
    larger.n_places = table->n_places ? 2 * table->n_places : LEAST_PLACES;
    larger.places = reader_calloc(larger.n_places, sizeof(Place));
    if (!larger.places) {
        return false;
    }
    for (size_t i = 0; i < table->n_places; i++) {
        if (table->places[i].address) {
            larger.places[place_of(&larger, table->places[i].address)] = table->places[i];
        }
    }
    reader_free(table->places);
    *table = larger;
    return true;
}

static bool
add_large(Allocations *table, uint64_t address, uint64_t size)
{
    if (table->n_large == table->large_capacity) {
        LargeSize *longer
                = doubled(table->large, &table->large_capacity, LEAST_LARGE, sizeof(LargeSize));
        if (!longer) {
            return false;
        }
        table->large = longer;
    }
    table->large[table->n_large++] = (LargeSize){address, size};
    return true;
}

/* The size of an allocation that has one in `large`. */
static LargeSize *
large_of(const Allocations *table, uint64_t address)
{
    LargeSize *large = table->large;
    while (large->address != address) {
        large++;
    }
    return large;
}

static Allocation
allocation_in(const Allocations *table, const Place *place)
{
    uint64_t size = place->size == UINT32_MAX ? large_of(table, place->address)->size : place->size;
    return (Allocation){place->address, size, place->origin};
}

bool
allocations_add(Allocations *table, uint64_t address, uint64_t size, uint32_t origin)
{
    if (!address) {
        return true; /* no memory has this address, except in damaged captures */
    }
    if (2 * (table->n_used + 1) > table->n_places && !grow(table)) {
        return false;
    }
    if (size >= UINT32_MAX && !add_large(table, address, size)) {
        return false;
    }
    uint32_t small = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
    table->places[place_of(table, address)] = (Place){address, small, origin};
    table->n_used++;
    return true;
}

bool
allocations_find(const Allocations *table, uint64_t address, Allocation *found)
{
    if (!table->n_used) {
        return false;
    }
    const Place *place = &table->places[place_of(table, address)];
    if (!place->address) {
        return false;
    }
    *found = allocation_in(table, place);
    return true;
}

bool
allocations_remove(Allocations *table, uint64_t address, Allocation *removed)
{
    if (!table->n_used) {
        return false;
    }
    size_t mask = table->n_places - 1;
    size_t hole = place_of(table, address);
    if (!table->places[hole].address) {
        return false;
    }
    *removed = allocation_in(table, &table->places[hole]);
    if (table->places[hole].size == UINT32_MAX) {
        *large_of(table, address) = table->large[--table->n_large];
    }
    /* Move items up that probing would no longer find because of the hole. */
    for (size_t next = (hole + 1) & mask; table->places[next].address; next = (next + 1) & mask) {
        size_t home = home_of(table, table->places[next].address);
        if (((next - home) & mask) >= ((next - hole) & mask)) {
            table->places[hole] = table->places[next];
            hole = next;
        }
    }
    table->places[hole].address = 0;
    table->n_used--;
    return true;
}

void
allocations_clear(Allocations *table)
{
    reader_free(table->places);
    reader_free(table->large);
    *table = (Allocations){0};
}

static bool
is_origin(const Origins *origins, uint32_t number, const Origin *origin)
{
    Origin there = origin_numbered(origins, number);
    return there.epoch == origin->epoch && there.thread == origin->thread && there.node == origin->node;
}

bool
origins_find(Origins *origins, const Origin *origin, uint32_t *number)
{
    if (!is_origin(origins, origins->last, origin)) {
        const uint32_t words[] = {origin->epoch, origin->thread, origin->node};
        uint32_t found = interned_find(&origins->table, ORIGIN, words);
        if (!found) {
            found = interned_add(&origins->table, ORIGIN, words);
        }
        if (!found) {
            return false;
        }
        origins->last = found;
    }
    *number = origins->last;
    return true;
}

void
origins_clear(Origins *origins)
{
    interned_clear(&origins->table);
    origins->last = 0;
}

/* The first range that ends after `address`. */
static size_t
first_behind(const Mappings *mappings, uint64_t address)
{
    size_t low = 0;
    size_t high = mappings->n_ranges;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (mappings->ranges[middle].high > address) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Replace the `n_old` ranges from `at` on by `n_new` others. */
static bool
splice(Mappings *mappings, size_t at, size_t n_old, const Mapping *new, size_t n_new)
{
    size_t n_ranges = mappings->n_ranges - n_old + n_new;
    if (n_ranges > mappings->capacity) {
        Mapping *ranges
                = doubled(mappings->ranges, &mappings->capacity, LEAST_RANGES, sizeof(Mapping));
        if (!ranges) {
            return false;
        }
        mappings->ranges = ranges;
    }
    if (mappings->ranges) {
        Mapping *place = mappings->ranges + at;
        memmove(place + n_new, place + n_old, (mappings->n_ranges - at - n_old) * sizeof(Mapping));
        memcpy(place, new, n_new * sizeof(Mapping));
    }
    mappings->n_ranges = n_ranges;
    return true;
}

static uint64_t
end_of(uint64_t address, uint64_t size)
{
    return size > UINT64_MAX - address ? UINT64_MAX : address + size;
}

bool
mappings_add(Mappings *mappings, uint64_t address, uint64_t size, Origin origin)
{
    Mapping mapping = {address, end_of(address, size), origin};
    if (mapping.low == mapping.high) {
        return true;
    }
    return splice(mappings, first_behind(mappings, address), 0, &mapping, 1);
}

bool
mappings_remove(Mappings *mappings, uint64_t address, uint64_t size, Unmapped unmapped, void *context)
{
    uint64_t end = end_of(address, size);
    size_t first = first_behind(mappings, address);
    size_t behind = first;
    Mapping kept[2];
    size_t n_kept = 0;
    for (; behind < mappings->n_ranges && mappings->ranges[behind].low < end; behind++) {
        Mapping mapping = mappings->ranges[behind];
        uint64_t low = mapping.low > address ? mapping.low : address;
        uint64_t high = mapping.high < end ? mapping.high : end;
        size_t n_before = n_kept;
        if (mapping.low < low) {
            kept[n_kept++] = (Mapping){mapping.low, low, mapping.origin};
        }
        if (mapping.high > high) {
            kept[n_kept++] = (Mapping){high, mapping.high, mapping.origin};
        }
        unmapped(context, &mapping, kept + n_before, n_kept - n_before);
    }
    return behind == first || splice(mappings, first, behind - first, kept, n_kept);
}

void
mappings_clear(Mappings *mappings)
{
    reader_free(mappings->ranges);
    *mappings = (Mappings){NULL, 0, 0};
}

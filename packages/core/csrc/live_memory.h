/* What is alive: allocations by address, and memory mappings as ranges of addresses.
 *
 * Each has its origin, from which every block can decide whether it counts it. Pure C; no Python.
 * Memory is linear in what is alive: 32 to 64 bytes for each allocation.
 */
#ifndef MEMBUDGET_LIVE_MEMORY_H
#define MEMBUDGET_LIVE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interned.h"

/* The origin of memory: when, by which thread and by which stack it was allocated. */
typedef struct {
    uint32_t epoch; /* how often a block had begun, been suspended or continued by then */
    uint32_t thread; /* its number */
    uint32_t node; /* the stack, if a block needs it; see stack_tree.h */
} Origin;

typedef struct {
    uint64_t address;
    uint64_t size;
    uint32_t origin; /* its number in Origins */
} Allocation;

/* All origins of allocations, each of them once: a few, compared with the allocations.
 *
 * Number 0 is that of memory that no block counts: its epoch is 0. */
typedef struct {
    Interned table;
    uint32_t last; /* the number found last */
} Origins;

#define ORIGIN ((ItemShape){sizeof(Origin), 3})

/* An allocation in a table, in 16 bytes. */
typedef struct {
    uint64_t address; /* 0: a free place */
    uint32_t size; /* UINT32_MAX: it is in `large` */
    uint32_t origin;
} Place;

typedef struct {
    uint64_t address;
    uint64_t size;
} LargeSize;

/* Open addressing with linear probing; the number of places is a power of two. */
typedef struct {
    Place *places;
    size_t n_places;
    size_t n_used;
    LargeSize *large; /* the sizes of 4 GiB and more: of a few allocations, in no order */
    size_t n_large;
    size_t large_capacity;
} Allocations;

typedef struct {
    uint64_t low;
    uint64_t high; /* the first address after it */
    Origin origin;
} Mapping;

/* Disjoint and sorted by address. */
typedef struct {
    Mapping *ranges;
    size_t n_ranges;
    size_t capacity;
} Mappings;

/* Add an allocation at an address that is not in the table. False: no memory. */
bool allocations_add(Allocations *, uint64_t address, uint64_t size, uint32_t origin);

/* Remove an allocation from the table; false if it is not there. Afterwards there is room for it. */
bool allocations_remove(Allocations *, uint64_t address, Allocation *removed);

/* Find the allocation at an address; false if there is none. */
bool allocations_find(const Allocations *, uint64_t address, Allocation *found);

void allocations_clear(Allocations *);

static inline Origin
origin_numbered(const Origins *origins, uint32_t number)
{
    return number ? *(const Origin *)interned_item(&origins->table, ORIGIN, number) : (Origin){0, 0, 0};
}

/* Find the number of an origin whose epoch is not 0. False: no memory. */
bool origins_find(Origins *, const Origin *, uint32_t *number);

void origins_clear(Origins *);

/* Add a mapping in a range that is not mapped. False: no memory. */
bool mappings_add(Mappings *, uint64_t address, uint64_t size, Origin);

/* Called for each mapping that is unmapped, with the parts of it that are left. */
typedef void (*Unmapped)(void *context, const Mapping *mapping, const Mapping *left, size_t n_left);

/* Unmap a range: parts of mappings, or several. False: no memory. */
bool mappings_remove(Mappings *, uint64_t address, uint64_t size, Unmapped, void *context);

void mappings_clear(Mappings *);

#endif

/* What a block counts, stack by stack: how much is alive, and how much was at its peak.
 *
 * It is exact, without a second pass: peaks are numbered, and before the amount that a stack has alive
 * changes for the first time since the last peak, it is copied as the amount at the peak. Pure C; no
 * Python. Memory is linear in the number of stacks of the block.
 */
#ifndef MEMBUDGET_BLOCK_STACKS_H
#define MEMBUDGET_BLOCK_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interned.h"

typedef struct {
    uint64_t size;
    uint64_t n_allocations; /* a mapping without its middle counts as two */
    uint64_t arenas; /* how much of `size` is in mappings of ARENA_SIZE */
} StackSums;

typedef struct {
    uint32_t node;
    uint32_t is_other; /* by other threads than the block's */
    bool counts; /* the block's filter accepts it */
    uint64_t peak;
    StackSums alive;
    StackSums at_peak; /* at the peak with that number; unchanged since, if there was a later peak */
} BlockStack;

static inline StackSums
sums_with(StackSums one, StackSums other)
{
    return (StackSums){one.size + other.size, one.n_allocations + other.n_allocations,
                       one.arenas + other.arenas};
}

static inline StackSums
sums_without(StackSums one, StackSums other)
{
    return (StackSums){one.size - other.size, one.n_allocations - other.n_allocations,
                       one.arenas - other.arenas};
}

#define BLOCK_STACK ((ItemShape){sizeof(BlockStack), 2})

typedef struct {
    Interned stacks;
    uint32_t last; /* the stack found last; 0 for none */
    uint64_t n_peaks;
} BlockStacks;

/* What CPython maps for small objects at a time (ARENA_BITS in its Objects/obmalloc.c). */
enum { ARENA_SIZE = 1 << 20 };

static inline BlockStack *
block_stack(const BlockStacks *stacks, uint32_t number)
{
    return interned_item(&stacks->stacks, BLOCK_STACK, number);
}

/* Like block_stacks_find(), for a stack that was not found last. */
BlockStack *block_stacks_look_up(BlockStacks *, uint32_t node, bool is_other);

/* Return a stack, valid until the next one is added; NULL: it is not there. */
static inline BlockStack *
block_stacks_find(BlockStacks *stacks, uint32_t node, bool is_other)
{
    if (stacks->last) {
        BlockStack *last = block_stack(stacks, stacks->last);
        if (last->node == node && last->is_other == is_other) {
            return last;
        }
    }
    return block_stacks_look_up(stacks, node, is_other);
}

/* Add a stack that is not there; NULL: no memory. */
BlockStack *block_stacks_add(BlockStacks *, uint32_t node, bool is_other, bool counts);

/* Call this before `alive` of a stack changes. */
static inline void
before_change(BlockStack *stack, const BlockStacks *stacks)
{
    if (stack->peak != stacks->n_peaks) {
        stack->at_peak = stack->alive;
        stack->peak = stacks->n_peaks;
    }
}

static inline const StackSums *
sums_at_peak(const BlockStack *stack, const BlockStacks *stacks)
{
    return stack->peak == stacks->n_peaks ? &stack->at_peak : &stack->alive;
}

void block_stacks_clear(BlockStacks *);

#endif

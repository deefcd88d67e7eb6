#include "block_stacks.h"

#include <string.h>

BlockStack *
block_stacks_look_up(BlockStacks *stacks, uint32_t node, bool is_other)
{
    const uint32_t words[] = {node, is_other};
    uint32_t found = interned_find(&stacks->stacks, BLOCK_STACK, words);
    if (!found) {
        return NULL;
    }
    stacks->last = found;
    return block_stack(stacks, found);
}

BlockStack *
block_stacks_add(BlockStacks *stacks, uint32_t node, bool is_other, bool counts)
{
    const uint32_t words[] = {node, is_other};
    uint32_t number = interned_add(&stacks->stacks, BLOCK_STACK, words);
    if (!number) {
        return NULL;
    }
    stacks->last = number;
    BlockStack *stack = block_stack(stacks, number);
    stack->counts = counts;
    stack->peak = stacks->n_peaks;
    return stack;
}

void
block_stacks_clear(BlockStacks *stacks)
{
    interned_clear(&stacks->stacks);
    memset(stacks, 0, sizeof(*stacks));
}

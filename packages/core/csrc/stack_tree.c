#include "stack_tree.h"

#include <string.h>

#include "growth.h"

enum { LEAST_CODES = 64, LEAST_FRAMES = 32 };

StackStatus
tree_add_code(StackTree *tree, CodeObject code)
{
    if (tree->n_codes && code.code <= tree->codes[tree->n_codes - 1].code) {
        return STACK_DAMAGED; /* memray numbers them in order */
    }
    if (tree->n_codes == tree->codes_capacity) {
        CodeObject *codes
                = doubled(tree->codes, &tree->codes_capacity, LEAST_CODES, sizeof(CodeObject));
        if (!codes) {
            return STACK_NO_MEMORY;
        }
        tree->codes = codes;
    }
    tree->codes[tree->n_codes++] = code;
    return STACK_KNOWN;
}

const CodeObject *
tree_code(const StackTree *tree, uint32_t code)
{
    size_t low = 0;
    size_t high = tree->n_codes;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tree->codes[middle].code < code) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < tree->n_codes && tree->codes[low].code == code ? &tree->codes[low] : NULL;
}

static StackStatus
find_node(StackTree *tree, StackNode wanted, uint32_t *found)
{
    const uint32_t words[] = {wanted.parent, wanted.code, (uint32_t)wanted.instruction};
    *found = interned_find(&tree->nodes, STACK_NODE, words);
    if (*found) {
        return STACK_KNOWN;
    }
    if (!tree_code(tree, wanted.code)) {
        return STACK_DAMAGED;
    }
    *found = interned_add(&tree->nodes, STACK_NODE, words);
    return *found ? STACK_KNOWN : STACK_NO_MEMORY;
}

StackStatus
tree_look_up(StackTree *tree, CallStack *stack, uint32_t *node)
{
    *node = stack->n_known ? stack->frames[stack->n_known - 1].node : NO_STACK;
    while (stack->n_known < stack->depth) {
        StackFrame *frame = &stack->frames[stack->n_known];
        StackNode wanted = {*node, frame->code, frame->instruction};
        StackStatus status = find_node(tree, wanted, &frame->node);
        if (status != STACK_KNOWN) {
            return status;
        }
        *node = frame->node;
        stack->n_known++;
    }
    return STACK_KNOWN;
}

void
tree_clear(StackTree *tree)
{
    interned_clear(&tree->nodes);
    reader_free(tree->codes);
    memset(tree, 0, sizeof(*tree));
}

bool
stack_grow(CallStack *stack)
{
    StackFrame *frames
            = doubled(stack->frames, &stack->capacity, LEAST_FRAMES, sizeof(StackFrame));
    if (!frames) {
        return false;
    }
    stack->frames = frames;
    return true;
}

bool
stack_copy(CallStack *stack, const CallStack *from)
{
    *stack = (CallStack){NULL, from->depth, from->depth, 0};
    if (!from->depth) {
        return true;
    }
    stack->frames = reader_malloc(from->depth * sizeof(StackFrame));
    if (!stack->frames) {
        stack->depth = stack->capacity = 0;
        return false;
    }
    memcpy(stack->frames, from->frames, from->depth * sizeof(StackFrame));
    return true;
}

void
stack_clear(CallStack *stack)
{
    reader_free(stack->frames);
    memset(stack, 0, sizeof(*stack));
}

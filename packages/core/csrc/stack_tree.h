/* The Python stacks of a capture: a tree, in which each node is a frame called by its parent.
 *
 * A frame is a code object and its present instruction. The names and line tables of code objects
 * stay in the capture; the tree has their positions. Pure C; no Python. Memory is linear in the
 * number of nodes: 20 to 40 bytes for each.
 */
#ifndef MEMBUDGET_STACK_TREE_H
#define MEMBUDGET_STACK_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interned.h"

enum { NO_STACK = 0 }; /* the root: no Python code was running */

typedef struct {
    uint32_t parent;
    uint32_t code;
    int32_t instruction; /* its offset in the code */
} StackNode;

#define STACK_NODE ((ItemShape){sizeof(StackNode), 3})

/* The position of a code object in the capture. */
typedef struct {
    uint64_t begin;
    uint64_t end;
    uint32_t code;
    int32_t first_line;
} CodeObject;

typedef struct {
    Interned nodes;
    CodeObject *codes; /* in the order of their numbers */
    size_t n_codes;
    size_t codes_capacity;
} StackTree;

typedef struct {
    uint32_t code;
    int32_t instruction;
    uint32_t node; /* if it is known */
    bool is_entry; /* C code called it; stacks that differ only in this are the same */
} StackFrame;

/* The stack of a thread.
 *
 * A frame gets a node only when the node is needed. A popped frame keeps its node until another frame
 * replaces it, because a loop pushes the same frame again and again. */
typedef struct {
    StackFrame *frames; /* outermost first; after `depth`, the popped ones */
    size_t depth;
    size_t capacity;
    size_t n_known; /* how many of the outermost have a node, including popped ones */
} CallStack;

typedef enum {
    STACK_KNOWN,
    STACK_DAMAGED,   /* a code object is not described, or is described twice */
    STACK_NO_MEMORY,
} StackStatus;

StackStatus tree_add_code(StackTree *, CodeObject);

/* Return an existing node. */
static inline const StackNode *
tree_node(const StackTree *tree, uint32_t node)
{
    return interned_item(&tree->nodes, STACK_NODE, node);
}

/* Return a code object; NULL if it is unknown. */
const CodeObject *tree_code(const StackTree *, uint32_t code);

/* Like tree_find(), for a stack in which some frames have no node yet. */
StackStatus tree_look_up(StackTree *, CallStack *, uint32_t *node);

/* Find the node of the innermost frame of a stack. */
static inline StackStatus
tree_find(StackTree *tree, CallStack *stack, uint32_t *node)
{
    if (stack->depth > stack->n_known) {
        return tree_look_up(tree, stack, node);
    }
    *node = stack->depth ? stack->frames[stack->depth - 1].node : NO_STACK;
    return STACK_KNOWN;
}

void tree_clear(StackTree *);

/* Make room for more frames. False: no memory. */
bool stack_grow(CallStack *);

/* False: no memory. */
static inline bool
stack_push(CallStack *stack, uint32_t code, int32_t instruction, bool is_entry)
{
    if (stack->depth == stack->capacity && !stack_grow(stack)) {
        return false;
    }
    StackFrame *frame = &stack->frames[stack->depth];
    if (stack->depth >= stack->n_known || frame->code != code || frame->instruction != instruction) {
        *frame = (StackFrame){code, instruction, NO_STACK, false};
        stack->n_known = stack->n_known < stack->depth ? stack->n_known : stack->depth;
    }
    frame->is_entry = is_entry;
    stack->depth++;
    return true;
}

/* False: there are fewer frames. */
static inline bool
stack_pop(CallStack *stack, size_t n_frames)
{
    bool enough = n_frames <= stack->depth;
    stack->depth -= enough ? n_frames : 0;
    return enough;
}

/* Copy the frames of a stack, without their nodes. False: no memory. */
bool stack_copy(CallStack *, const CallStack *from);

void stack_clear(CallStack *);

#endif

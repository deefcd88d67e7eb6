/* The native frames of a capture, each called by an earlier one. A native stack is the number of its
 * innermost frame. Pure C; no Python. Memory is linear in the number of frames: 16 bytes for each.
 */
#ifndef MEMBUDGET_NATIVE_FRAMES_H
#define MEMBUDGET_NATIVE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "growth.h"
#include "stack_tree.h"

enum { LEAST_NATIVE_FRAMES = 256 };

typedef struct {
    uint64_t instruction; /* its address */
    uint32_t caller; /* the number of a frame; 0 for none */
} NativeFrame;

typedef struct {
    NativeFrame *frames; /* frame number n is frames[n - 1] */
    size_t n_frames;
    size_t capacity;
} NativeFrames;

/* Add the next frame, whose caller is there. */
static inline StackStatus
native_frames_add(NativeFrames *native, NativeFrame frame)
{
    if (native->n_frames == native->capacity) {
        NativeFrame *frames = native->n_frames > UINT32_MAX / 2
                                      ? NULL
                                      : doubled(native->frames, &native->capacity,
                                                LEAST_NATIVE_FRAMES, sizeof(NativeFrame));
        if (!frames) {
            return STACK_NO_MEMORY;
        }
        native->frames = frames;
    }
    native->frames[native->n_frames++] = frame;
    return STACK_KNOWN;
}

static inline void
native_frames_clear(NativeFrames *native)
{
    reader_free(native->frames);
    *native = (NativeFrames){NULL, 0, 0};
}

#endif

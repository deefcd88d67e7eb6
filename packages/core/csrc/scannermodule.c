/* membudget.recording._scanner: the scanner as a Python type. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <string.h>

#include "block_writer.h"
#include "follower.h"
#include "line_table.h"
#include "reader_memory.h"
#include "scanner.h"

typedef struct {
    PyObject_HEAD
    CaptureFile file;
    bool is_followed; /* the follower may be using the scanner */
    Scanner scanner;
} ScannerObject;

/* Return the scanner; the follower leaves it. */
static Scanner *
scanner_of(PyObject *self)
{
    ScannerObject *object = (ScannerObject *)self;
    if (object->is_followed) {
        follower_leave(&object->scanner);
        object->is_followed = false;
    }
    return &object->scanner;
}

static PyObject *
scanner_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fd", "signature", "smallest", "n_digits", "overheads", NULL};
    int fd;
    unsigned long long first, second, third, smallest, n_digits, least, most;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i(KKK)KK(KK)", names, &fd, &first, &second, &third,
                                     &smallest, &n_digits, &least, &most))
    {
        return NULL;
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = alloc(type, 0);
    if (!self) {
        return NULL;
    }
    Spelling spelling = {{first, second, third}, smallest, n_digits, least, most};
    if (!identify(&((ScannerObject *)self)->file, fd)
        || !scanner_begin(scanner_of(self), fd, &spelling))
    {
        Py_DECREF(self);
        PyErr_Format(PyExc_ValueError, "not a capture of all allocations with version %d",
                     CAPTURE_VERSION);
        return NULL;
    }
    return self;
}

/* Like all instances of heap types, it refers to its type; it refers to no other object. */
static int
scanner_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void
scanner_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    scanner_clear(scanner_of(self));
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *
none_or_no_memory(bool done)
{
    if (!done) {
        return PyErr_NoMemory();
    }
    return Py_NewRef(Py_None);
}

PyDoc_STRVAR(expect_doc,
             "expect(serial, thread_only, stack_use, can_be_written)\n--\n\n"
             "Count for a block whose START mark is still to come.\n\n"
             "stack_use: FIGURES_ONLY, KEEPS_STACKS, or FILTERS_STACKS. can_be_written: for\n"
             "write_block().");

static PyObject *
expect(PyObject *self, PyObject *args)
{
    unsigned long long serial;
    int thread_only, stack_use, can_be_written;
    if (!PyArg_ParseTuple(args, "Kpip", &serial, &thread_only, &stack_use, &can_be_written)) {
        return NULL;
    }
    if (stack_use < FIGURES_ONLY || stack_use > FILTERS_STACKS) {
        return PyErr_Format(PyExc_ValueError, "no use of stacks: %d", stack_use);
    }
    return none_or_no_memory(scanner_expect(scanner_of(self), serial, thread_only,
                                            (StackUse)stack_use, can_be_written));
}

PyDoc_STRVAR(forget_doc, "forget(serial)\n--\n\nKeep the books of a block no longer.");

static PyObject *
forget(PyObject *self, PyObject *arg)
{
    unsigned long long serial = PyLong_AsUnsignedLongLong(arg);
    if (PyErr_Occurred()) {
        return NULL;
    }
    scanner_forget(scanner_of(self), serial);
    return Py_NewRef(Py_None);
}

static PyObject *
broken(void)
{
    PyErr_SetString(PyExc_ValueError, "the capture is damaged, or there is no memory to read it");
    return NULL;
}

/* Return True, or False if it is not there; an exception if something failed. */
static PyObject *
whether_written(Written written, int error)
{
    switch (written) {
        case WRITTEN:
            return Py_NewRef(Py_True);
        case NOT_THERE:
            return Py_NewRef(Py_False);
        case NO_MEMORY:
            return PyErr_NoMemory();
        default:
            errno = error ? error : EIO; /* the input has become shorter */
            return PyErr_SetFromErrno(PyExc_OSError);
    }
}

static PyObject *
histogram_of(const Block *block)
{
    int length = HISTOGRAM_LENGTH;
    while (length && !block->histogram[length - 1]) {
        length--;
    }
    PyObject *histogram = PyTuple_New(length);
    for (int i = 0; histogram && i < length; i++) {
        PyObject *count = PyLong_FromUnsignedLongLong(block->histogram[i]);
        if (!count || PyTuple_SetItem(histogram, i, count) < 0) {
            Py_CLEAR(histogram);
        }
    }
    return histogram;
}

/* Call Python to decide whether a block counts a stack, and answer the scanner. -1: an exception.
 *
 * The Python code may do anything, such as forget the block, because the scanner is between two
 * records. */
static int
ask(Scanner *scanner, PyObject *counts)
{
    Question question = scanner->question;
    PyObject *answer = PyObject_CallFunction(counts, "KI", (unsigned long long)question.serial,
                                             (unsigned int)question.node);
    if (!answer) {
        return -1;
    }
    int is_true = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    if (is_true < 0) {
        return -1;
    }
    scanner_answer(scanner, is_true);
    return 0;
}

PyDoc_STRVAR(close_block_doc,
             "close_block(serial, counts)\n--\n\n"
             "Scan up to the END mark of a block.\n\n"
             "counts(serial, node) returns whether a block that filters stacks counts one; it is called\n"
             "once for each. An exception of it propagates, and it is called again the next time.\n\n"
             "Returns (peak_bytes, total_bytes, n_allocations, retained_bytes, size_histogram,\n"
             "peak_index, start_index, end_index, interrupted), or None if some marks are missing.\n"
             "Raises ValueError for a damaged capture.");

typedef Scanned (*Scan)(Scanner *, uint64_t serial, const Block **);

/* Scan for a block with the arguments (serial, counts), and ask `counts` what the scanner asks.
 *
 * NULL if its mark is missing, or for an exception. */
static const Block *
scan_and_ask(PyObject *self, PyObject *args, Scan scan)
{
    unsigned long long serial;
    PyObject *counts;
    if (!PyArg_ParseTuple(args, "KO", &serial, &counts)) {
        return NULL;
    }
    const Block *block;
    Scanned scanned;
    /* With the GIL: other threads would only write more to read. The capture is in the page cache, so
     * this does not wait for a disk. */
    while ((scanned = scan(scanner_of(self), serial, &block)) == ASKS) {
        if (ask(scanner_of(self), counts) < 0) {
            return NULL;
        }
    }
    if (scanned == BROKEN) {
        broken();
    }
    return scanned == SCANNED ? block : NULL;
}

/* What a function returns that has no block: None, if there is no exception. */
static PyObject *
no_block(void)
{
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *
close_block(PyObject *self, PyObject *args)
{
    const Block *block = scan_and_ask(self, args, scanner_close_block);
    if (!block) {
        return no_block();
    }
    const Block read = *block; /* making Python objects can run code that forgets it */
    PyObject *histogram = histogram_of(&read);
    if (!histogram) {
        return NULL;
    }
    return Py_BuildValue("KKKKNLKKN", (unsigned long long)read.peak, (unsigned long long)read.total,
                         (unsigned long long)read.n_allocations, (unsigned long long)read.alive,
                         histogram, read.n_allocations ? (long long)read.peak_index : -1LL,
                         (unsigned long long)read.start_index, (unsigned long long)read.end_index,
                         PyBool_FromLong(read.interrupted));
}

PyDoc_STRVAR(retained_so_far_doc,
             "retained_so_far(serial, counts)\n--\n\n"
             "Scan up to the next LOOK mark of an open block; for `counts`, see close_block().\n\n"
             "Returns the bytes that the block has allocated and that are alive, or None if the mark\n"
             "is missing. Raises ValueError for a damaged capture.");

static PyObject *
retained_so_far(PyObject *self, PyObject *args)
{
    const Block *block = scan_and_ask(self, args, scanner_look);
    if (!block) {
        return no_block();
    }
    return PyLong_FromUnsignedLongLong(block->alive_at_look);
}

/* The block with a serial; NULL for an exception. */
static const Block *
known_block(PyObject *self, PyObject *serial)
{
    unsigned long long number = PyLong_AsUnsignedLongLong(serial);
    if (PyErr_Occurred()) {
        return NULL;
    }
    const Block *block = scanner_block(scanner_of(self), number);
    if (!block) {
        PyErr_Format(PyExc_KeyError, "no block %llu", number);
    }
    return block;
}

/* Add a stack to a list, unless nothing of it is alive. Returns -1 for an exception. */
static int
append_stack(PyObject *list, BlockStack stack, StackSums sums)
{
    if (!stack.counts || !sums.n_allocations) {
        return 0;
    }
    PyObject *tuple = Py_BuildValue("IKKNK", (unsigned int)stack.node, (unsigned long long)sums.size,
                                    (unsigned long long)sums.n_allocations,
                                    PyBool_FromLong((long)stack.is_other),
                                    (unsigned long long)sums.arenas);
    int failed = !tuple || PyList_Append(list, tuple) < 0;
    Py_XDECREF(tuple);
    return failed ? -1 : 0;
}

static PyObject *
stacks_of(PyObject *self, PyObject *serial, bool at_peak)
{
    PyObject *list = PyList_New(0);
    for (uint32_t i = 1; list; i++) {
        /* Looked up each time, because making Python objects can run code that forgets it. */
        const Block *block = known_block(self, serial);
        if (!block) {
            Py_CLEAR(list);
            break;
        }
        if (i >= block->stacks.stacks.n_items) {
            break;
        }
        const BlockStack *stack = block_stack(&block->stacks, i);
        StackSums sums = at_peak ? *sums_at_peak(stack, &block->stacks) : stack->alive;
        if (append_stack(list, *stack, sums) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

PyDoc_STRVAR(stacks_at_peak_doc,
             "stacks_at_peak(serial)\n--\n\n"
             "Return what was alive at the peak of a block that keeps its stacks, up to the scanned\n"
             "position: tuples (node, size_bytes, n_allocations, is_other_thread, arena_bytes).");

static PyObject *
stacks_at_peak(PyObject *self, PyObject *arg)
{
    return stacks_of(self, arg, true);
}

PyDoc_STRVAR(stacks_at_end_doc, "stacks_at_end(serial)\n--\n\n"
                                "Return what is alive at the scanned position of such a block.");

static PyObject *
stacks_at_end(PyObject *self, PyObject *arg)
{
    return stacks_of(self, arg, false);
}

PyDoc_STRVAR(begin_of_doc, "begin_of(serial)\n--\n\n"
                           "Return the node of the stack at which a block began.");

static PyObject *
begin_of(PyObject *self, PyObject *serial)
{
    const Block *block = known_block(self, serial);
    return block ? PyLong_FromUnsignedLong(block->start_node) : NULL;
}

PyDoc_STRVAR(lost_stacks_doc, "lost_stacks(serial)\n--\n\n"
                              "Whether memray has lost stacks of a block that keeps them.");

static PyObject *
lost_stacks(PyObject *self, PyObject *serial)
{
    const Block *block = known_block(self, serial);
    return block ? PyBool_FromLong(block->lost_stacks) : NULL;
}

PyDoc_STRVAR(curve_of_doc,
             "curve_of(serial)\n--\n\n"
             "Return (bucket_ms, maxima) of a block that keeps its stacks: the most that was alive in each\n"
             "stretch of that many milliseconds. None if there was no tick in it.");

static PyObject *
curve_of(PyObject *self, PyObject *serial)
{
    const Block *block = known_block(self, serial);
    if (!block) {
        return NULL;
    }
    if (!block->curve) {
        return Py_NewRef(Py_None);
    }
    const Curve curve = *block->curve; /* making Python objects can run code that forgets it */
    PyObject *maxima = PyTuple_New((Py_ssize_t)curve.n_buckets);
    for (size_t i = 0; maxima && i < curve.n_buckets; i++) {
        PyObject *most = PyLong_FromUnsignedLongLong(curve.maxima[i]);
        if (!most || PyTuple_SetItem(maxima, (Py_ssize_t)i, most) < 0) {
            Py_CLEAR(maxima);
        }
    }
    return maxima ? Py_BuildValue("KN", (unsigned long long)curve.bucket_ms, maxima) : NULL;
}

PyDoc_STRVAR(node_doc, "node(number)\n--\n\n"
                       "Return (parent, code, instruction) of a node; the parent is 0 if it has none.");

static PyObject *
node(PyObject *self, PyObject *arg)
{
    unsigned long number = PyLong_AsUnsignedLong(arg);
    if (PyErr_Occurred()) {
        return NULL;
    }
    const StackTree *tree = &scanner_of(self)->tree;
    if (!number || number >= tree->nodes.n_items) {
        return PyErr_Format(PyExc_KeyError, "no node %lu", number);
    }
    const StackNode *found = tree_node(tree, (uint32_t)number);
    return Py_BuildValue("IIi", (unsigned int)found->parent, (unsigned int)found->code,
                         (int)found->instruction);
}

static PyObject *
decoded_text(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

PyDoc_STRVAR(frame_doc, "frame(code, instruction)\n--\n\n"
                        "Return (function, filename, line) of a frame.\n\n"
                        "Reads it from the capture. Raises ValueError if it is no longer there.");

static PyObject *
frame(PyObject *self, PyObject *args)
{
    unsigned int number;
    int instruction;
    if (!PyArg_ParseTuple(args, "Ii", &number, &instruction)) {
        return NULL;
    }
    const Scanner *scanner = scanner_of(self);
    const CodeObject *code = tree_code(&scanner->tree, number);
    if (!code) {
        return PyErr_Format(PyExc_KeyError, "no code object %u", number);
    }
    CodeText text;
    PyObject *found = NULL;
    if (decoder_read_code(scanner->decoder.fd, code->begin, code->end, &text) == DECODED) {
        int32_t line = line_of(text.lines, text.n_lines, code->first_line, instruction);
        found = Py_BuildValue("NNi", decoded_text(text.function), decoded_text(text.filename), (int)line);
    } else {
        broken();
    }
    reader_free(text.bytes);
    return found;
}

static bool
counts_object(const Scanner *scanner, const Block *block, const Place *object)
{
    Origin origin = origin_numbered(&scanner->origins, object->origin);
    return block_counts(block, &origin);
}

PyDoc_STRVAR(alive_objects_doc,
             "alive_objects(serial)\n--\n\n"
             "Scan up to the END mark of a block; return the objects that it made and that are alive.\n\n"
             "For a scanner that has scanned nothing yet and filters no stacks, and a capture that has\n"
             "objects. As bytes: the address of each, an unsigned 64-bit integer. None if some\n"
             "marks of the block are missing.");

static PyObject *
alive_objects(PyObject *self, PyObject *arg)
{
    unsigned long long serial = PyLong_AsUnsignedLongLong(arg);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Scanner *scanner = scanner_of(self);
    scanner_track_objects(scanner);
    const Block *block;
    Scanned scanned = scanner_close_block(scanner, serial, &block);
    if (scanned != SCANNED) {
        return scanned == INCOMPLETE ? Py_NewRef(Py_None) : broken();
    }
    const Allocations *objects = &scanner->objects;
    uint64_t *addresses = reader_malloc((objects->n_used + 1) * sizeof(uint64_t));
    if (!addresses) {
        return PyErr_NoMemory();
    }
    size_t n = 0;
    for (size_t i = 0; i < objects->n_places; i++) {
        if (objects->places[i].address && counts_object(scanner, block, &objects->places[i])) {
            addresses[n++] = objects->places[i].address;
        }
    }
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)addresses,
                                                (Py_ssize_t)(n * sizeof(uint64_t)));
    reader_free(addresses);
    return bytes;
}

PyDoc_STRVAR(write_block_doc,
             "write_block(serial, n_outer, to)\n--\n\n"
             "Write the capture of a block, see csrc/block_writer.h, to the file descriptor `to`.\n\n"
             "After close_block(), for a block that can be written. False if some marks of the block\n"
             "are missing.");

static PyObject *
write_block_of(PyObject *self, PyObject *args)
{
    unsigned long long serial;
    int to;
    Py_ssize_t n_outer;
    if (!PyArg_ParseTuple(args, "Kni", &serial, &n_outer, &to)) {
        return NULL;
    }
    int error;
    Written written = write_block(scanner_of(self), serial, (size_t)n_outer, to, &error);
    return whether_written(written, error);
}

PyDoc_STRVAR(follow_doc,
             "follow(least_unread, gives_back)\n--\n\n"
             "Let the thread of start_follower() scan, until the next other use of this scanner.\n\n"
             "It begins when `least_unread` bytes are to be scanned. gives_back: parts of the capture\n"
             "that were scanned may be made holes in its file.");

static PyObject *
follow(PyObject *self, PyObject *args)
{
    unsigned long long least_unread;
    int gives_back;
    if (!PyArg_ParseTuple(args, "Kp", &least_unread, &gives_back)) {
        return NULL;
    }
    ScannerObject *object = (ScannerObject *)self;
    Scanner *scanner = scanner_of(self);
    object->is_followed = true;
    follower_follow(scanner, &object->file, (Following){least_unread, gives_back});
    return Py_NewRef(Py_None);
}

PyDoc_STRVAR(follow_up_to_doc,
             "follow_up_to(limit)\n--\n\n"
             "Scan as the thread does: up to a position before which the capture is complete.");

static PyObject *
follow_up_to(PyObject *self, PyObject *arg)
{
    unsigned long long limit = PyLong_AsUnsignedLongLong(arg);
    if (PyErr_Occurred()) {
        return NULL;
    }
    scanner_follow(scanner_of(self), limit); /* if it failed, the next scan says so */
    return Py_NewRef(Py_None);
}

PyDoc_STRVAR(tick_doc, "tick(offset, after_ms)\n--\n\n"
                       "Note, as the thread does, that the capture was written up to an offset so many\n"
                       "milliseconds from now.");

static PyObject *
tick(PyObject *self, PyObject *args)
{
    unsigned long long offset;
    unsigned long long after_ms;
    if (!PyArg_ParseTuple(args, "KK", &offset, &after_ms)) {
        return NULL;
    }
    scanner_tick(scanner_of(self), offset, clock_ms() + after_ms);
    return Py_NewRef(Py_None);
}

PyDoc_STRVAR(given_back_doc, "Up to where the capture may have holes; 0 if it has none.");

static PyObject *
given_back(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(scanner_of(self)->given_back);
}

PyDoc_STRVAR(offset_doc, "How many bytes of the capture have been scanned.");

static PyObject *
offset(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(decoder_offset(&scanner_of(self)->decoder));
}

PyDoc_STRVAR(idle_bytes_doc, "How many of them were written while no block was open.");

static PyObject *
idle_bytes(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(scanner_of(self)->idle_bytes);
}

static PyMethodDef methods[] = {
        {"expect", expect, METH_VARARGS, expect_doc},
        {"forget", forget, METH_O, forget_doc},
        {"close_block", close_block, METH_VARARGS, close_block_doc},
        {"retained_so_far", retained_so_far, METH_VARARGS, retained_so_far_doc},
        {"stacks_at_peak", stacks_at_peak, METH_O, stacks_at_peak_doc},
        {"stacks_at_end", stacks_at_end, METH_O, stacks_at_end_doc},
        {"begin_of", begin_of, METH_O, begin_of_doc},
        {"lost_stacks", lost_stacks, METH_O, lost_stacks_doc},
        {"curve_of", curve_of, METH_O, curve_of_doc},
        {"node", node, METH_O, node_doc},
        {"frame", frame, METH_VARARGS, frame_doc},
        {"alive_objects", alive_objects, METH_O, alive_objects_doc},
        {"write_block", write_block_of, METH_VARARGS, write_block_doc},
        {"follow", follow, METH_VARARGS, follow_doc},
        {"follow_up_to", follow_up_to, METH_O, follow_up_to_doc},
        {"tick", tick, METH_VARARGS, tick_doc},
        {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
        {"offset", offset, NULL, offset_doc, NULL},
        {"idle_bytes", idle_bytes, NULL, idle_bytes_doc, NULL},
        {"given_back", given_back, NULL, given_back_doc, NULL},
        {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(scanner_doc, "Scanner(fd, signature, smallest, n_digits, overheads)\n--\n\n"
                          "Reads the figures and stacks of blocks from the capture open as `fd`.\n\n"
                          "The other arguments encode marks, see marks.Alphabet. Raises ValueError for a\n"
                          "capture that it cannot read.");

static PyType_Slot slots[] = {
        {Py_tp_doc, (void *)scanner_doc},
        {Py_tp_traverse, scanner_traverse},
        {Py_tp_new, scanner_new},
        {Py_tp_dealloc, scanner_dealloc},
        {Py_tp_methods, methods},
        {Py_tp_getset, properties},
        {0, NULL},
};

static PyType_Spec spec = {
        .name = "membudget.recording._scanner.Scanner",
        .basicsize = sizeof(ScannerObject),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
        .slots = slots,
};

/* Constants that the Python code has as well; a test compares them. */
static int
add_constants(PyObject *module)
{
    static const struct {
        const char *name;
        long value;
    } constants[] = {
            {"MARK_LENGTH", MARK_LENGTH},
            {"SIGNATURE_LENGTH", SIGNATURE_LENGTH},
            {"START", START},
            {"END", END},
            {"PAUSE", PAUSE},
            {"RESUME", RESUME},
            {"SUSPEND", SUSPEND},
            {"CONTINUE", CONTINUE},
            {"LOOK", LOOK},
            {"N_KINDS", N_KINDS},
            {"FIGURES_ONLY", FIGURES_ONLY},
            {"KEEPS_STACKS", KEEPS_STACKS},
            {"FILTERS_STACKS", FILTERS_STACKS},
            {"ARENA_SIZE", ARENA_SIZE},
            {"ALLOCATOR_FREE", ALLOCATOR_FREE},
            {"ALLOCATOR_PYMALLOC_FREE", ALLOCATOR_PYMALLOC_FREE},
            {"ALLOCATOR_MMAP", ALLOCATOR_MMAP},
            {"ALLOCATOR_MUNMAP", ALLOCATOR_MUNMAP},
    };
    for (size_t i = 0; i < sizeof(constants) / sizeof(*constants); i++) {
        if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
exec_module(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    int failed = !type || PyModule_AddObjectRef(module, "Scanner", type) < 0
                 || add_constants(module) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {
        {Py_mod_exec, exec_module},
        {0, NULL},
};

PyDoc_STRVAR(start_follower_doc,
             "start_follower()\n--\n\n"
             "Start the thread that follows captures, unless it runs. Not while a tracker runs.\n\n"
             "Returns False if it cannot run here.");

static PyObject *
start_follower(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return PyBool_FromLong(follower_start());
}

PyDoc_STRVAR(followed_doc, "followed()\n--\n\n"
                           "Return how much of the present or last capture that thread has scanned.");

static PyObject *
followed(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return PyLong_FromUnsignedLongLong(follower_offset());
}

PyDoc_STRVAR(taken_bytes_doc,
             "taken_bytes()\n--\n\n"
             "Return how many bytes all scanners have taken from the system; see reader_memory.h.");

static PyObject *
taken_bytes(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return PyLong_FromSize_t(reader_memory_taken());
}

static PyMethodDef functions[] = {
        {"start_follower", start_follower, METH_NOARGS, start_follower_doc},
        {"followed", followed, METH_NOARGS, followed_doc},
        {"taken_bytes", taken_bytes, METH_NOARGS, taken_bytes_doc},
        {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {
        PyModuleDef_HEAD_INIT,
        .m_name = "_scanner",
        .m_doc = "Reads the figures and stacks of blocks from the capture that memray is still writing.",
        .m_methods = functions,
        .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__scanner(void)
{
    return PyModuleDef_Init(&module);
}

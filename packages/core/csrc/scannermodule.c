/* membudget.recording._scanner: the scanner as a Python type. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <stdlib.h>

#include "block_writer.h"
#include "peak_writer.h"
#include "scanner.h"

typedef struct {
    PyObject_HEAD
    Scanner scanner;
} ScannerObject;

static Scanner *
scanner_of(PyObject *self)
{
    return &((ScannerObject *)self)->scanner;
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
    if (!scanner_begin(scanner_of(self), fd, &spelling)) {
        Py_DECREF(self);
        PyErr_Format(PyExc_ValueError, "not a capture of all allocations with version %d",
                     CAPTURE_VERSION);
        return NULL;
    }
    return self;
}

/* It holds its type, as instances of heap types do, and no other object. */
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

PyDoc_STRVAR(expect_doc, "expect(serial, thread_only)\n--\n\n"
                         "Keep the books of a block whose START mark is still to come.");

static PyObject *
expect(PyObject *self, PyObject *args)
{
    unsigned long long serial;
    int thread_only;
    if (!PyArg_ParseTuple(args, "Kp", &serial, &thread_only)) {
        return NULL;
    }
    return none_or_no_memory(scanner_expect(scanner_of(self), serial, thread_only));
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

/* True, or False when it is not there; an exception for what failed. */
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
            errno = error ? error : EIO; /* the input ended where there was more of it before */
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

PyDoc_STRVAR(close_block_doc,
             "close_block(serial)\n--\n\n"
             "Scan up to the END mark of a block.\n\n"
             "Returns (peak_bytes, total_bytes, n_allocations, retained_bytes, size_histogram,\n"
             "peak_index, start_index, end_index, interrupted), or None when the marks are not all there. Raises ValueError\n"
             "for a damaged capture.");

static PyObject *
close_block(PyObject *self, PyObject *arg)
{
    unsigned long long serial = PyLong_AsUnsignedLongLong(arg);
    if (PyErr_Occurred()) {
        return NULL;
    }
    const Block *block;
    /* With the GIL: what another thread does meanwhile would only be more to read. The capture is in
     * the page cache, so this does not wait for a disk. */
    switch (scanner_close_block(scanner_of(self), serial, &block)) {
        case INCOMPLETE:
            return Py_NewRef(Py_None);
        case BROKEN:
            return broken();
        default:
            break;
    }
    PyObject *histogram = histogram_of(block);
    if (!histogram) {
        return NULL;
    }
    return Py_BuildValue("KKKKNLKKN", (unsigned long long)block->peak, (unsigned long long)block->total,
                         (unsigned long long)block->n_allocations, (unsigned long long)block->alive,
                         histogram, block->n_allocations ? (long long)block->peak_index : -1LL,
                         (unsigned long long)block->start_index, (unsigned long long)block->end_index,
                         PyBool_FromLong(block->interrupted));
}

static int
by_index(const void *left, const void *right)
{
    uint64_t a = ((const Alive *)left)->index;
    uint64_t b = ((const Alive *)right)->index;
    return (a > b) - (a < b);
}

static size_t
collect_alive(const Scanner *scanner, const Block *block, Alive *alive)
{
    size_t n = 0;
    for (size_t i = 0; i < scanner->allocations.n_places; i++) {
        const Allocation *allocation = &scanner->allocations.places[i];
        if (allocation->address && block_counts(block, allocation->origin)) {
            alive[n++] = (Alive){allocation->origin.index, allocation->size};
        }
    }
    for (size_t i = 0; i < scanner->mappings.n_ranges; i++) {
        const Mapping *mapping = &scanner->mappings.ranges[i];
        if (block_counts(block, mapping->origin)) {
            alive[n++] = (Alive){mapping->origin.index, mapping->high - mapping->low};
        }
    }
    return n;
}

PyDoc_STRVAR(alive_at_doc,
             "alive_at(serial, index)\n--\n\n"
             "Scan up to the record `index`; return what the block allocated and is alive then.\n\n"
             "As bytes: pairs of unsigned 64-bit integers, the index of the record that allocated and\n"
             "how many bytes of it are alive, in the order of the records. None when the capture ends\n"
             "before, or the block is not open there.");

static PyObject *
alive_at(PyObject *self, PyObject *args)
{
    unsigned long long serial, index;
    if (!PyArg_ParseTuple(args, "KK", &serial, &index)) {
        return NULL;
    }
    Scanner *scanner = scanner_of(self);
    switch (scanner_scan_to(scanner, index)) {
        case INCOMPLETE:
            return Py_NewRef(Py_None);
        case BROKEN:
            return broken();
        default:
            break;
    }
    const Block *block = scanner_block(scanner, serial);
    if (!block || block->state != OPEN) {
        return Py_NewRef(Py_None);
    }
    size_t most = scanner->allocations.n_used + scanner->mappings.n_ranges;
    Alive *alive = malloc((most ? most : 1) * sizeof(Alive));
    if (!alive) {
        return PyErr_NoMemory();
    }
    size_t n = collect_alive(scanner, block, alive);
    qsort(alive, n, sizeof(Alive), by_index);
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)alive, (Py_ssize_t)(n * sizeof(Alive)));
    free(alive);
    return bytes;
}

PyDoc_STRVAR(alive_objects_doc,
             "alive_objects(serial)\n--\n\n"
             "Scan up to the END mark of a block; return the objects that it made and that are alive.\n\n"
             "For a scanner that has scanned nothing yet, and a capture that has objects. As bytes: the\n"
             "address of each, an unsigned 64-bit integer. None when the block is not all there.");

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
    switch (scanner_close_block(scanner, serial, &block)) {
        case INCOMPLETE:
            return Py_NewRef(Py_None);
        case BROKEN:
            return broken();
        default:
            break;
    }
    const Allocations *objects = &scanner->objects;
    uint64_t *addresses = malloc((objects->n_used + 1) * sizeof(uint64_t));
    if (!addresses) {
        return PyErr_NoMemory();
    }
    size_t n = 0;
    for (size_t i = 0; i < objects->n_places; i++) {
        if (objects->places[i].address && block_counts(block, objects->places[i].origin)) {
            addresses[n++] = objects->places[i].address;
        }
    }
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)addresses,
                                                (Py_ssize_t)(n * sizeof(uint64_t)));
    free(addresses);
    return bytes;
}

PyDoc_STRVAR(write_block_doc,
             "write_block(serial, thread_only, n_outer, to)\n--\n\n"
             "Write the capture of a block, see csrc/block_writer.h, to the file descriptor `to`.\n\n"
             "For a scanner that has scanned nothing yet. False when the block is not all there.");

static PyObject *
write_block_of(PyObject *self, PyObject *args)
{
    unsigned long long serial;
    int thread_only, to;
    Py_ssize_t n_outer;
    if (!PyArg_ParseTuple(args, "Kpni", &serial, &thread_only, &n_outer, &to)) {
        return NULL;
    }
    int error;
    Written written
            = write_block(scanner_of(self), serial, thread_only, (size_t)n_outer, to, &error);
    return whether_written(written, error);
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
        {"close_block", close_block, METH_O, close_block_doc},
        {"alive_at", alive_at, METH_VARARGS, alive_at_doc},
        {"alive_objects", alive_objects, METH_O, alive_objects_doc},
        {"write_block", write_block_of, METH_VARARGS, write_block_doc},
        {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
        {"offset", offset, NULL, offset_doc, NULL},
        {"idle_bytes", idle_bytes, NULL, idle_bytes_doc, NULL},
        {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(scanner_doc, "Scanner(fd, signature, smallest, n_digits, overheads)\n--\n\n"
                          "Reads the figures of blocks from the capture open as `fd`.\n\n"
                          "The other arguments spell marks, see marks.Alphabet. Raises ValueError for a\n"
                          "capture that it cannot read.");

PyDoc_STRVAR(write_peak_doc,
             "write_peak(capture, peak, start_index, alive)\n--\n\n"
             "Write the capture of a peak, see csrc/peak_writer.h: from one file descriptor to another,\n"
             "`alive` as alive_at() returns it. False for a capture that cannot be cut so.");

static PyObject *
write_peak_of(PyObject *module, PyObject *args)
{
    (void)module;
    int from, to;
    unsigned long long mark;
    const char *alive;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "iiKy#", &from, &to, &mark, &alive, &length)) {
        return NULL;
    }
    /* bytes are aligned for what they hold here: they begin behind a header of pointers. */
    const Alive *first = (const Alive *)alive;
    int error;
    Written written = write_peak(from, to, mark, first, (size_t)length / sizeof(Alive), &error);
    return whether_written(written, error);
}

static PyMethodDef functions[] = {
        {"write_peak", write_peak_of, METH_VARARGS, write_peak_doc},
        {NULL, NULL, 0, NULL},
};

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

/* Those that the Python code has as well; a test compares them. */
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
            {"N_KINDS", N_KINDS},
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

static PyModuleDef module = {
        PyModuleDef_HEAD_INIT,
        .m_name = "_scanner",
        .m_doc = "Reads the figures of blocks from the capture that memray is still writing.",
        .m_methods = functions,
        .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__scanner(void)
{
    return PyModuleDef_Init(&module);
}

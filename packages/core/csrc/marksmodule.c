/* membudget.recording._marks: makes marks that are in no figure.
 *
 * If Python allocators are traced, Python code that makes a mark records at least the frame object of
 * its function as well. C code records only the mark.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

enum {
    MARK_LENGTH = 6,
    OVERHEAD = 33, /* of a bytes object; readers accept any value up to that of debug builds */
};

/* Volatile, because otherwise the compiler removes both calls. */
static void
make_object(size_t length)
{
    void *volatile object = malloc(length + OVERHEAD);
    free(object);
}

typedef struct {
    size_t lengths[MARK_LENGTH];
} Lengths;

static int
read_lengths(PyObject *sequence, Lengths *lengths)
{
    if (!PyTuple_Check(sequence) || PyTuple_Size(sequence) != MARK_LENGTH) {
        PyErr_Format(PyExc_TypeError, "a mark is a tuple of %d lengths", MARK_LENGTH);
        return -1;
    }
    for (Py_ssize_t i = 0; i < MARK_LENGTH; i++) {
        lengths->lengths[i] = PyLong_AsSize_t(PyTuple_GetItem(sequence, i));
        if (lengths->lengths[i] == (size_t)-1 && PyErr_Occurred()) {
            return -1;
        }
    }
    return 0;
}

static void
write_mark(const Lengths *lengths)
{
    for (int i = 0; i < MARK_LENGTH; i++) {
        make_object(lengths->lengths[i]);
    }
}

PyDoc_STRVAR(make_mark_doc, "make_mark(lengths)\n--\n\n"
                            "Write a mark into the stream of the active tracker.");

static PyObject *
make_mark(PyObject *module, PyObject *sequence)
{
    (void)module;
    Lengths lengths;
    if (read_lengths(sequence, &lengths) < 0) {
        return NULL;
    }
    write_mark(&lengths);
    return Py_NewRef(Py_None);
}

/* Stretches of membudget's own work.
 *
 * Entering and leaving a block are such stretches, and so is an AtWork. In the stream, a thread is at
 * work from the first stretch to begin until the last one to end: a stretch inside another one makes
 * no marks. This is C code so that no signal handler can run between a stretch and the mark at its
 * end. */

typedef struct {
    bool at_work; /* whether this thread is at work in the stream */
    unsigned n_stretches;
} ThreadWork;

static _Thread_local ThreadWork here;

/* For the whole process, like its recorder. */
static struct {
    bool are_set;
    Lengths pause;
    Lengths resume;
} work_marks;

PyDoc_STRVAR(set_work_marks_doc,
             "set_work_marks(pause, resume)\n--\n\n"
             "Set the marks to make when a thread begins and ends membudget's own work.");

static PyObject *
set_work_marks(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *pause;
    PyObject *resume;
    if (!PyArg_ParseTuple(args, "OO", &pause, &resume) || read_lengths(pause, &work_marks.pause) < 0
        || read_lengths(resume, &work_marks.resume) < 0)
    {
        return NULL;
    }
    work_marks.are_set = true;
    return Py_NewRef(Py_None);
}

static void
write_work_mark(const Lengths *mark)
{
    if (work_marks.are_set) {
        write_mark(mark);
    }
}

/* Returns whether the thread was at work before. */
static bool
begin_work(void)
{
    bool was_at_work = here.at_work;
    here.n_stretches++;
    if (!was_at_work) {
        write_work_mark(&work_marks.pause);
        here.at_work = true;
    }
    return was_at_work;
}

/* `was_at_work`: whether this stretch is inside another one, which continues if it has not ended. */
static void
end_work(bool was_at_work)
{
    here.n_stretches--;
    if (!was_at_work || !here.n_stretches) {
        write_work_mark(&work_marks.resume);
        here.at_work = false;
    }
}

/* AtWork: a stretch, as a context manager. It also ends when the object is deleted. */

typedef struct {
    PyObject_HEAD
    bool was_at_work;
    const ThreadWork *thread; /* NULL: not entered */
} AtWork;

static PyObject *
enter_work(PyObject *self, PyObject *unused)
{
    (void)unused;
    AtWork *work = (AtWork *)self;
    if (work->thread) {
        PyErr_SetString(PyExc_RuntimeError, "this AtWork object has been entered already");
        return NULL;
    }
    work->thread = &here;
    work->was_at_work = begin_work();
    return Py_NewRef(Py_None);
}

static PyObject *
leave_work(PyObject *self, PyObject *unused)
{
    (void)unused;
    AtWork *work = (AtWork *)self;
    if (work->thread == &here) {
        end_work(work->was_at_work);
    }
    work->thread = NULL;
    return Py_NewRef(Py_None);
}

static void
dealloc_work(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(leave_work(self, NULL));
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef work_methods[] = {
        {"__enter__", enter_work, METH_NOARGS, "__enter__()\n--\n\nBegin the stretch."},
        {"__exit__", leave_work, METH_VARARGS, "__exit__(*exc)\n--\n\nEnd the stretch."},
        {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(work_doc, "A stretch of membudget's own work, which no block counts.");

static PyType_Slot work_slots[] = {
        {Py_tp_doc, (void *)work_doc},
        {Py_tp_methods, work_methods},
        {Py_tp_dealloc, dealloc_work},
        {0, NULL},
};

static PyType_Spec work_spec = {
        .name = "membudget.recording._marks.AtWork",
        .basicsize = sizeof(AtWork),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = work_slots,
};

/* MarkedBlock: base class of context managers with a START mark on entry and an END mark on exit. */

typedef struct {
    PyObject_HEAD
    bool has_start;
    bool has_end;
    bool collects;
    bool settles;
    bool was_at_work; /* it was entered inside a stretch of work of this thread: */
    const ThreadWork *thread;
    Lengths start;
    Lengths end;
} MarkedBlock;

PyDoc_STRVAR(set_marks_doc,
             "_set_marks(start, end, collects=False, settles=False)\n--\n\n"
             "Set the marks to make, once, when the `with` statement is entered and left.\n\n"
             "Collect garbage before both marks, and call self._settle() before the END mark, if these\n"
             "flags are set.");

/* Like gc.collect(): works even if the program has turned off automatic collection. */
static void
collect_garbage(void)
{
    int was_enabled = PyGC_Enable();
    PyGC_Collect();
    if (!was_enabled) {
        PyGC_Disable();
    }
}

static PyObject *
set_marks(PyObject *self, PyObject *args)
{
    MarkedBlock *block = (MarkedBlock *)self;
    PyObject *start;
    PyObject *end;
    int collects = 0;
    int settles = 0;
    if (!PyArg_ParseTuple(args, "OO|pp", &start, &end, &collects, &settles)
        || read_lengths(start, &block->start) < 0 || read_lengths(end, &block->end) < 0)
    {
        return NULL;
    }
    block->has_start = block->has_end = true;
    block->collects = collects;
    block->settles = settles;
    return Py_NewRef(Py_None);
}

PyDoc_STRVAR(clear_marks_doc, "_clear_marks()\n--\n\nMake no marks.");

static PyObject *
clear_marks(PyObject *self, PyObject *unused)
{
    (void)unused;
    ((MarkedBlock *)self)->has_start = ((MarkedBlock *)self)->has_end = false;
    return Py_NewRef(Py_None);
}

/* Cut the traceback of an exception at the frame that has the block, if its class asks for it. */
static void
forget_own_frames(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *ends = type ? PyObject_GetAttrString(type, "_ends_at_the_block") : NULL;
    if (ends == Py_True) {
        Py_CLEAR(traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        PyException_SetTraceback(value, Py_None); /* since 3.12 the exception itself has it */
    }
    Py_XDECREF(ends);
    PyErr_Clear(); /* there was no such attribute */
    PyErr_Restore(type, value, traceback);
}

/* Call self._enter_failed() or self._leave_failed() while an exception propagates. If the call is
 * interrupted, the interruption propagates instead, and the method is called again. */
static void
clean_up(PyObject *self, const char *method)
{
    for (int i = 0; i < 2; i++) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        if (traceback) {
            PyException_SetTraceback(value, traceback);
        }
        PyObject *cleaned = PyObject_CallMethod(self, method, NULL);
        if (cleaned) {
            Py_DECREF(cleaned);
            PyErr_Restore(type, value, traceback);
            return;
        }
        Py_XDECREF(type);
        Py_XDECREF(traceback);
        PyErr_Fetch(&type, &cleaned, &traceback);
        PyErr_NormalizeException(&type, &cleaned, &traceback);
        if (cleaned != value) {
            PyException_SetContext(cleaned, value); /* takes the reference */
        } else {
            Py_DECREF(value);
        }
        PyErr_Restore(type, cleaned, traceback);
    }
}

PyDoc_STRVAR(enter_doc, "__enter__()\n--\n\n"
                        "Call self._enter(), make the START mark last, return self.");

static PyObject *
enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    bool was_at_work = begin_work();
    PyObject *entered = PyObject_CallMethod(self, "_enter", NULL);
    if (!entered) {
        clean_up(self, "_enter_failed");
        end_work(was_at_work);
        forget_own_frames();
        return NULL;
    }
    Py_DECREF(entered);
    MarkedBlock *block = (MarkedBlock *)self;
    if (block->has_start) {
        block->has_start = false;
        if (block->collects) {
            collect_garbage();
        }
        block->was_at_work = was_at_work;
        block->thread = &here;
        here.n_stretches--;
        here.at_work = false;
        write_mark(&block->start);
    } else {
        end_work(was_at_work);
    }
    Py_INCREF(self);
    return self;
}

/* Instances of heap types refer to their type; subclasses rely on their base to visit it. */
static int
visit_type(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static PyMethodDef block_methods[] = {
        {"_set_marks", set_marks, METH_VARARGS, set_marks_doc},
        {"_clear_marks", clear_marks, METH_NOARGS, clear_marks_doc},
        {"__enter__", enter, METH_NOARGS, enter_doc},
        {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(block_doc,
             "Base class of context managers with a START mark on entry and an END mark on exit.");

static PyType_Slot block_slots[] = {
        {Py_tp_doc, (void *)block_doc},
        {Py_tp_methods, block_methods},
        {Py_tp_traverse, visit_type},
        {0, NULL},
};

static PyType_Spec block_spec = {
        .name = "membudget.recording._marks.MarkedBlock",
        .basicsize = sizeof(MarkedBlock),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
        .slots = block_slots,
};

/* BlockExit: __exit__ of a MarkedBlock, and the block to which it is bound.
 *
 * It is not a built-in method: before Python calls one of those, it calls the profile function, which
 * can allocate in the block. It is called by vectorcall, which needs no tuple. */

/* PEP 590. In the stable ABI since 3.12; 3.11 has the same. */
#ifndef Py_TPFLAGS_HAVE_VECTORCALL
#define Py_TPFLAGS_HAVE_VECTORCALL (1UL << 11)
#endif

typedef PyObject *(*Vectorcall)(PyObject *, PyObject *const *, size_t, PyObject *);

typedef struct {
    PyObject_HEAD
    Vectorcall vectorcall;
    PyObject *block_type;
    PyObject *block; /* NULL: not bound */
} BlockExit;

/* Call self._settle() before the END mark. False for an exception, such as an interruption. */
static bool
settle(PyObject *block)
{
    bool was_at_work = begin_work();
    PyObject *result = PyObject_CallMethod(block, "_settle", NULL);
    end_work(was_at_work);
    Py_XDECREF(result);
    return result;
}

static PyObject *
leave(PyObject *self, PyObject *const *args, size_t n_args, PyObject *names)
{
    (void)names;
    BlockExit *exit = (BlockExit *)self;
    PyObject *object = exit->block;
    n_args &= ~((size_t)1 << (8 * sizeof(size_t) - 1)); /* PyVectorcall_NARGS */
    if (!object && n_args) {
        object = *args++;
        n_args--;
    }
    /* Checks the real type: isinstance() uses an object's __class__, which a mock can set. */
    if (!object || !PyObject_TypeCheck(object, (PyTypeObject *)exit->block_type)) {
        PyErr_SetString(PyExc_TypeError, "__exit__ is called with something that is no MarkedBlock");
        return NULL;
    }
    if (n_args != 3) {
        PyErr_SetString(PyExc_TypeError, "__exit__ takes an exception type, an exception, a traceback");
        return NULL;
    }
    MarkedBlock *block = (MarkedBlock *)object;
    bool was_at_work;
    bool settled = true;
    if (block->has_end) {
        block->has_end = false;
        if (block->collects) {
            collect_garbage();
        }
        if (block->settles) {
            settled = settle(object);
        }
        was_at_work = here.at_work || (block->was_at_work && block->thread == &here);
        if (here.at_work) {
            write_work_mark(&work_marks.resume); /* otherwise the END mark would look like an interruption */
        }
        write_mark(&block->end);
        here.at_work = true;
        here.n_stretches++;
    } else {
        was_at_work = begin_work();
    }
    PyObject *left = NULL;
    if (settled) {
        left = PyObject_CallMethod(object, "_leave", "OOO", args[0], args[1], args[2]);
    }
    if (!left) {
        clean_up(object, "_leave_failed");
    }
    end_work(was_at_work);
    if (!left) {
        forget_own_frames();
    }
    return left;
}

static PyObject *
leave_with_tuple(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    PyObject *items[4] = {NULL};
    Py_ssize_t n_args = PyTuple_Size(args);
    for (Py_ssize_t i = 0; i < n_args && i < 4; i++) {
        items[i] = PyTuple_GetItem(args, i);
    }
    return leave(self, items, n_args < 4 ? (size_t)n_args : 4, NULL);
}

static PyObject *
new_exit(PyTypeObject *type, PyObject *block_type, PyObject *block)
{
    BlockExit *exit = (BlockExit *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (exit) {
        exit->vectorcall = leave;
        Py_INCREF(block_type);
        exit->block_type = block_type;
        Py_XINCREF(block);
        exit->block = block;
    }
    return (PyObject *)exit;
}

static PyObject *
bind_exit(PyObject *self, PyObject *block, PyObject *type)
{
    (void)type;
    if (!block || block == Py_None) {
        Py_INCREF(self);
        return self;
    }
    return new_exit(Py_TYPE(self), ((BlockExit *)self)->block_type, block);
}

static int
traverse_exit(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((BlockExit *)self)->block_type);
    Py_VISIT(((BlockExit *)self)->block);
    return visit_type(self, visit, arg);
}

static int
clear_exit(PyObject *self)
{
    /* A second call is a TypeError, because it is no longer bound to a block. Its type stays. */
    Py_CLEAR(((BlockExit *)self)->block);
    return 0;
}

static void
dealloc_exit(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear_exit(self);
    Py_CLEAR(((BlockExit *)self)->block_type);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMemberDef exit_members[] = {
        {"__vectorcalloffset__", T_PYSSIZET, offsetof(BlockExit, vectorcall), READONLY, NULL},
        {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(exit_doc, "Make the END mark before anything else, and return self._leave(...).");

static PyType_Slot exit_slots[] = {
        {Py_tp_doc, (void *)exit_doc},
        {Py_tp_call, leave_with_tuple},
        {Py_tp_descr_get, bind_exit},
        {Py_tp_traverse, traverse_exit},
        {Py_tp_clear, clear_exit},
        {Py_tp_dealloc, dealloc_exit},
        {Py_tp_members, exit_members},
        {0, NULL},
};

static PyType_Spec exit_spec = {
        .name = "membudget.recording._marks.BlockExit",
        .basicsize = sizeof(BlockExit),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL
                 | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = exit_slots,
};

static PyMethodDef functions[] = {
        {"make_mark", make_mark, METH_O, make_mark_doc},
        {"set_work_marks", set_work_marks, METH_VARARGS, set_work_marks_doc},
        {NULL, NULL, 0, NULL},
};

static int
exec_module(PyObject *module)
{
    PyObject *block_type = PyType_FromSpec(&block_spec);
    PyObject *exit_type = PyType_FromSpec(&exit_spec);
    PyObject *work_type = PyType_FromSpec(&work_spec);
    PyObject *exit = NULL;
    if (block_type && exit_type) {
        exit = new_exit((PyTypeObject *)exit_type, block_type, NULL);
    }
    int failed = !exit || PyObject_SetAttrString(block_type, "__exit__", exit) < 0
                 || PyModule_AddObjectRef(module, "MarkedBlock", block_type) < 0
                 || PyModule_AddIntMacro(module, MARK_LENGTH) < 0
                 || PyModule_AddIntMacro(module, OVERHEAD) < 0
                 || !work_type || PyModule_AddObjectRef(module, "AtWork", work_type) < 0;
    Py_XDECREF(exit);
    Py_XDECREF(exit_type);
    Py_XDECREF(work_type);
    Py_XDECREF(block_type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {
        {Py_mod_exec, exec_module},
        {0, NULL},
};

static PyModuleDef module = {
        PyModuleDef_HEAD_INIT,
        .m_name = "_marks",
        .m_doc = "Marks that leave no trace in any figure.",
        .m_methods = functions,
        .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__marks(void)
{
    return PyModuleDef_Init(&module);
}

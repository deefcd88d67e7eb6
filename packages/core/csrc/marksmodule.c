/* membudget.recording._marks: marks that leave no trace in any figure.
 *
 * What Python code does to make a mark shows in the capture when python allocators are traced: the
 * frame object of the function that makes it, at least. From C there is nothing but the mark.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

enum {
    MARK_LENGTH = 6,
    OVERHEAD = 33, /* that of a bytes object; readers understand any up to that of debug builds */
};

/* Volatile, or the compiler would leave both calls out. */
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
    Py_RETURN_NONE;
}

/* Stretches of membudget's own work.
 *
 * Entering and leaving a block are such stretches, and so is an AtWork. From the first one to begin
 * in a thread to the last one to end there, the stream says that the thread is at work: a stretch in
 * another one makes no marks. This is C code so that no signal handler can come between a stretch
 * and the mark that ends it. */

typedef struct {
    bool at_work; /* what the stream says of this thread */
    unsigned n_stretches;
} ThreadWork;

static _Thread_local ThreadWork here;

/* Of the whole process, as its recorder is. */
static struct {
    bool are_set;
    Lengths pause;
    Lengths resume;
} work_marks;

PyDoc_STRVAR(set_work_marks_doc,
             "set_work_marks(pause, resume)\n--\n\n"
             "Make these marks where a thread turns to membudget's own work, and back.");

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
    Py_RETURN_NONE;
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

/* `was_at_work`: whether this stretch lies in another one, which goes on if it has not ended. */
static void
end_work(bool was_at_work)
{
    here.n_stretches--;
    if (!was_at_work || !here.n_stretches) {
        write_work_mark(&work_marks.resume);
        here.at_work = false;
    }
}

/* AtWork: a stretch, as a context manager. One that is lost ends as well. */

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
    Py_RETURN_NONE;
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
    Py_RETURN_NONE;
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

/* MarkedBlock: the base class of what is entered with a START mark and left with an END mark. */

typedef struct {
    PyObject_HEAD
    bool has_start;
    bool has_end;
    bool collects_before;
    bool collects_after;
    bool was_at_work; /* it was entered in a stretch of work, of this thread: */
    const ThreadWork *thread;
    Lengths start;
    Lengths end;
} MarkedBlock;

PyDoc_STRVAR(set_marks_doc,
             "_set_marks(start, end, collects_before=False, collects_after=False)\n--\n\n"
             "Make these marks when the `with` statement is entered and left, once.\n\n"
             "Collect garbage before the START mark, and before the END mark, if that is asked for.");

/* As gc.collect() does, also where the program has switched the automatic collection off. */
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
    int collects_before = 0;
    int collects_after = 0;
    if (!PyArg_ParseTuple(args, "OO|pp", &start, &end, &collects_before, &collects_after)
        || read_lengths(start, &block->start) < 0 || read_lengths(end, &block->end) < 0)
    {
        return NULL;
    }
    block->has_start = block->has_end = true;
    block->collects_before = collects_before;
    block->collects_after = collects_after;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(clear_marks_doc, "_clear_marks()\n--\n\nMake no marks.");

static PyObject *
clear_marks(PyObject *self, PyObject *unused)
{
    (void)unused;
    ((MarkedBlock *)self)->has_start = ((MarkedBlock *)self)->has_end = false;
    Py_RETURN_NONE;
}

/* Let the traceback of what was raised end in the frame that has the block, if it is for that. */
static void
forget_own_frames(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *ends = type ? PyObject_GetAttrString(type, "_ends_at_the_block") : NULL;
    if (ends == Py_True) {
        Py_CLEAR(traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        PyException_SetTraceback(value, Py_None); /* since 3.12 it is the exception that has it */
    }
    Py_XDECREF(ends);
    PyErr_Clear(); /* there was no such attribute */
    PyErr_Restore(type, value, traceback);
}

/* Call self._enter_failed() or self._leave_failed(), while an exception is on its way. What
 * interrupts that goes on in its place, and it is called once more. */
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
                        "Call self._enter(), make the START mark after anything else, return self.");

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
        if (block->collects_before) {
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

static PyMethodDef block_methods[] = {
        {"_set_marks", set_marks, METH_VARARGS, set_marks_doc},
        {"_clear_marks", clear_marks, METH_NOARGS, clear_marks_doc},
        {"__enter__", enter, METH_NOARGS, enter_doc},
        {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(block_doc,
             "The base class of what is entered with a START mark and left with an END mark.");

static PyType_Slot block_slots[] = {
        {Py_tp_doc, (void *)block_doc},
        {Py_tp_methods, block_methods},
        {0, NULL},
};

static PyType_Spec block_spec = {
        .name = "membudget.recording._marks.MarkedBlock",
        .basicsize = sizeof(MarkedBlock),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
        .slots = block_slots,
};

/* BlockExit: __exit__ of a MarkedBlock, and what it is bound to.
 *
 * No built-in method: before Python calls one of those, it tells the profile function about the call,
 * and that can allocate, in the block. It is called by vectorcall, which needs no tuple. */

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
    int is_block = object ? PyObject_IsInstance(object, exit->block_type) : 0;
    if (is_block < 0) {
        return NULL;
    }
    if (!is_block || n_args != 3) {
        PyErr_SetString(PyExc_TypeError, "__exit__ takes an exception type, an exception, a traceback");
        return NULL;
    }
    MarkedBlock *block = (MarkedBlock *)object;
    bool was_at_work;
    if (block->has_end) {
        block->has_end = false;
        if (block->collects_after) {
            collect_garbage();
        }
        was_at_work = here.at_work || (block->was_at_work && block->thread == &here);
        if (here.at_work) {
            write_work_mark(&work_marks.resume); /* or the END mark would tell of an interruption */
        }
        write_mark(&block->end);
        here.at_work = true;
        here.n_stretches++;
    } else {
        was_at_work = begin_work();
    }
    PyObject *left = PyObject_CallMethod(object, "_leave", "OOO", args[0], args[1], args[2]);
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

static void
dealloc_exit(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_CLEAR(((BlockExit *)self)->block_type);
    Py_CLEAR(((BlockExit *)self)->block);
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
        {Py_tp_dealloc, dealloc_exit},
        {Py_tp_members, exit_members},
        {0, NULL},
};

static PyType_Spec exit_spec = {
        .name = "membudget.recording._marks.BlockExit",
        .basicsize = sizeof(BlockExit),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
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

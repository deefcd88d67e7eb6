/* membudget.recording._tracemalloc: lets tracemalloc start and stop below memray, and removes memray's
 * allocators between blocks.
 *
 * A tracker that traces Python's allocators puts its own in front of the present ones, and restores
 * these when it stops. tracemalloc does the same. The last to start must be the first to stop:
 * otherwise allocators that no longer exist are restored, which crashes, or allocators that are in use
 * are removed. So while such a tracker runs, its allocators are removed while tracemalloc starts or
 * stops, and then put in front of the present ones again.
 *
 * The C functions behind the two functions of _tracemalloc are replaced, so that it does not matter
 * under which name, or from where, a program calls them.
 *
 * No block counts what is allocated between blocks. So memray's allocators are removed then, and memray
 * records nothing of what a test framework allocates there.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <string.h>

#ifdef Py_LIMITED_API
/* Not in the limited API. They have been the same since Python 3.5. */
typedef struct {
    void *ctx;
    void *functions[4];
} PyMemAllocatorEx;

typedef int PyMemAllocatorDomain;

extern void PyMem_GetAllocator(PyMemAllocatorDomain, PyMemAllocatorEx *);
extern void PyMem_SetAllocator(PyMemAllocatorDomain, PyMemAllocatorEx *);
extern PyInterpreterState *PyInterpreterState_Head(void);
extern PyInterpreterState *PyInterpreterState_Next(PyInterpreterState *);
#endif

typedef PyMemAllocatorEx Allocator;

enum { N_DOMAINS = 3 }; /* raw, mem, obj */

/* The domains whose functions are called only with the GIL. Other threads may be calling those of the
 * first domain at any time, so these are not replaced often. */
enum { FIRST_WITH_GIL = 1 };

/* The beginning of PyCFunctionObject, which is not in the limited API either. */
typedef struct {
    PyObject_HEAD
    PyMethodDef *definition;
} BuiltinFunction;

typedef PyObject *(*FastFunction)(PyObject *, PyObject *const *, Py_ssize_t);

/* One for the process, like memray's tracker. */
static FastFunction real_start;
static PyCFunction real_stop;
static PyObject *before_switch; /* NULL: no tracker is guarded */
static Allocator below[N_DOMAINS];
static bool resting; /* memray's allocators `at_rest` are removed */
static Allocator at_rest[N_DOMAINS];

static void
get_allocators(Allocator *allocators)
{
    for (int domain = 0; domain < N_DOMAINS; domain++) {
        PyMem_GetAllocator((PyMemAllocatorDomain)domain, &allocators[domain]);
    }
}

static void
set_allocators(Allocator *allocators)
{
    for (int domain = 0; domain < N_DOMAINS; domain++) {
        PyMem_SetAllocator((PyMemAllocatorDomain)domain, &allocators[domain]);
    }
}

/* Whether these are memray's: the context of each is the place where memray keeps the old one. */
static bool
are_above(const Allocator *allocators)
{
    for (int domain = 0; domain < N_DOMAINS; domain++) {
        const Allocator *kept = allocators[domain].ctx;
        if (!kept || memcmp(&allocators[domain], &below[domain], sizeof(Allocator)) == 0
            || memcmp(kept, &below[domain], sizeof(Allocator)) != 0)
        {
            return false;
        }
    }
    return true;
}

/* Remove memray's allocators, if they are set. -1: there is an exception. */
static int
take_off(Allocator *above, bool *are_off)
{
    *are_off = false;
    if (before_switch) {
        PyObject *callback = Py_NewRef(before_switch);
        PyObject *called = PyObject_CallNoArgs(callback);
        Py_DECREF(callback);
        if (!called) {
            return -1;
        }
        Py_DECREF(called);
    }
    if (!before_switch) {
        return 0; /* the tracker has been stopped */
    }
    get_allocators(above);
    if (memcmp(above, below, sizeof(below)) == 0) {
        return 0; /* it has not set its allocators yet */
    }
    if (!are_above(above)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "tracemalloc can neither start nor stop now: something else has replaced "
                        "Python's allocators while membudget records");
        return -1;
    }
    set_allocators(below);
    *are_off = true;
    return 0;
}

/* Put them in front of the present ones. */
static void
put_on(Allocator *above)
{
    get_allocators(below);
    for (int domain = 0; domain < N_DOMAINS; domain++) {
        *(Allocator *)above[domain].ctx = below[domain];
    }
    set_allocators(above);
}

static PyObject *
start_below(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    Allocator above[N_DOMAINS];
    bool are_off;
    if (take_off(above, &are_off) < 0) {
        return NULL;
    }
    PyObject *started = real_start(module, args, n_args);
    if (are_off) {
        put_on(above);
    }
    return started;
}

static PyObject *
stop_below(PyObject *module, PyObject *unused)
{
    Allocator above[N_DOMAINS];
    bool are_off;
    if (take_off(above, &are_off) < 0) {
        return NULL;
    }
    PyObject *stopped = real_stop(module, unused);
    if (are_off) {
        put_on(above);
    }
    return stopped;
}

/* NULL: there is an exception, or this code does not know the calling convention. */
static PyMethodDef *
definition_of(PyObject *module, const char *name, int flags)
{
    PyObject *function = PyObject_GetAttrString(module, name);
    PyMethodDef *definition = NULL;
    if (function && PyObject_TypeCheck(function, &PyCFunction_Type)) {
        definition = ((BuiltinFunction *)function)->definition;
    }
    Py_XDECREF(function);
    if (definition && (definition->ml_flags != flags || strcmp(definition->ml_name, name) != 0)) {
        definition = NULL;
    }
    if (!definition && !PyErr_Occurred()) {
        PyErr_Format(PyExc_ImportError, "_tracemalloc.%s is not the function that it was", name);
    }
    return definition;
}

/* Whether no other thread can call the functions while this one replaces them. */
static bool
can_replace(void)
{
#ifdef Py_GIL_DISABLED
    return false;
#else
    return !PyInterpreterState_Next(PyInterpreterState_Head()); /* others can have a GIL of their own */
#endif
}

static bool
are_set(const Allocator *allocators)
{
    Allocator present[N_DOMAINS];
    get_allocators(present);
    return memcmp(present + FIRST_WITH_GIL, allocators + FIRST_WITH_GIL,
                  (N_DOMAINS - FIRST_WITH_GIL) * sizeof(Allocator))
           == 0;
}

static void
set_with_gil(Allocator *allocators)
{
    for (int domain = FIRST_WITH_GIL; domain < N_DOMAINS; domain++) {
        PyMem_SetAllocator((PyMemAllocatorDomain)domain, &allocators[domain]);
    }
}

PyDoc_STRVAR(rest_doc, "rest()\n--\n\n"
                       "Remove memray's allocators until wake(), if they are set. Not the one for\n"
                       "memory that is allocated without the GIL.");

static PyObject *
rest(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (before_switch && !resting && can_replace()) {
        get_allocators(at_rest);
        if (are_above(at_rest)) {
            set_with_gil(below);
            resting = true;
        }
    }
    return Py_NewRef(Py_None);
}

static bool
may_wake(void)
{
    return !resting || (can_replace() && are_set(below));
}

PyDoc_STRVAR(can_wake_doc, "can_wake()\n--\n\nReturn whether wake() would return True now.");

static PyObject *
can_wake(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyBool_FromLong(may_wake());
}

PyDoc_STRVAR(wake_doc, "wake()\n--\n\n"
                       "End rest(). Return False, and change nothing, if the program has replaced the\n"
                       "allocators, or has another interpreter by now.");

static PyObject *
wake(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (!may_wake()) {
        return Py_NewRef(Py_False);
    }
    if (resting) {
        set_with_gil(at_rest);
        resting = false;
    }
    return Py_NewRef(Py_True);
}

PyDoc_STRVAR(guard_doc, "guard(before_switch)\n--\n\n"
                        "Call it before a tracker that traces Python's allocators starts.\n\n"
                        "before_switch() is called just before tracemalloc starts or stops.");

static PyObject *
guard(PyObject *module, PyObject *callback)
{
    (void)module;
    get_allocators(below);
    resting = false;
    PyObject *last = before_switch;
    before_switch = Py_NewRef(callback);
    Py_XDECREF(last);
    return Py_NewRef(Py_None);
}

PyDoc_STRVAR(end_doc, "end()\n--\n\nWhen the tracker has stopped.");

static PyObject *
end(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    resting = false;
    Py_CLEAR(before_switch);
    return Py_NewRef(Py_None);
}

static PyMethodDef functions[] = {
        {"guard", guard, METH_O, guard_doc},
        {"end", end, METH_NOARGS, end_doc},
        {"can_wake", can_wake, METH_NOARGS, can_wake_doc},
        {"rest", rest, METH_NOARGS, rest_doc},
        {"wake", wake, METH_NOARGS, wake_doc},
        {NULL, NULL, 0, NULL},
};

static int
exec_module(PyObject *module)
{
    (void)module;
    if (real_start) {
        return 0;
    }
    PyObject *tracemalloc = PyImport_ImportModule("_tracemalloc");
    if (!tracemalloc) {
        return -1;
    }
    PyMethodDef *start = definition_of(tracemalloc, "start", METH_FASTCALL);
    PyMethodDef *stop = start ? definition_of(tracemalloc, "stop", METH_NOARGS) : NULL;
    Py_DECREF(tracemalloc);
    if (!stop) {
        return -1;
    }
    real_start = (FastFunction)(void (*)(void))start->ml_meth;
    real_stop = stop->ml_meth;
    start->ml_meth = (PyCFunction)(void (*)(void))start_below;
    stop->ml_meth = stop_below;
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
        {Py_mod_exec, exec_module},
        {0, NULL},
};

static PyModuleDef module = {
        PyModuleDef_HEAD_INIT,
        .m_name = "_tracemalloc",
        .m_doc = "Lets tracemalloc start and stop below memray; removes memray between blocks.",
        .m_methods = functions,
        .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__tracemalloc(void)
{
    return PyModuleDef_Init(&module);
}

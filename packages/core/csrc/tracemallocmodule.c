/* membudget.recording._tracemalloc: lets tracemalloc start and stop below memray.
 *
 * A tracker that traces Python's allocators puts its own in front of the present ones, and restores
 * these when it stops. tracemalloc does the same. The last to start must be the first to stop:
 * otherwise allocators that no longer exist are restored, which crashes, or allocators that are in use
 * are removed. So while such a tracker runs, its allocators are removed while tracemalloc starts or
 * stops, and then put in front of the present ones again.
 *
 * The C functions behind the two functions of _tracemalloc are replaced, so that it does not matter
 * under which name, or from where, a program calls them.
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
#endif

typedef PyMemAllocatorEx Allocator;

enum { N_DOMAINS = 3 }; /* raw, mem, obj */

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

PyDoc_STRVAR(guard_doc, "guard(before_switch)\n--\n\n"
                        "Call it before a tracker that traces Python's allocators starts.\n\n"
                        "before_switch() is called just before tracemalloc starts or stops.");

static PyObject *
guard(PyObject *module, PyObject *callback)
{
    (void)module;
    get_allocators(below);
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
    Py_CLEAR(before_switch);
    return Py_NewRef(Py_None);
}

static PyMethodDef functions[] = {
        {"guard", guard, METH_O, guard_doc},
        {"end", end, METH_NOARGS, end_doc},
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
        .m_doc = "Lets tracemalloc start and stop below memray.",
        .m_methods = functions,
        .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__tracemalloc(void)
{
    return PyModuleDef_Init(&module);
}

/* Sums of histograms in the storage format, added up from their text, exactly.
 *
 * Sums().add(data, start, end)   adds the arrays of the object {"NAME":[...],...} at data[start:end], which is strict
 *                                JSON; False, nothing being added, in any doubt: the caller adds in its own way
 * Sums().items()                 [(name, [count, ...], [statistic, ...]), ...]; a statistic is None if it was absent
 *                                everywhere, else the list of an integer or None and of floats that add up exactly
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "hash.h"
#include <math.h>

#define STATISTICS 5
#define MOST_DIGITS 18     /* of an integer: 2^67 of such fit in a sum */
#define LARGEST 1e290      /* of a float: sums of such do not overflow */

typedef __int128 Big;

typedef struct {
    int present, integers, floats, n, room;
    Big whole;
    double *parts; /* that add up to the floats, none overlapping another */
} Statistic;

typedef struct Array {
    Py_ssize_t length; /* of the stored array, statistics included */
    int used;
    Big *counts;
    Statistic statistics[STATISTICS];
    struct Array *next; /* of the same name, with another length */
} Array;

typedef struct {
    char *name;
    Py_ssize_t length;
    uint64_t hash;
    uint32_t seen; /* the epoch of the last ping that had it */
    Array *arrays;
} Name;

/* A number of the ping at hand: to be added when all of them are known to be good. */
typedef struct {
    Array *array;
    Py_ssize_t at;
    int is_float;
    int64_t integer;
    double real;
} Number;

typedef struct {
    PyObject_HEAD
    Name *names;
    Py_ssize_t n, room, mask;
    int32_t *slots;
    Number *numbers;
    Py_ssize_t n_numbers, numbers_room;
    uint32_t epoch;
} Sums;

static int grow(Sums *self)
{
    Py_ssize_t room = self->room ? self->room * 2 : 256;
    Name *names = PyMem_Realloc(self->names, room * sizeof(Name));
    if (!names)
        return -1;
    self->names = names;
    int32_t *slots = PyMem_Realloc(self->slots, 4 * room * sizeof(int32_t));
    if (!slots)
        return -1;
    self->slots = slots;
    self->room = room;
    self->mask = 4 * room - 1;
    memset(slots, 0xff, 4 * room * sizeof(int32_t));
    for (Py_ssize_t i = 0; i < self->n; i++) {
        Py_ssize_t at = names[i].hash & self->mask;
        while (slots[at] >= 0)
            at = (at + 1) & self->mask;
        slots[at] = (int32_t)i;
    }
    return 0;
}

/* The Name of some bytes, made if it is new; NULL where memory ends. */
static Name *name_of(Sums *self, const char *name, Py_ssize_t length)
{
    if (self->n >= self->room && grow(self))
        return NULL;
    uint64_t hash = hash_of(name, length);
    Py_ssize_t at = hash & self->mask;
    for (; self->slots[at] >= 0; at = (at + 1) & self->mask) {
        Name *known = &self->names[self->slots[at]];
        if (known->hash == hash && known->length == length && !memcmp(known->name, name, length))
            return known;
    }
    Name *fresh = &self->names[self->n];
    memset(fresh, 0, sizeof(Name));
    if (!(fresh->name = PyMem_Malloc(length + 1)))
        return NULL;
    memcpy(fresh->name, name, length);
    fresh->length = length;
    fresh->hash = hash;
    self->slots[at] = (int32_t)self->n++;
    return fresh;
}

static Array *array_of(Name *name, Py_ssize_t length)
{
    for (Array *array = name->arrays; array; array = array->next)
        if (array->length == length)
            return array;
    Array *fresh = PyMem_Calloc(1, sizeof(Array));
    if (!fresh || !(fresh->counts = PyMem_Calloc(length, sizeof(Big)))) {
        PyMem_Free(fresh);
        return NULL;
    }
    fresh->length = length;
    fresh->next = name->arrays;
    return name->arrays = fresh;
}

static int add_float(Statistic *statistic, double x)
{
    int kept = 0;
    for (int i = 0; i < statistic->n; i++) { /* what rounding leaves over at each step is kept */
        double y = statistic->parts[i];
        if (fabs(x) < fabs(y)) {
            double swapped = x;
            x = y;
            y = swapped;
        }
        double high = x + y, low = y - (high - x);
        if (low)
            statistic->parts[kept++] = low;
        x = high;
    }
    statistic->n = kept;
    if (x) {
        if (kept == statistic->room) {
            double *parts = PyMem_Realloc(statistic->parts, (kept + 8) * sizeof(double));
            if (!parts)
                return -1;
            statistic->parts = parts;
            statistic->room = kept + 8;
        }
        statistic->parts[statistic->n++] = x;
    }
    return 0;
}

static int note(Sums *self, Py_ssize_t at, int is_float, int64_t integer, double real)
{
    if (self->n_numbers == self->numbers_room) {
        Py_ssize_t room = self->numbers_room ? self->numbers_room * 2 : 1024;
        Number *numbers = PyMem_Realloc(self->numbers, room * sizeof(Number));
        if (!numbers)
            return -1;
        self->numbers = numbers;
        self->numbers_room = room;
    }
    self->numbers[self->n_numbers++] = (Number){NULL, at, is_float, integer, real};
    return 0;
}

/* Past one number that is not a plain 0, noted; 1 done, 0 in doubt, -1 no memory. */
static int number(Sums *self, const char **text, const char *end, Py_ssize_t at)
{
    const char *begin = *text, *p = begin;
    int64_t integer = 0;
    int negative = p < end && *p == '-';
    const char *digits = p += negative;
    while (p < end && (unsigned)(*p - '0') < 10 && p - digits <= MOST_DIGITS)
        integer = integer * 10 + (*p++ - '0');
    if (p == digits || p - digits > MOST_DIGITS || (negative && *digits == '0' && p - digits == 1 && (p >= end || *p != '.')))
        return 0;
    *text = p;
    if (p < end && (*p == ',' || *p == ']'))
        return note(self, at, 0, negative ? -integer : integer, 0) ? -1 : 1;
    char copy[64], *stop;
    while (p < end && *p != ',' && *p != ']')
        p++;
    if (p - begin >= (Py_ssize_t)sizeof(copy))
        return 0;
    memcpy(copy, begin, p - begin);
    copy[p - begin] = 0;
    double real = PyOS_string_to_double(copy, &stop, NULL);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    if (*stop || !(fabs(real) < LARGEST) || (real == 0 && negative))
        return 0;
    *text = p;
    return note(self, at, 1, 0, real) ? -1 : 1;
}

/* Past `[...]`, its numbers other than 0 noted; its length, 0 in doubt, -1 no memory. */
static Py_ssize_t array(Sums *self, const char **text, const char *end)
{
    const char *p = *text;
    Py_ssize_t at = 0;
    if (p >= end || *p++ != '[')
        return 0;
    for (;;) {
        while (end - p >= 8 && !memcmp(p, "0,0,0,0,", 8)) {
            p += 8;
            at += 4;
        }
        if (end - p < 2)
            return 0;
        if (p[0] == '0' && (p[1] == ',' || p[1] == ']')) {
            p++;
        } else {
            int result = number(self, &p, end, at);
            if (result != 1)
                return result;
        }
        at++;
        if (p >= end || (*p != ',' && *p != ']'))
            return 0;
        if (*p++ == ']')
            break;
    }
    *text = p;
    return at;
}

/* Note all histograms of an object; 1 done, 0 in doubt, -1 no memory. */
static int object(Sums *self, const char *p, const char *end)
{
    if (end - p == 2)
        return 1;
    for (p++;;) {
        if (p >= end || *p++ != '"')
            return 0;
        const char *begin = p, *quote = memchr(p, '"', end - p);
        if (!quote || memchr(begin, '\\', quote - begin) || end - quote < 2 || quote[1] != ':')
            return 0;
        p = quote + 2;
        Py_ssize_t first = self->n_numbers, length = array(self, &p, end);
        if (length <= 0)
            return (int)length;
        if (length <= STATISTICS)
            return 0;
        Name *name = name_of(self, begin, quote - begin);
        if (!name)
            return -1;
        if (name->seen == self->epoch)
            return 0;
        name->seen = self->epoch;
        Array *sum = array_of(name, length);
        if (!sum || note(self, -1, 0, 0, 0)) /* a mark for the array itself */
            return -1;
        for (; first < self->n_numbers; first++) {
            Number *each = &self->numbers[first];
            each->array = sum;
            if (each->at >= 0 && each->at < length - STATISTICS && (each->is_float || each->integer < 0))
                return 0;
        }
        if (p >= end)
            return 0;
        if (*p == '}')
            return p + 1 == end;
        if (*p++ != ',')
            return 0;
    }
}

/* Add what was noted. A statistic that was not noted is a plain 0, which is there. */
static int apply(Sums *self)
{
    int noted[STATISTICS] = {0};
    for (Py_ssize_t i = 0; i < self->n_numbers; i++) {
        Number *each = &self->numbers[i];
        Array *sum = each->array;
        Py_ssize_t which = each->at - (sum->length - STATISTICS);
        if (each->at < 0) {
            sum->used = 1;
            for (int k = 0; k < STATISTICS; k++) {
                if (!noted[k])
                    sum->statistics[k].present = sum->statistics[k].integers = 1;
                noted[k] = 0;
            }
        } else if (which < 0) {
            sum->counts[each->at] += each->integer;
        } else {
            Statistic *statistic = &sum->statistics[which];
            noted[which] = 1;
            if (each->is_float ? each->real == -1 : each->integer == -1)
                continue; /* absent */
            statistic->present = 1;
            statistic->integers |= !each->is_float;
            statistic->floats |= each->is_float;
            statistic->whole += each->integer;
            if (each->is_float && add_float(statistic, each->real))
                return -1;
        }
    }
    return 0;
}

static PyObject *sums_add(Sums *self, PyObject *args)
{
    const char *data;
    Py_ssize_t length, start, end;
    if (!PyArg_ParseTuple(args, "y#nn", &data, &length, &start, &end))
        return NULL;
    if (start < 0 || end > length || end - start < 2 || data[start] != '{') {
        PyErr_SetString(PyExc_ValueError, "no object there");
        return NULL;
    }
    self->n_numbers = 0;
    if (++self->epoch == 0) { /* after 2^32 pings the numbers begin anew */
        for (Py_ssize_t i = 0; i < self->n; i++)
            self->names[i].seen = 0;
        self->epoch = 1;
    }
    int result = object(self, data + start, data + end);
    if (result == 1 && apply(self))
        result = -1;
    return result < 0 ? PyErr_NoMemory() : PyBool_FromLong(result);
}

static PyObject *big(Big value)
{
    if (value >= INT64_MIN && value <= INT64_MAX)
        return PyLong_FromLongLong((int64_t)value);
    PyObject *high = PyLong_FromLongLong((int64_t)(value >> 64)), *low = PyLong_FromUnsignedLongLong((uint64_t)value);
    PyObject *bits = PyLong_FromLong(64), *shifted = NULL, *sum = NULL;
    if (high && low && bits && (shifted = PyNumber_Lshift(high, bits)))
        sum = PyNumber_Or(shifted, low);
    Py_XDECREF(high);
    Py_XDECREF(low);
    Py_XDECREF(bits);
    Py_XDECREF(shifted);
    return sum;
}

static PyObject *statistic_item(const Statistic *statistic)
{
    if (!statistic->present)
        Py_RETURN_NONE;
    int bare = statistic->floats && !statistic->n; /* floats that add up to 0 */
    PyObject *list = PyList_New(1 + statistic->n + bare);
    if (!list)
        return NULL;
    PyObject *whole = Py_None;
    if (statistic->integers)
        whole = big(statistic->whole);
    else
        Py_INCREF(whole);
    PyList_SET_ITEM(list, 0, whole);
    for (int i = 0; i < statistic->n; i++)
        PyList_SET_ITEM(list, 1 + i, PyFloat_FromDouble(statistic->parts[i]));
    if (bare)
        PyList_SET_ITEM(list, 1, PyFloat_FromDouble(0.0));
    if (PyErr_Occurred())
        Py_CLEAR(list);
    return list;
}

static PyObject *array_item(const Name *name, const Array *sum)
{
    Py_ssize_t n = sum->length - STATISTICS;
    PyObject *counts = PyList_New(n), *statistics = PyList_New(STATISTICS);
    for (Py_ssize_t i = 0; counts && i < n; i++)
        PyList_SET_ITEM(counts, i, big(sum->counts[i]));
    for (int i = 0; statistics && i < STATISTICS; i++)
        PyList_SET_ITEM(statistics, i, statistic_item(&sum->statistics[i]));
    PyObject *item = NULL;
    if (counts && statistics && !PyErr_Occurred())
        item = Py_BuildValue("(s#OO)", name->name, name->length, counts, statistics);
    Py_XDECREF(counts);
    Py_XDECREF(statistics);
    return item;
}

static PyObject *sums_items(Sums *self, PyObject *unused)
{
    (void)unused;
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list && i < self->n; i++)
        for (const Array *sum = self->names[i].arrays; sum && list; sum = sum->next) {
            PyObject *item = sum->used ? array_item(&self->names[i], sum) : NULL;
            if (sum->used && (!item || PyList_Append(list, item)))
                Py_CLEAR(list);
            Py_XDECREF(item);
        }
    return list;
}

static void sums_dealloc(Sums *self)
{
    for (Py_ssize_t i = 0; i < self->n; i++) {
        PyMem_Free(self->names[i].name);
        for (Array *array = self->names[i].arrays, *next; array; array = next) {
            next = array->next;
            for (int k = 0; k < STATISTICS; k++)
                PyMem_Free(array->statistics[k].parts);
            PyMem_Free(array->counts);
            PyMem_Free(array);
        }
    }
    PyMem_Free(self->names);
    PyMem_Free(self->slots);
    PyMem_Free(self->numbers);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef methods[] = {
    {"add", (PyCFunction)sums_add, METH_VARARGS, "Add the histograms of an object; False, nothing being added, in doubt."},
    {"items", (PyCFunction)sums_items, METH_NOARGS, "What has been added up."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject SumsType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tel._sums.Sums",
    .tp_basicsize = sizeof(Sums),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)sums_dealloc,
    .tp_methods = methods,
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tel._sums", NULL, -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__sums(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (!module || PyModule_AddType(module, &SumsType)) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}

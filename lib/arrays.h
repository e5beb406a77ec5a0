/* Histograms, as clients write them, to the arrays of the storage format, digits copied: what a Table of definitions
 * knows. What is not written so, or does not fit its definition, is in doubt.
 */

#pragma once

#include "json.h"
#include "hash.h"

#define MOST_NAMES 1024 /* of keys among which a repeated one is looked for */
#define ZEROS_32 "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,"

/* ---- what is written ------------------------------------------------------------------------------------------- */

typedef struct {
    char *start, *p, *end;
} Out;

static int out_grow(Out *out, Py_ssize_t size)
{
    Py_ssize_t used = out->p - out->start, room = (used + size) * 2;
    char *start = PyMem_Realloc(out->start, room);
    if (!start) {
        PyErr_NoMemory();
        return -1;
    }
    out->start = start;
    out->p = start + used;
    out->end = start + room;
    return 0;
}

static inline int out_room(Out *out, Py_ssize_t size)
{
    return out->end - out->p >= size ? 0 : out_grow(out, size);
}

static inline int out_text(Out *out, const char *text, Py_ssize_t length)
{
    if (out_room(out, length))
        return -1;
    memcpy(out->p, text, length);
    out->p += length;
    return 0;
}

/* n times "0,", for which there is room. */
static inline char *zeros(char *p, Py_ssize_t n)
{
    for (; n >= 32; n -= 32, p += 64)
        memcpy(p, ZEROS_32, 64);
    for (; n >= 4; n -= 4, p += 8)
        memcpy(p, ZEROS_32, 8);
    for (; n > 0; n--, p += 2)
        memcpy(p, ZEROS_32, 2);
    return p;
}

/* ---- histograms to arrays -------------------------------------------------------------------------------------- */

typedef struct {
    Py_ssize_t n;
    int64_t low, high;
    uint32_t types; /* bit i: histogram_type i is right */
    int64_t *bounds;
} Layout;

typedef struct {
    const char *name;
    Py_ssize_t length;
    int keyed, layouts;
    Py_ssize_t layout[8]; /* by number */
    PyObject *keys;       /* the closed list of keys, a frozenset of bytes, or None */
    uint32_t seen[2];     /* the epoch in which the name came, and its STARTUP_ twin */
} Entry;

typedef struct Table {
    PyObject_HEAD
    Py_ssize_t n_layouts, n_entries, mask;
    Layout *layouts;
    Entry *entries;
    int32_t *slots; /* of the hash table: a number of an entry, or -1 */
    PyObject *keep;
    uint32_t epoch;
    Out out; /* kept from one call to the next */
} Table;

typedef struct {
    const char *p;
    Py_ssize_t length;
} Span;

/* `values` into the counts of all buckets. The keys come in ascending order, as engines print them. */
static int counts(Text *t, const Layout *layout, Out *out)
{
    Py_ssize_t next = 0, n = layout->n;
    const int64_t *bounds = layout->bounds;
    const char *brace = memchr(t->p, '}', t->end - t->p);
    if (!brace)
        return 0;
    if (out_room(out, 2 * n + (brace - t->p)))
        return -1;
    char *o = out->p;
    if (byte(t, '}'))
        goto rest;
    for (;;) {
        int64_t key;
        if (!byte(t, '"') || !integer(t, &key) || !byte(t, '"') || !byte(t, ':'))
            return 0;
        Py_ssize_t at = next;
        if (at >= n)
            return 0;
        if (bounds[at] != key) {
            Py_ssize_t high = n;
            while (at < high) {
                Py_ssize_t middle = at + (high - at) / 2;
                if (bounds[middle] < key)
                    at = middle + 1;
                else
                    high = middle;
            }
            if (at >= n || bounds[at] != key)
                return 0;
        }
        while (at + 1 < n && bounds[at + 1] == key) /* wide linear ones repeat a bound */
            at++;
        o = zeros(o, at - next);
        const char *digits = t->p;
        while (t->p < t->end && (unsigned)(*t->p - '0') < 10)
            t->p++;
        Py_ssize_t length = t->p - digits;
        if (!length || length > MOST_DIGITS || (*digits == '0' && length > 1))
            return 0;
        memcpy(o, digits, length);
        o += length;
        *o++ = ',';
        next = at + 1;
        if (byte(t, '}'))
            break;
        if (!byte(t, ','))
            return 0;
    }
rest:
    out->p = zeros(o, n - next);
    return 1;
}

/* A number whose digits can be copied: any but -0, which is no number of its own to the reference. */
static inline int copied(Text *t, Span *span)
{
    span->p = t->p;
    if (!number(t))
        return 0;
    span->length = t->p - span->p;
    return !(span->length == 2 && span->p[0] == '-' && span->p[1] == '0');
}

/* One histogram, its brace next, as an array; 1 done, 0 in doubt, -1 an exception is set. */
static int histogram(Text *t, const Table *table, const Entry *entry, Out *out)
{
    enum { RANGE = 32, BUCKETS = 64, TYPE = 128, VALUES = 256, NEEDED = 480 };
    int64_t low = 0, high = 0, buckets = 0, type = 0;
    Span statistics[5] = {{NULL, 0}};
    int seen = 0, result;
    if (!byte(t, '{') || out_text(out, "[", 1))
        return 0;
    do {
        int bit;
        if (word(t, "\"range\":[", 9)) {
            bit = RANGE;
            if (!integer(t, &low) || !byte(t, ',') || !integer(t, &high) || !byte(t, ']'))
                return 0;
        } else if (word(t, "\"bucket_count\":", 15)) {
            bit = BUCKETS;
            if (!integer(t, &buckets))
                return 0;
        } else if (word(t, "\"histogram_type\":", 17)) {
            bit = TYPE;
            if (!integer(t, &type) || type > 31)
                return 0;
        } else if (word(t, "\"values\":{", 10)) {
            const Layout *layout = NULL;
            bit = VALUES;
            if (seen & VALUES || (seen & NEEDED) != (NEEDED & ~VALUES)) /* they follow what tells their buckets */
                return 0;
            for (int i = 0; i < entry->layouts && !layout; i++)
                if (table->layouts[entry->layout[i]].n == buckets)
                    layout = &table->layouts[entry->layout[i]];
            if (!layout || !(layout->types >> type & 1) || layout->low != low || layout->high != high)
                return 0;
            if ((result = counts(t, layout, out)) != 1)
                return result;
        } else {
            int i = word(t, "\"sum\":", 6)                ? 0
                    : word(t, "\"log_sum\":", 10)         ? 1
                    : word(t, "\"log_sum_squares\":", 18) ? 2
                    : word(t, "\"sum_squares_lo\":", 17)  ? 3
                    : word(t, "\"sum_squares_hi\":", 17)  ? 4
                                                          : 5;
            if (i == 5 || !copied(t, &statistics[i]))
                return 0;
            bit = 1 << i;
        }
        if (seen & bit)
            return 0;
        seen |= bit;
    } while (byte(t, ','));
    if (!byte(t, '}') || (seen & NEEDED) != NEEDED)
        return 0;
    for (int i = 0; i < 5; i++) {
        const Span *span = &statistics[i];
        if (out_text(out, span->p ? span->p : "-1", span->p ? span->length : 2) || out_text(out, i < 4 ? "," : "]", 1))
            return -1;
    }
    return 1;
}

static Entry *look_up(Table *table, const char *name, Py_ssize_t length)
{
    Py_ssize_t at = hash_of(name, length) & table->mask;
    for (; table->slots[at] >= 0; at = (at + 1) & table->mask) {
        Entry *entry = &table->entries[table->slots[at]];
        if (entry->length == length && !memcmp(entry->name, name, length))
            return entry;
    }
    return NULL;
}

/* {key: histogram} of one keyed histogram. */
static int by_key(Text *t, const Table *table, const Entry *entry, Out *out, Py_ssize_t *left)
{
    uint64_t hashes[MOST_NAMES];
    int named = 0;
    if (!byte(t, '{') || out_text(out, "{", 1))
        return 0;
    if (byte(t, '}'))
        return out_text(out, "}", 1) ? -1 : 1;
    do {
        const char *begin = t->p;
        if (string(t) != 1 || named == MOST_NAMES || --*left < 0)
            return 0;
        uint64_t h = hash_of(begin, t->p - begin);
        for (int i = 0; i < named; i++)
            if (hashes[i] == h)
                return 0;
        hashes[named++] = h;
        if (entry->keys != Py_None) {
            PyObject *key = PyBytes_FromStringAndSize(begin + 1, t->p - begin - 2);
            int found = key ? PySet_Contains(entry->keys, key) : -1;
            Py_XDECREF(key);
            if (found != 1)
                return found;
        }
        if (!byte(t, ':'))
            return 0;
        if (out_text(out, begin, t->p - begin))
            return -1;
        int result = histogram(t, table, entry, out);
        if (result != 1)
            return result;
        if (!byte(t, ','))
            break;
        if (out_text(out, ",", 1))
            return -1;
    } while (1);
    if (!byte(t, '}'))
        return 0;
    return out_text(out, "}", 1) ? -1 : 1;
}

static void table_dealloc(Table *self)
{
    for (Py_ssize_t i = 0; self->layouts && i <= self->n_layouts; i++)
        PyMem_Free(self->layouts[i].bounds);
    PyMem_Free(self->layouts);
    PyMem_Free(self->entries);
    PyMem_Free(self->slots);
    PyMem_Free(self->out.start);
    Py_XDECREF(self->keep);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int fill_layout(Layout *layout, PyObject *item)
{
    PyObject *types, *bounds;
    if (!PyArg_ParseTuple(item, "O!LLO!", &PyTuple_Type, &types, &layout->low, &layout->high, &PyTuple_Type, &bounds))
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(types); i++)
        layout->types |= 1u << (PyLong_AsLong(PyTuple_GET_ITEM(types, i)) & 31);
    layout->n = PyTuple_GET_SIZE(bounds);
    layout->bounds = PyMem_Calloc(layout->n + 1, sizeof(int64_t));
    if (!layout->bounds) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < layout->n; i++)
        layout->bounds[i] = PyLong_AsLongLong(PyTuple_GET_ITEM(bounds, i));
    return PyErr_Occurred() ? -1 : 0;
}

static int fill_entry(Entry *entry, PyObject *item, Py_ssize_t n_layouts)
{
    PyObject *numbers;
    if (!PyArg_ParseTuple(item, "y#pOO!", &entry->name, &entry->length, &entry->keyed, &entry->keys, &PyTuple_Type,
                          &numbers))
        return -1;
    entry->layouts = (int)PyTuple_GET_SIZE(numbers);
    if (entry->layouts > 8 || !(entry->keys == Py_None || PyFrozenSet_Check(entry->keys))) {
        PyErr_SetString(PyExc_ValueError, "too many layouts, or keys that are no frozenset");
        return -1;
    }
    for (int i = 0; i < entry->layouts; i++) {
        entry->layout[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(numbers, i));
        if (entry->layout[i] < 0 || entry->layout[i] >= n_layouts) {
            PyErr_SetString(PyExc_ValueError, "no such layout");
            return -1;
        }
    }
    return 0;
}

static int fill_table(Table *self, PyObject *layouts, PyObject *entries)
{
    self->keep = Py_BuildValue("NN", PyList_AsTuple(layouts), PyList_AsTuple(entries));
    Py_ssize_t n = PyList_GET_SIZE(entries), size = 16;
    while (size < 3 * n)
        size *= 2;
    self->mask = size - 1;
    self->layouts = PyMem_Calloc(PyList_GET_SIZE(layouts) + 1, sizeof(Layout));
    self->entries = PyMem_Calloc(n + 1, sizeof(Entry));
    self->slots = PyMem_Malloc(size * sizeof(int32_t));
    if (!self->keep || !self->layouts || !self->entries || !self->slots) {
        PyErr_NoMemory();
        return -1;
    }
    memset(self->slots, 0xff, size * sizeof(int32_t));
    for (; self->n_layouts < PyList_GET_SIZE(layouts); self->n_layouts++)
        if (fill_layout(&self->layouts[self->n_layouts], PyList_GET_ITEM(layouts, self->n_layouts)))
            return -1;
    for (; self->n_entries < n; self->n_entries++) {
        Entry *entry = &self->entries[self->n_entries];
        if (fill_entry(entry, PyList_GET_ITEM(entries, self->n_entries), self->n_layouts))
            return -1;
        Py_ssize_t at = hash_of(entry->name, entry->length) & self->mask;
        while (self->slots[at] >= 0)
            at = (at + 1) & self->mask;
        self->slots[at] = (int32_t)self->n_entries;
    }
    return 0;
}

/* Table([(types, low, high, bounds), ...], [(name, keyed, frozenset of keys or None, (number of layout, ...)), ...]) */
static PyObject *table_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *layouts, *entries;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &layouts, &PyList_Type, &entries))
        return NULL;
    Table *self = (Table *)type->tp_alloc(type, 0);
    if (self && fill_table(self, layouts, entries))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyTypeObject TableType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tel._skim.Table",
    .tp_basicsize = sizeof(Table),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = table_new,
    .tp_dealloc = (destructor)table_dealloc,
};

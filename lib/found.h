/* What a look at a text has found: where the wanted members lie. found[slot] is the span (start, end) of one, or None;
 * text(slot) and texts((slot, ...)) are what lies there.
 */

#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>

typedef struct {
    PyObject_VAR_HEAD
    PyObject *data;
    PyObject *arrays; /* what is in the containers, see converted(); NULL where that is not wanted or failed */
    Py_ssize_t count, first_at;
    unsigned held; /* bit i: some container of kind i is not empty */
    struct {
        Py_ssize_t start, end; /* start is -1: nothing was found */
    } at[];
} Found;

static PyTypeObject FoundType;

static Found *found_new(PyObject *data, Py_ssize_t slots)
{
    Found *self = PyObject_NewVar(Found, &FoundType, slots);
    if (!self)
        return NULL;
    Py_INCREF(data);
    self->data = data;
    self->arrays = NULL;
    self->count = 0;
    self->first_at = -1;
    self->held = 0;
    for (Py_ssize_t i = 0; i < slots; i++)
        self->at[i].start = -1;
    return self;
}

static void found_dealloc(Found *self)
{
    Py_XDECREF(self->data);
    Py_XDECREF(self->arrays);
    PyObject_Free(self);
}

static int found_has(Found *self, Py_ssize_t slot)
{
    if (slot < 0 || slot >= Py_SIZE(self)) {
        PyErr_SetString(PyExc_IndexError, "no such slot");
        return -1;
    }
    return self->at[slot].start >= 0;
}

/* found[slot]: the span (start, end), or None */
static PyObject *found_span(PyObject *object, Py_ssize_t slot)
{
    Found *self = (Found *)object;
    int has = found_has(self, slot);
    if (has < 0)
        return NULL;
    if (has)
        return Py_BuildValue("nn", self->at[slot].start, self->at[slot].end);
    Py_RETURN_NONE;
}

static Py_ssize_t found_length(PyObject *self)
{
    return Py_SIZE(self);
}

/* text(slot): what lies there, or None */
static PyObject *found_text(Found *self, PyObject *number)
{
    Py_ssize_t slot = PyLong_AsSsize_t(number);
    int has = slot == -1 && PyErr_Occurred() ? -1 : found_has(self, slot);
    if (has < 0)
        return NULL;
    if (has)
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(self->data) + self->at[slot].start,
                                         self->at[slot].end - self->at[slot].start);
    Py_RETURN_NONE;
}

/* texts((slot, ...)): what lies at all of these, each followed by a newline, which no JSON value ends with */
static PyObject *found_texts(Found *self, PyObject *slots)
{
    Py_ssize_t size = 0, n;
    if (!PyTuple_Check(slots)) {
        PyErr_SetString(PyExc_TypeError, "a tuple of slots is expected");
        return NULL;
    }
    n = PyTuple_GET_SIZE(slots);
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t slot = PyLong_AsSsize_t(PyTuple_GET_ITEM(slots, i));
        int has = slot == -1 && PyErr_Occurred() ? -1 : found_has(self, slot);
        if (has < 0)
            return NULL;
        size += 1 + (has ? self->at[slot].end - self->at[slot].start : 0);
    }
    PyObject *result = PyBytes_FromStringAndSize(NULL, size);
    if (!result)
        return NULL;
    char *p = PyBytes_AS_STRING(result);
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t slot = PyLong_AsSsize_t(PyTuple_GET_ITEM(slots, i)), start = self->at[slot].start;
        if (start >= 0) {
            memcpy(p, PyBytes_AS_STRING(self->data) + start, self->at[slot].end - start);
            p += self->at[slot].end - start;
        }
        *p++ = '\n';
    }
    return result;
}

static PyMethodDef found_methods[] = {
    {"text", (PyCFunction)found_text, METH_O, "What lies at a slot, or None."},
    {"texts", (PyCFunction)found_texts, METH_O, "What lies at each of some slots, one after another: a key."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef found_members[] = {
    {"count", T_PYSSIZET, offsetof(Found, count), READONLY, "How often the counted names occur but at a container."},
    {"first", T_PYSSIZET, offsetof(Found, first_at), READONLY, "Where the value of the first of the others is, or -1."},
    {"held", T_UINT, offsetof(Found, held), READONLY, "Bit i: some container of kind i is not empty."},
    {"arrays", T_OBJECT, offsetof(Found, arrays), READONLY, "The containers, see converted(); None in doubt."},
    {NULL, 0, 0, 0, NULL},
};

static PySequenceMethods found_sequence = {.sq_length = found_length, .sq_item = found_span};

static PyTypeObject FoundType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tel._skim.Found",
    .tp_basicsize = sizeof(Found),
    .tp_itemsize = sizeof(((Found *)0)->at[0]),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = (destructor)found_dealloc,
    .tp_methods = found_methods,
    .tp_members = found_members,
    .tp_as_sequence = &found_sequence,
};

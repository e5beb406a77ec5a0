/* A text with some of its parts replaced. */

#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

typedef struct {
    Py_ssize_t start, end, length;
    const char *text;
} Edit;

/* Put an edit among the n sorted ones; most come in order. */
static void sort_in(Edit *edits, Py_ssize_t n, Edit edit)
{
    for (; n > 0 && edits[n - 1].start > edit.start; n--)
        edits[n] = edits[n - 1];
    edits[n] = edit;
}

/* The size of the edited text; -1 if an edit is none, or lies outside the text or within another. */
static Py_ssize_t read_edits(PyObject *list, Py_ssize_t size, Edit *edits)
{
    Py_ssize_t n = PyList_GET_SIZE(list), at = 0, room = size;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) < 3 || !PyBytes_Check(PyTuple_GET_ITEM(item, 2))) {
            PyErr_SetString(PyExc_TypeError, "edits are (start, end, bytes)");
            return -1;
        }
        PyObject *text = PyTuple_GET_ITEM(item, 2);
        Edit edit = {PyLong_AsSsize_t(PyTuple_GET_ITEM(item, 0)), PyLong_AsSsize_t(PyTuple_GET_ITEM(item, 1)),
                     PyBytes_GET_SIZE(text), PyBytes_AS_STRING(text)};
        sort_in(edits, i, edit);
    }
    for (Py_ssize_t i = 0; i < n; at = edits[i++].end) {
        if (edits[i].start < at || edits[i].end < edits[i].start || edits[i].end > size) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "an edit lies outside the text, or within another");
            return -1;
        }
        room += edits[i].length - (edits[i].end - edits[i].start);
    }
    return room;
}

/* edited(data, [(start, end, bytes, ...), ...]): the bytes with what stands at each place replaced */
static PyObject *edited(PyObject *module, PyObject *args)
{
    PyObject *data, *list, *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "SO!", &data, &PyList_Type, &list))
        return NULL;
    Py_ssize_t n = PyList_GET_SIZE(list), size = PyBytes_GET_SIZE(data), at = 0;
    Edit *edits = PyMem_Malloc((n + 1) * sizeof(Edit));
    if (!edits)
        return PyErr_NoMemory();
    Py_ssize_t room = read_edits(list, size, edits);
    if (room >= 0 && (result = PyBytes_FromStringAndSize(NULL, room))) {
        const char *from = PyBytes_AS_STRING(data);
        char *p = PyBytes_AS_STRING(result);
        for (Py_ssize_t i = 0; i < n; at = edits[i++].end) {
            memcpy(p, from + at, edits[i].start - at);
            p += edits[i].start - at;
            memcpy(p, edits[i].text, edits[i].length);
            p += edits[i].length;
        }
        memcpy(p, from + at, size - at);
    }
    PyMem_Free(edits);
    return result;
}

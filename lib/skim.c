/* Strict JSON skimmed without building objects: where wanted members lie, and canonical histograms as storage arrays.
 *
 * Everything here says yes or hands over: whatever is not strict JSON, or not written as clients write it, makes the
 * call return None, and the caller goes the reference way, which decides. So nothing here reports errors of the data.
 *
 * Want(tree, slots, counted, first).look(data)  a Found: where the members lie that a tree of names asks for
 * strict(data)                                  whether a text is strict JSON, one object
 * Table(layouts, entries)                       the histograms that look(data, table, ...) makes arrays of (arrays.h)
 * edited(data, edits)                           a text with some parts replaced (edited.h)
 */

#include "json.h"
#include "hash.h"
#include "found.h"
#include "arrays.h"
#include "edited.h"

#define MOST_DEPTH 200 /* far below what the reference parser can follow */
#define MOST_DOUBTS 64 /* of members of one container that are left to be judged alone */

/* ---- strict JSON, and what is wanted of it --------------------------------------------------------------------- */

typedef struct Node Node;

typedef struct {
    const char *name;
    Py_ssize_t length;
    Py_ssize_t slot; /* -1: nothing to keep */
    int kind;        /* of a container of histograms: 0 plain ones, 1 keyed ones, 2 others, + 4n at will; else -1 */
    Node *node;      /* what is wanted inside, or NULL */
} Child;

struct Node {
    int n, any; /* any: the only child stands for all members, or all elements of an array */
    Child children[];
};

typedef struct {
    const char *name[8];
    Py_ssize_t length[8];
    int n;
    uint64_t lengths; /* bit i: some name has the length i */
} Names;

typedef struct {
    PyObject_HEAD
    Node *root;
    Py_ssize_t slots;
    PyObject *keep; /* owns the bytes that the names point into */
    Names counted, first;
    Found *found; /* of the look that is going on */
    Py_ssize_t left; /* how many members the containers may still have */
    Table *table;
} Want;

static inline int among(const Names *names, const char *name, Py_ssize_t length)
{
    if (length > 63 || !(names->lengths >> length & 1))
        return 0;
    for (int i = 0; i < names->n; i++)
        if (names->length[i] == length && !memcmp(names->name[i], name, length))
            return 1;
    return 0;
}

/* Whether one of some names is written before a colon: as a member's name, or behind an escaped quote at its end. */
static inline int written(const Names *names, const char *name, Py_ssize_t length, int kind)
{
    if (kind == 1)
        return among(names, name, length);
    for (int i = 0; i < names->n; i++) {
        Py_ssize_t before = length - names->length[i];
        if (before > 0 && name[before - 1] == '"' && !memcmp(name + before, names->name[i], names->length[i]))
            return 1;
    }
    return 0;
}

static inline void keep_span(Found *found, Py_ssize_t slot, Py_ssize_t start, Py_ssize_t end)
{
    found->at[slot].start = start;
    found->at[slot].end = end;
}

/* Count a container, and keep its kind if something is in it; 0 in doubt. */
static inline int hold(Want *want, int kind, const char *begin)
{
    want->found->count--;
    if (*begin != '{' || (begin[1] != '"' && begin[1] != '}'))
        return 0;
    if (begin[1] == '"')
        want->found->held |= 1u << kind;
    return 1;
}

static int value(Text *t, Want *want, const Node *node);
static int converted(Text *t, Want *want, int keyed);

/* The rest of an object behind its brace. */
static int object(Text *t, Want *want, const Node *node)
{
    uint64_t seen = 0, hashes[64];
    int named = 0;
    if (closed(t, '}'))
        return 1;
    do {
        const char *name = t->p + 1;
        int kind = string(t), result;
        Py_ssize_t length = t->p - name - 1;
        const Child *child = NULL;
        if (!kind || (node && kind == 2))
            return 0;
        space(t);
        if (t->p >= t->end || *t->p != ':')
            return 0;
        t->p++;
        space(t);
        if (want) {
            want->found->count += written(&want->counted, name, length, kind);
            if (want->found->first_at < 0 && written(&want->first, name, length, kind))
                want->found->first_at = t->p - t->start;
        }
        if (node && node->any) {
            uint64_t h = hash_of(name, length);
            if (named == 64)
                return 0;
            for (int i = 0; i < named; i++)
                if (hashes[i] == h)
                    return 0;
            hashes[named++] = h;
            child = node->children;
        } else if (node) {
            for (int i = 0; i < node->n; i++)
                if (node->children[i].length == length && !memcmp(node->children[i].name, name, length)) {
                    if (seen >> i & 1)
                        return 0; /* a name given twice */
                    seen |= 1ull << i;
                    child = node->children + i;
                    break;
                }
        }
        const char *begin = t->p;
        int container = child && child->kind >= 0;
        Py_ssize_t first_at = want ? want->found->first_at : 0;
        if (container && !(child->kind & 2) && want->found->arrays &&
            (result = converted(t, want, child->kind & 1)) != 0) {
            if (result < 0)
                return result;
        } else if (!plain_integer(t) && (result = value(t, want, child ? child->node : NULL)) != 1)
            return result;
        if (container) {
            want->found->first_at = first_at; /* what lies in there is none of its */
            if (!hold(want, child->kind, begin))
                return 0;
        }
        if (child && child->slot >= 0)
            keep_span(want->found, child->slot, begin - t->start, t->p - t->start);
        if (closed(t, '}'))
            return 1;
    } while (followed(t));
    return 0;
}

/* Past elements with their commas, where they are such as stored histograms are made of; from one's start to another's. */
static inline void elements(Text *t)
{
    const char *p = t->p, *end = t->end;
    for (;;) {
        while (end - p >= 8 && !memcmp(p, ZEROS_32, 8))
            p += 8;
        if (end - p >= 3 && !memcmp(p, "-1,", 3)) {
            p += 3;
            continue;
        }
#ifdef __SSE2__
        if (end - p >= 16) {
            __m128i x = _mm_loadu_si128((const __m128i *)p), digit = _mm_sub_epi8(x, _mm_set1_epi8('0'));
            unsigned digits = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit));
            unsigned commas = _mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8(',')));
            unsigned zeros = _mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('0')));
            commas &= (1u << __builtin_ctz(~(digits | commas))) - 1; /* up to the first other byte */
            if (!commas)
                break;
            int last = 31 - __builtin_clz(commas);
            unsigned starts = (commas << 1 | 1) & ((1u << (last + 1)) - 1);
            if ((starts & commas) || (starts & zeros & digits >> 1))
                break; /* nothing between two commas, or a zero that leads */
            p += last + 1;
            continue;
        }
#endif
        if (end - p < 2 || (unsigned)(p[0] - '0') > 9 || p[1] != ',')
            break;
        p += 2;
    }
    t->p = p;
}

static int array(Text *t, Want *want, const Node *node)
{
    if (closed(t, ']'))
        return 1;
    do {
        elements(t);
        space(t);
        int result = value(t, want, node && node->any ? node->children[0].node : NULL);
        if (result != 1)
            return result;
        if (closed(t, ']'))
            return 1;
    } while (followed(t));
    return 0;
}

/* Past a value, keeping the spans of what a node wants of it; 1 done, 0 in doubt, -1 an exception is set. */
static int value(Text *t, Want *want, const Node *node)
{
    int result;
    if (t->p >= t->end)
        return 0;
    switch (*t->p) {
    case '"':
        return string(t) != 0;
    case '{':
    case '[':
        if (++t->depth > MOST_DEPTH)
            return 0;
        result = *t->p++ == '{' ? object(t, want, node) : array(t, want, node);
        t->depth--;
        return result;
    case 't':
        return word(t, "true", 4);
    case 'f':
        return word(t, "false", 5);
    case 'n':
        return word(t, "null", 4);
    default:
        return number(t);
    }
}

/* A whole text that is one object, with white space around it. */
static int whole(Text *t, Want *want, const Node *node)
{
    space(t);
    if (t->p >= t->end || *t->p != '{')
        return 0;
    int result = value(t, want, node);
    if (result == 1) {
        space(t);
        result = t->p == t->end;
    }
    return result;
}

static PyObject *strict(PyObject *module, PyObject *data)
{
    char *start;
    Py_ssize_t length;
    (void)module;
    if (PyBytes_AsStringAndSize(data, &start, &length))
        return NULL;
    Text t = {start, start + length, start, 0};
    return PyBool_FromLong(whole(&t, NULL, NULL));
}

/* ---- Want ------------------------------------------------------------------------------------------------------ */

static void free_node(Node *node)
{
    if (node) {
        for (int i = 0; i < node->n; i++)
            free_node(node->children[i].node);
        PyMem_Free(node);
    }
}

/* The node of a dict {name as bytes: (slot, kind, dict or None)}; the name b"*" stands for all. */
static Node *make_node(PyObject *tree, Py_ssize_t slots)
{
    PyObject *name, *item;
    Py_ssize_t at = 0;
    if (!PyDict_Check(tree) || PyDict_GET_SIZE(tree) > 64) {
        PyErr_SetString(PyExc_TypeError, "a dict of at most 64 names is expected");
        return NULL;
    }
    Node *node = PyMem_Calloc(1, sizeof(Node) + PyDict_GET_SIZE(tree) * sizeof(Child));
    if (!node)
        return (Node *)PyErr_NoMemory();
    while (PyDict_Next(tree, &at, &name, &item)) {
        Child *child = &node->children[node->n];
        PyObject *below;
        char *text;
        if (PyBytes_AsStringAndSize(name, &text, &child->length) ||
            !PyArg_ParseTuple(item, "niO", &child->slot, &child->kind, &below))
            goto failed;
        child->name = text;
        node->n++;
        node->any |= child->length == 1 && *child->name == '*';
        if (child->slot >= slots || child->kind > 31) {
            PyErr_SetString(PyExc_ValueError, "no such slot or kind");
            goto failed;
        }
        if (below != Py_None && !(child->node = make_node(below, slots)))
            goto failed;
    }
    return node;
failed:
    free_node(node);
    return NULL;
}

static int make_names(Names *names, PyObject *tuple)
{
    if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) > 8) {
        PyErr_SetString(PyExc_TypeError, "a tuple of at most 8 names is expected");
        return -1;
    }
    for (names->n = 0; names->n < PyTuple_GET_SIZE(tuple); names->n++) {
        char *text;
        Py_ssize_t *length = &names->length[names->n];
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(tuple, names->n), &text, length))
            return -1;
        names->name[names->n] = text;
        names->lengths |= 1ull << (*length & 63);
    }
    return 0;
}

static int has_slots(const Want *self)
{
    if (self->slots < 0)
        PyErr_SetString(PyExc_ValueError, "no number of slots");
    return self->slots >= 0;
}

/* Want({name as bytes: (slot, kind, what is wanted inside or None)}, how many slots, counted names, first names) */
static PyObject *want_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *tree, *counted, *first;
    Want *self = (Want *)type->tp_alloc(type, 0);
    (void)kwargs;
    if (self && PyArg_ParseTuple(args, "OnOO", &tree, &self->slots, &counted, &first) && has_slots(self) &&
        (self->keep = Py_BuildValue("OOO", tree, counted, first)) && !make_names(&self->counted, counted) &&
        !make_names(&self->first, first) && (self->root = make_node(tree, self->slots)))
        return (PyObject *)self;
    Py_XDECREF(self);
    return NULL;
}

static void want_dealloc(Want *self)
{
    free_node(self->root);
    Py_XDECREF(self->keep);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* The members of a container that are in doubt: the hashes of those names that nobody defines, and where they lie. */
typedef struct {
    uint64_t hashes[MOST_DOUBTS];
    int named;
    PyObject *list; /* [(start, end, place in the text of arrays if a comma followed each of them), ...] or NULL */
} Doubts;

/* Whether a name that nobody defines comes for the first time. */
static int is_new(Doubts *doubts, const char *name, Py_ssize_t length)
{
    uint64_t h = hash_of(name, length);
    if (doubts->named == MOST_DOUBTS)
        return 0;
    for (int i = 0; i < doubts->named; i++)
        if (doubts->hashes[i] == h)
            return 0;
    doubts->hashes[doubts->named++] = h;
    return 1;
}

/* Past the value of a member in doubt, which is kept. */
static int doubted(Text *t, Want *want, Doubts *doubts, const char *begin, Py_ssize_t at)
{
    if (!doubts->list && !(doubts->list = PyList_New(0)))
        return -1;
    int result = value(t, want, NULL);
    if (result != 1 || PyList_GET_SIZE(doubts->list) == MOST_DOUBTS)
        return result < 0 ? -1 : 0;
    PyObject *item = Py_BuildValue("nnn", begin - t->start, t->p - t->start, at);
    result = item && !PyList_Append(doubts->list, item) ? 1 : -1;
    Py_XDECREF(item);
    return result;
}

/* One member of a container of histograms as an array. */
static int member(Text *t, Want *want, int keyed, Out *out, Doubts *doubts)
{
    Table *table = want->table;
    const char *begin = t->p, *name = begin + 1;
    if (string(t) != 1 || --want->left < 0)
        return 0;
    Py_ssize_t length = t->p - name - 1, used = out->p - out->start, at = used + (used > 1);
    if (!byte(t, ':'))
        return 0;
    want->found->count += written(&want->counted, name, length, 1);
    Entry *entry = look_up(table, name, length);
    int twin = 0, result = 0;
    if (!entry && length > 8 && !memcmp(name, "STARTUP_", 8)) {
        entry = look_up(table, name + 8, length - 8);
        twin = 1;
    }
    if (entry ? entry->seen[twin] == table->epoch : !is_new(doubts, name, length))
        return 0;
    if (entry) {
        const char *begun = t->p;
        entry->seen[twin] = table->epoch;
        if (entry->keyed == keyed) {
            if ((used > 1 && out_text(out, ",", 1)) || out_text(out, begin, begun - begin))
                return -1;
            result = keyed ? by_key(t, table, entry, out, &want->left) : histogram(t, table, entry, out);
        }
        if (result == 0) {
            t->p = begun;
            out->p = out->start + used;
        }
    }
    return result == 0 ? doubted(t, want, doubts, begin, at) : result;
}

/* A {name: histogram} or {name: {key: histogram}} object, up to its end, as one of arrays. */
static int histograms(Text *t, Want *want, int keyed, Out *out, Doubts *doubts)
{
    int result;
    if (!byte(t, '{'))
        return 0;
    out->p = out->start;
    want->table->epoch++;
    if (out_text(out, "{", 1))
        return -1;
    do {
        if ((result = member(t, want, keyed, out, doubts)) != 1)
            return result;
    } while (byte(t, ','));
    if (!byte(t, '}'))
        return 0;
    return out_text(out, "}", 1) ? -1 : 1;
}

/* Past an object of histograms, kept as (start, end, arrays as bytes, doubts as a tuple); 0: it is in doubt as a whole, so
 * that no arrays are wanted any more, and the text stays where it was. */
static int converted(Text *t, Want *want, int keyed)
{
    Text inner = *t;
    Out *out = &want->table->out;
    Doubts doubts;
    Py_ssize_t count = want->found->count;
    if (word(t, "{}", 2)) /* stays */
        return 1;
    inner.depth++;
    doubts.named = 0;
    doubts.list = NULL;
    int result = histograms(&inner, want, keyed, out, &doubts);
    if (result == 1) {
        PyObject *list = doubts.list ? PyList_AsTuple(doubts.list) : PyTuple_New(0), *piece;
        piece = !list ? NULL
                      : Py_BuildValue("nny#N", t->p - t->start, inner.p - t->start, out->start, out->p - out->start, list);
        result = piece && !PyList_Append(want->found->arrays, piece) ? 1 : -1;
        Py_XDECREF(piece);
        t->p = inner.p;
    } else if (PyErr_Occurred()) {
        result = -1;
    } else {
        want->found->count = count;
        Py_CLEAR(want->found->arrays);
    }
    Py_XDECREF(doubts.list);
    return result;
}

/* ---- what a Want does ------------------------------------------------------------------------------------------ */

/* look(data[, table, most]): None for what is not strict JSON, else a Found. Its arrays are of the table; they are None if
 * a container is in doubt as a whole, if there is no table, or if their members are more. */
static PyObject *want_look(Want *self, PyObject *args)
{
    PyObject *data, *table = Py_None;
    self->left = 0;
    if (!PyArg_ParseTuple(args, "S|On", &data, &table, &self->left))
        return NULL;
    if (table != Py_None && !PyObject_TypeCheck(table, &TableType)) {
        PyErr_SetString(PyExc_TypeError, "a Table is expected");
        return NULL;
    }
    Found *found = found_new(data, self->slots);
    if (!found)
        return NULL;
    const char *start = PyBytes_AS_STRING(data);
    Text t = {start, start + PyBytes_GET_SIZE(data), start, 0};
    found->arrays = table == Py_None ? NULL : PyList_New(0);
    self->found = found;
    self->table = (Table *)table;
    int result = whole(&t, self, self->root);
    self->found = NULL;
    if (result == 1 && !PyErr_Occurred())
        return (PyObject *)found;
    Py_DECREF(found);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef want_methods[] = {
    {"look", (PyCFunction)want_look, METH_VARARGS, "Where in a text lies what is wanted; None if it is not strict JSON."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject WantType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tel._skim.Want",
    .tp_basicsize = sizeof(Want),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = want_new,
    .tp_dealloc = (destructor)want_dealloc,
    .tp_methods = want_methods,
};

/* ---- the module ------------------------------------------------------------------------------------------------ */

static PyMethodDef functions[] = {
    {"edited", edited, METH_VARARGS, "Bytes with what stands at each (start, end, bytes, ...) of a list replaced."},
    {"strict", strict, METH_O, "Whether bytes are one object in strict JSON; False in any doubt."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "tel._skim", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__skim(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (!module || PyModule_AddType(module, &WantType) || PyModule_AddType(module, &TableType) ||
        PyModule_AddType(module, &FoundType)) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}

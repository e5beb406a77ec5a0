/* Strict JSON skimmed without building objects: where wanted members lie, and canonical histograms as storage arrays.
 *
 * Everything here says yes or hands over: whatever is not strict JSON, or not written as clients write it, makes the
 * call return None, and the caller goes the reference way, which decides. So nothing here reports errors of the data.
 *
 * Want(tree, slots, counted, first).look(data)  a Found: where the members lie that a tree of names asks for
 * strict(data)                                  whether a text is strict JSON, one object
 * Table(layouts, entries)                       the histograms that look(data, table, ...) makes arrays of
 * edited(data, edits)                           a text with some parts replaced
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include "hash.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define MOST_DEPTH 200       /* far below what the reference parser can follow */
#define MOST_DIGITS 200      /* of a number: no double overflows, no integer is refused */
#define MOST_NAMES 1024      /* of members among which a repeated name is looked for */
#define MOST_DOUBTS 64       /* of members of one container that are left to be judged alone */

/* ---- strict JSON ---------------------------------------------------------------------------------------------- */

typedef struct {
    const char *p, *end, *start;
    int depth;
} Text;

typedef struct Node Node;

/* Where the wanted members of a text lie. */
typedef struct Found {
    PyObject_VAR_HEAD
    PyObject *data, *arrays;
    Py_ssize_t count, first_at;
    unsigned held;
    struct {
        Py_ssize_t start, end; /* start is -1: nothing was found */
    } at[];
} Found;

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
    struct Found *found; /* of the look that is going on */
    Py_ssize_t count, first_at, left;
    unsigned held;    /* bit i: some container of kind i is not empty */
    PyObject *arrays; /* what is in them, see converted(); NULL where that is not wanted or failed */
    struct Table *table;
} Want;

static inline void space(Text *t)
{
    while (t->p < t->end && (unsigned char)*t->p <= ' ' &&
           (*t->p == ' ' || *t->p == '\t' || *t->p == '\r' || *t->p == '\n'))
        t->p++;
}

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

static inline int hex(const char *p, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i];
        unsigned digit = c - '0' < 10 ? c - '0' : (c | 32) - 'a' < 6 ? (c | 32) - 'a' + 10 : 16;
        if (digit > 15)
            return 0;
        *value = *value << 4 | digit;
    }
    return 1;
}

/* The length of the UTF-8 sequence at p (its first byte is not ASCII), or 0. */
static inline int utf8(const char *p, const char *end)
{
    const unsigned char *s = (const unsigned char *)p;
    Py_ssize_t left = end - p;
#define CONT(i) ((s[i] & 0xc0) == 0x80)
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return left > 1 && CONT(1) ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef)
        return left > 2 && CONT(1) && CONT(2) && !(s[0] == 0xe0 && s[1] < 0xa0) && !(s[0] == 0xed && s[1] > 0x9f) ? 3 : 0;
    if (s[0] >= 0xf0 && s[0] <= 0xf4)
        return left > 3 && CONT(1) && CONT(2) && CONT(3) && !(s[0] == 0xf0 && s[1] < 0x90) && !(s[0] == 0xf4 && s[1] > 0x8f) ? 4 : 0;
    return 0;
#undef CONT
}

#define ONES 0x0101010101010101ull
#define HIGH 0x8080808080808080ull
#define HAS_ZERO(x) (((x) - ONES) & ~(x) & HIGH) /* its lowest bit is right, those above may not be */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && defined(__GNUC__)
#define FIRST_BYTE(bits) (__builtin_ctzll(bits) >> 3)
#else
#define FIRST_BYTE(bits) 0 /* go on byte by byte */
#endif

/* From the opening quote past the closing one; 0: no string, 1: a plain one, 2: one with escapes. */
static int string(Text *t)
{
    const char *p = t->p, *end = t->end;
    int kind = 1;
    if (p >= end || *p != '"')
        return 0;
    p++;
    for (;;) {
#ifdef __SSE2__
        while (end - p >= 16) {
            __m128i x = _mm_loadu_si128((const __m128i *)p), special;
            special = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
            special = _mm_or_si128(special, _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x));
            int bits = _mm_movemask_epi8(_mm_or_si128(special, x));
            if (bits) {
                p += __builtin_ctz(bits);
                goto special;
            }
            p += 16;
        }
#endif
        while (end - p >= 8) {
            uint64_t x, special;
            memcpy(&x, p, 8);
            special = ((x & HIGH) | HAS_ZERO(x ^ ONES * '"') | HAS_ZERO(x ^ ONES * '\\') | HAS_ZERO(x & ONES * 0xe0)) & HIGH;
            if (special) {
                p += FIRST_BYTE(special);
                break;
            }
            p += 8;
        }
        if (p >= end)
            return 0;
        unsigned char c;
#ifdef __SSE2__
    special:
#endif
        c = *p;
        if (c == '"') {
            t->p = p + 1;
            return kind;
        }
        if (c < 0x20)
            return 0;
        if (c >= 0x80) {
            int n = utf8(p, end);
            if (!n)
                return 0;
            p += n;
        } else if (c == '\\') {
            unsigned code;
            kind = 2;
            if (end - p < 2 || !strchr("\"\\/bfnrtu", p[1]) || !p[1])
                return 0;
            if (p[1] != 'u') {
                p += 2;
                continue;
            }
            if (end - p < 6 || !hex(p + 2, &code))
                return 0;
            p += 6;
            if (code >= 0xd800 && code < 0xe000) { /* half of a pair: the other half must follow */
                if (code >= 0xdc00 || end - p < 6 || p[0] != '\\' || p[1] != 'u' || !hex(p + 2, &code) ||
                    code < 0xdc00 || code >= 0xe000)
                    return 0;
                p += 6;
            }
        } else {
            p++;
        }
    }
}

/* Past a number; 0: no JSON number, or one so long that the reference has to look. */
static int number(Text *t)
{
    const char *p = t->p, *end = t->end, *begin;
    if (p < end && *p == '-')
        p++;
    begin = p;
    while (p < end && (unsigned)(*p - '0') < 10)
        p++;
    if (p == begin || (*begin == '0' && p - begin > 1))
        return 0;
    if (p < end && *p == '.') {
        const char *fraction = ++p;
        while (p < end && (unsigned)(*p - '0') < 10)
            p++;
        if (p == fraction)
            return 0;
    }
    if (p - begin > MOST_DIGITS)
        return 0;
    if (p < end && (*p | 32) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        const char *exponent = p;
        while (p < end && (unsigned)(*p - '0') < 10)
            p++;
        if (p == exponent || p - exponent > 2)
            return 0;
    }
    t->p = p;
    return 1;
}

/* Past a short whole number that a comma or brace follows, as most values are; 0: look again. */
static inline int plain_integer(Text *t)
{
    const char *p = t->p, *end = t->end - p > 16 ? p + 16 : t->end;
    if (p >= end || (unsigned)(*p - '0') > 9)
        return 0;
    if (*p++ != '0')
        while (p < end && (unsigned)(*p - '0') < 10)
            p++;
    if (p >= end || (*p != ',' && *p != '}'))
        return 0;
    t->p = p;
    return 1;
}

static inline int word(Text *t, const char *text, Py_ssize_t length)
{
    if (t->end - t->p < length || memcmp(t->p, text, length))
        return 0;
    t->p += length;
    return 1;
}

static inline void keep_span(Found *found, Py_ssize_t slot, Py_ssize_t start, Py_ssize_t end)
{
    found->at[slot].start = start;
    found->at[slot].end = end;
}

/* Count a container, and keep its kind if something is in it; 0 in doubt. */
static inline int hold(Want *want, int kind, const char *begin)
{
    want->count--;
    if (*begin != '{' || (begin[1] != '"' && begin[1] != '}'))
        return 0;
    if (begin[1] == '"')
        want->held |= 1u << kind;
    return 1;
}

#define ZEROS_32 "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,"

static int value(Text *t, Want *want, const Node *node);
static int converted(Text *t, Want *want, int keyed);

/* Past the bracket that closes an object or array, if it is next but for white space. */
static inline int closed(Text *t, char bracket)
{
    space(t);
    if (t->p >= t->end || *t->p != bracket)
        return 0;
    t->p++;
    return 1;
}

/* Past the comma before another member, and white space. */
static inline int followed(Text *t)
{
    if (t->p >= t->end || *t->p != ',')
        return 0;
    t->p++;
    space(t);
    return 1;
}

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
            want->count += written(&want->counted, name, length, kind);
            if (want->first_at < 0 && written(&want->first, name, length, kind))
                want->first_at = t->p - t->start;
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
        Py_ssize_t first_at = want ? want->first_at : 0;
        if (container && !(child->kind & 2) && want->arrays && (result = converted(t, want, child->kind & 1)) != 0) {
            if (result < 0)
                return result;
        } else if (!plain_integer(t) && (result = value(t, want, child ? child->node : NULL)) != 1)
            return result;
        if (container) {
            want->first_at = first_at; /* what lies in there is none of its */
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

/* Want({name as bytes: (slot, kind, what is wanted inside or None)}, how many slots, counted names, first names) */
static PyObject *want_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *tree, *counted, *first;
    Want *self = (Want *)type->tp_alloc(type, 0);
    (void)kwargs;
    if (self && PyArg_ParseTuple(args, "OnOO", &tree, &self->slots, &counted, &first) &&
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

/* Digits as clients write an integer, at most 18 of them. */
static inline int integer(Text *t, int64_t *value)
{
    const char *p = t->p, *begin = p, *end = t->end - p > 18 ? p + 18 : t->end;
    int64_t v = 0;
    while (p < end && (unsigned)(*p - '0') < 10)
        v = v * 10 + (*p++ - '0');
    t->p = p;
    *value = v;
    return p > begin && !(*begin == '0' && p - begin > 1); /* what is longer stops before a digit, and fails there */
}

static inline int byte(Text *t, char c)
{
    if (t->p >= t->end || *t->p != c)
        return 0;
    t->p++;
    return 1;
}

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
    want->count += written(&want->counted, name, length, 1);
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
    Py_ssize_t count = want->count;
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
        result = piece && !PyList_Append(want->arrays, piece) ? 1 : -1;
        Py_XDECREF(piece);
        t->p = inner.p;
    } else if (PyErr_Occurred()) {
        result = -1;
    } else {
        want->count = count;
        Py_CLEAR(want->arrays);
    }
    Py_XDECREF(doubts.list);
    return result;
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

/* ---- what was found -------------------------------------------------------------------------------------------- */

static PyTypeObject FoundType;

static Found *found_new(PyObject *data, Py_ssize_t slots)
{
    Found *self = PyObject_NewVar(Found, &FoundType, slots);
    if (!self)
        return NULL;
    Py_INCREF(data);
    self->data = data;
    self->arrays = NULL;
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
    self->found = found;
    self->count = 0;
    self->first_at = -1;
    self->held = 0;
    self->table = (Table *)table;
    self->arrays = table == Py_None ? NULL : PyList_New(0);
    int result = whole(&t, self, self->root);
    self->found = NULL;
    found->count = self->count;
    found->first_at = self->first_at;
    found->held = self->held;
    found->arrays = self->arrays;
    self->arrays = NULL;
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

/* ---- a text with other parts ----------------------------------------------------------------------------------- */

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

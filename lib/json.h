/* Strict JSON, step by step: past the strings, numbers and words of a text. In doubt no step is made. */

#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define MOST_DIGITS 200 /* of a number: no double overflows, no integer is refused */

typedef struct {
    const char *p, *end, *start;
    int depth;
} Text;

static inline void space(Text *t)
{
    while (t->p < t->end && (unsigned char)*t->p <= ' ' &&
           (*t->p == ' ' || *t->p == '\t' || *t->p == '\r' || *t->p == '\n'))
        t->p++;
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

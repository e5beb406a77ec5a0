/* The hash of a name, for the tables and the search for repeated names of the compiled modules. */

#pragma once

#include <Python.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash_of(const char *name, Py_ssize_t length)
{
    uint64_t h = 0x9e3779b97f4a7c15ull ^ (uint64_t)length, x;
    for (; length >= 8; name += 8, length -= 8) {
        memcpy(&x, name, 8);
        h = (h ^ x) * 0xff51afd7ed558ccdull;
        h ^= h >> 32;
    }
    for (x = 0; length > 0; length--)
        x = x << 8 | (unsigned char)name[length - 1];
    h = (h ^ x) * 0xc4ceb9fe1a85ec53ull;
    return h ^ h >> 29;
}

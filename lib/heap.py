"""Freed memory stays with a process that will soon ask for as much again: giving it back page by page costs more."""

import gc

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # parameters of mallopt(3), as glibc's malloc.h numbers them
HELD, LARGE = 64 << 20, 32 << 20  # bytes: free at the heap's end, and of what is mapped alone


def hold():
    """Look for cycles seldom, and let the C library's allocator give back less; another than glibc's stays as it is."""
    gc.set_threshold(100_000, 50, 50)  # records hold no cycles: what is left to collect is little
    try:
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
    except (ImportError, OSError, AttributeError):
        return
    mallopt(M_TRIM_THRESHOLD, HELD)
    mallopt(M_MMAP_THRESHOLD, LARGE)

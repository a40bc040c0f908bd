/* Places arrays one after another in a buffer of the caller. The same layout code runs twice: with no buffer to learn
 * its size, and with the buffer to get the addresses, so that the two can never disagree. */
#ifndef CLSTM_ARENA_H
#define CLSTM_ARENA_H

#include <stddef.h>
#include <stdint.h>

enum { ARENA_ALIGNMENT = 64 }; /* a cache line: no two threads' arrays share one */

struct arena {
    uintptr_t base; /* 0 while measuring */
    size_t used;
    int overflow; /* a size did not fit size_t; `used` is meaningless then */
};

static inline struct arena arena_over(void *buffer) {
    const uintptr_t mask = ARENA_ALIGNMENT - 1;
    return (struct arena){.base = ((uintptr_t)buffer + mask) & ~mask};
}

/* Bytes a buffer needs for what was placed, its alignment included; 0 with *overflow set if there is no such number. */
static inline size_t arena_bytes(const struct arena *arena, int *overflow) {
    size_t bytes;
    if (arena->overflow || __builtin_add_overflow(arena->used, (size_t)ARENA_ALIGNMENT, &bytes) ||
        bytes > (size_t)PTRDIFF_MAX) {
        *overflow = 1;
        return 0;
    }
    return bytes;
}

/* count elements of `size` bytes; NULL while measuring. */
static inline void *arena_take(struct arena *arena, ptrdiff_t count, size_t size) {
    const size_t start = arena->used;
    size_t bytes;
    if (__builtin_mul_overflow((size_t)count, size, &bytes) ||
        __builtin_add_overflow(bytes, (size_t)ARENA_ALIGNMENT - 1, &bytes) ||
        __builtin_add_overflow(arena->used, bytes & ~(size_t)(ARENA_ALIGNMENT - 1), &arena->used))
        arena->overflow = 1;
    return arena->base ? (void *)(arena->base + start) : NULL;
}

/* a b c, saturating: products of sizes that would wrap are caught by arena_take. */
static inline ptrdiff_t times(ptrdiff_t a, ptrdiff_t b) {
    ptrdiff_t product;
    return __builtin_mul_overflow(a, b, &product) ? PTRDIFF_MAX : product;
}

#endif

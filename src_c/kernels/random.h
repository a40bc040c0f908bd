/* Random numbers as a function of the place where they are used: Philox-4x32-10 (Salmon, Moraes, Dror and Shaw 2011,
 * "Parallel random numbers: as easy as 1, 2, 3"). Nothing is remembered, so that a number depends neither on threads nor
 * on what was drawn before, and backward draws those of forward again.
 *
 * A place has as many words of 32 bits as are asked for, which come from blocks of four: word e is word e % 4 of block
 * e / 4. As many blocks are worked out together as there are lanes. */
#ifndef CLSTM_RANDOM_H
#define CLSTM_RANDOM_H

#include <math.h>

#include "transpose.h"

typedef uint64_t wide __attribute__((vector_size(VECTOR_BYTES))); /* a word of 32 bits in each lane of 64 */
enum { WIDE = VECTOR_BYTES / 8, WORDS = 4 * WIDE };

/* Products of the low halves of the lanes. */
CLSTM_INLINE wide multiply_words(wide a, wide b) {
#if VECTOR_BYTES == 64
    return (wide)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif VECTOR_BYTES == 32
    return (wide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif CLSTM_ARM
    return (wide)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
    return (wide)_mm_mul_epu32((__m128i)a, (__m128i)b);
#endif
}

/* Ten rounds on WIDE blocks. */
CLSTM_INLINE void philox(wide c[4], uint64_t key) {
    const wide low = (uint32_t)-1 - (wide){0}, m0 = 0xD2511F53u - (wide){0}, m1 = 0xCD9E8D57u - (wide){0};
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    CLSTM_UNROLL for (int round = 0; round < 10; round++) {
        const wide p0 = multiply_words(c[0], m0), p1 = multiply_words(c[2], m1);
        c[0] = (p1 >> 32) ^ c[1] ^ (k0 - (wide){0});
        c[2] = (p0 >> 32) ^ c[3] ^ (k1 - (wide){0});
        c[1] = p1 & low;
        c[3] = p0 & low;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* Words WORDS group .. of a place. */
CLSTM_INLINE void random_words(uint32_t words[WORDS], const struct place *place, uint32_t group) {
    wide c[4] = {group * WIDE - (wide){0}, place->step - (wide){0}, place->row - (wide){0}, place->stream - (wide){0}};
    /* Even lanes have the first half of the blocks, so that these come out in order. */
    for (int lane = 0; lane < WIDE; lane++) c[0][lane] += (uint64_t)(lane / 2 + lane % 2 * (WIDE / 2));
    philox(c, place->seed);
    const wide first = c[0] | c[1] << 32, last = c[2] | c[3] << 32; /* x86 and ARM: the low half comes first */
    const vec ordered[2] = {BY_TURNS(lo, pd, first, last), BY_TURNS(hi, pd, first, last)};
    memcpy(words, ordered, sizeof ordered);
}

/* below where a word is less than `threshold`, else above */
static void random_mask(real *to, ptrdiff_t n, const struct place *place, uint32_t threshold, real below, real above) {
    uint32_t words[WORDS], group = 0;
    for (; n >= WORDS; group++, n -= WORDS, to += WORDS) {
        random_words(words, place, group);
        for (int i = 0; i < WORDS; i++) to[i] = words[i] < threshold ? below : above;
    }
    if (n > 0) random_words(words, place, group);
    for (int i = 0; i < n; i++) to[i] = words[i] < threshold ? below : above;
}

/* to += deviation z, z normal (Box and Muller 1958: two words give two numbers) */
static void add_normal(real *to, ptrdiff_t n, const struct place *place, double deviation) {
    uint32_t words[WORDS];
    for (uint32_t group = 0; n > 0; group++, n -= WORDS, to += WORDS) {
        const ptrdiff_t count = n < WORDS ? n : WORDS;
        random_words(words, place, group);
        for (ptrdiff_t i = 0; i < count; i += 2) {
            const double radius = deviation * sqrt(-2 * log((words[i] + 0.5) * 0x1p-32));
            const double angle = 6.283185307179586 * (words[i + 1] * 0x1p-32);
            to[i] += (real)(radius * cos(angle));
            if (i + 1 < count) to[i + 1] += (real)(radius * sin(angle));
        }
    }
}

#endif

/* struct lattice of one instruction set. The including file has set the target, VECTOR_BYTES, and INSTANCE, the name of
 * the table. */
#define REAL_BITS 64
#include "../kernels/simd.h"
#include "lattice.h"

typedef uint64_t word_vec __attribute__((vector_size(VECTOR_BYTES)));

CLSTM_INLINE word_vec words(uint64_t word) { return word - (word_vec){0}; }

/* 2^n of whole numbers n up to 1023; 0 from -1023 down. The sum has n + 1023 in its lowest bits. */
CLSTM_INLINE vec power(vec n) { return (vec)((ivec)(max_(broadcast(-1023), n) + broadcast(0x1.8p52 + 1023)) << 52); }

struct weights {
    vec m, e;
};

CLSTM_INLINE struct weights weights_at(const double *m, const double *e, ptrdiff_t j) {
    return (struct weights){load(m + j), load(e + j)};
}

/* Mantissas of sums are not normalised, and less than 8. */
CLSTM_INLINE struct weights sum_of(struct weights a, struct weights b) {
    const vec e = max_(a.e, b.e);
    return (struct weights){a.m * power(a.e - e) + b.m * power(b.e - e), e};
}

CLSTM_INLINE struct weights sum_of_three(struct weights a, struct weights b, struct weights c) {
    const vec e = max_(max_(a.e, b.e), c.e);
    return (struct weights){a.m * power(a.e - e) + b.m * power(b.e - e) + c.m * power(c.e - e), e};
}

/* x y, normalised: the bits of its exponent become a number as the lowest bits of 2^52 + exponent + 1023. */
CLSTM_INLINE struct weights product_of(struct weights x, struct weights y) {
    const word_vec bits = (word_vec)(x.m * y.m);
    const vec exponent = (vec)((bits >> 52) | words(0x4330000000000000)) - broadcast(0x1p52 + 1023);
    return (struct weights){(vec)((bits & words(0x000fffffffffffff)) | words(0x3ff0000000000000)),
                            max_(broadcast(NOTHING), x.e + y.e + exponent)};
}

CLSTM_INLINE void put(struct weights x, double *m, double *e, ptrdiff_t j) {
    store(m + j, x.m);
    store(e + j, x.e);
}

CLSTM_INLINE struct weights label_y(const struct lattice_step *s, ptrdiff_t j) {
    return (struct weights){load(s->y + j), s->y_e ? load(s->y_e + j) : broadcast(0)};
}

static void forward(const struct lattice_step *s, struct column from, struct column to) {
    const struct weights y_blank = {broadcast(s->blank), broadcast(s->blank_e)};
    for (ptrdiff_t j = s->begin; j < s->end; j += V) {
        const struct weights blank = weights_at(from.blank, from.blank_e, j);
        const struct weights label = weights_at(from.label, from.label_e, j);
        struct weights before = weights_at(from.label, from.label_e, j - 1);
        put(product_of(sum_of(blank, before), y_blank), to.blank, to.blank_e, j);
        before.e = before.e + load(s->skip + j);
        put(product_of(sum_of_three(label, blank, before), label_y(s, j)), to.label, to.label_e, j);
    }
}

/* a b / (total 2^total_e), at most 1 but for rounding. Exponents beyond 2^53 have lost digits: the bound keeps `power` in
 * its range then. */
CLSTM_INLINE vec share_of(struct weights a, struct weights b, vec inverse, vec total_e) {
    return a.m * b.m * inverse * power(min_(broadcast(1), a.e + b.e - total_e));
}

static double backward(const struct lattice_step *s, struct column alpha, struct column g, double total, double total_e,
                       double *occupancy) {
    const struct weights y_blank = {broadcast(s->blank), broadcast(s->blank_e)};
    const vec inverse = broadcast(1 / total), shift = broadcast(total_e);
    vec blanks[LATTICE_BLOCK / V] = {{0}};
    for (ptrdiff_t j = s->begin; j < s->end; j += V) {
        const struct weights blank = weights_at(g.blank, g.blank_e, j), label = weights_at(g.label, g.label_e, j);
        const struct weights next_blank = weights_at(g.blank, g.blank_e, j + 1);
        struct weights next_label = weights_at(g.label, g.label_e, j + 1);
        next_label.e = next_label.e + load(s->skip + j + 1);
        const struct weights from_blank = sum_of(blank, label);
        const struct weights from_label = sum_of_three(label, next_blank, next_label);
        blanks[j / V % (LATTICE_BLOCK / V)] +=
            share_of(weights_at(alpha.blank, alpha.blank_e, j), from_blank, inverse, shift);
        store(occupancy + j, share_of(weights_at(alpha.label, alpha.label_e, j), from_label, inverse, shift));
        put(product_of(from_blank, y_blank), g.blank, g.blank_e, j);
        put(product_of(from_label, label_y(s, j)), g.label, g.label_e, j);
    }
    double lanes[LATTICE_BLOCK], sum = 0;
    for (int k = 0; k < LATTICE_BLOCK / V; k++) store(lanes + k * V, blanks[k]);
    for (int k = 0; k < LATTICE_BLOCK; k++) sum += lanes[k];
    return sum;
}

const struct lattice INSTANCE = {.forward = forward, .backward = backward};

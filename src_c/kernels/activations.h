/* exp, sigmoid and tanh, in both precisions, on every instruction set.
 *
 * All three come from one even function of a small h, of which three terms (six in double) are enough,
 *
 *     C(h^2) = h coth(h)       tanh(h) = h / C       e^2h = (C + h) / (C - h)
 *
 * so that the exponential is a quotient. sigmoid and tanh are quotients anyway and get it for nothing: one division
 * each, and half the multiplications of a polynomial of the same accuracy. Exponentials by such quotients, and the
 * reduction x = n ln2 + r with ln2 in two parts, are those of Cody and Waite, Software Manual for the Elementary
 * Functions, 1980. The constants are printed by minimax.py.
 *
 * Errors are in units in the last place of the exact result, with the spacing of subnormal numbers where it is one. The
 * largest were found on all floats (exp and sigmoid: up to 200) and 10^8 doubles; without fused multiply-add they are
 * no larger. */
#ifndef CLSTM_ACTIVATIONS_H
#define CLSTM_ACTIVATIONS_H

#include "../clstm.h"
#include "simd.h"

#define LOG2E 1.4426950408889634
#define LN2 0.69314718055994531
#if REAL_BITS == 32
enum { FRACTION_BITS = 23, COTH_TERMS = 3 };
static const real COTH[] = {1, 0.33333251367281778, -0.02213394072506295};
#define LN2_FIRST 0x1.62e4p-1 /* its product with an exponent is exact */
#define LN2_SECOND 1.4286068203094172e-6
#define ROUNDER (0x1.8p23 + 127)
#define EXP_LOW -104 /* from here down e^x rounds to 0 */
#define EXP_HIGH 89  /* and from here up to infinity */
#define EXP_OFFSET 64
#define EXP_FACTOR 0x1p64
#define SIGMOID_OFFSET 24
#else
enum { FRACTION_BITS = 52, COTH_TERMS = 6 };
static const real COTH[] = {1,
                            0.33333333333333203,
                            -0.022222222221609347,
                            0.0021164020224991626,
                            -0.00021163393173273083,
                            2.118700305754631e-5};
#define LN2_FIRST 0x1.62e42fefa38p-1
#define LN2_SECOND 5.4979230187083712e-14
#define ROUNDER (0x1.8p52 + 1023)
#define EXP_LOW -746
#define EXP_HIGH 710
#define EXP_OFFSET 512
#define EXP_FACTOR 0x1p512
#define SIGMOID_OFFSET 64
#endif

/* ROUNDER is so large that adding it to x leaves the integer nearest to x in the lowest bits of the sum, on top of the
 * bias of an exponent; subtracting it gives that integer n as a number, and a shift gives 2^n. */
CLSTM_INLINE vec power_of_two(vec sum) { return (vec)((ivec)sum << FRACTION_BITS); }

/* outer C(inner x). The factors are powers of two and disappear in the constants. */
CLSTM_INLINE vec coth_series(real outer, real inner, vec x) {
    real factor = outer;
    CLSTM_UNROLL for (int i = 1; i < COTH_TERMS; i++) factor *= inner;
    vec sum = broadcast(factor * COTH[COTH_TERMS - 1]);
    CLSTM_UNROLL for (int i = COTH_TERMS - 2; i >= 0; i--) {
        factor /= inner;
        sum = fma_(sum, x, broadcast(factor * COTH[i]));
    }
    return sum;
}

/* x = n ln2 + r with |r| <= ln2 / 2, c = 2 C(r^2 / 4),
 *
 *     e^x = 2^n (1 + 2 r / (c - r))
 *
 * The 1 keeps the errors of the quotient small. 2^n alone may not be a normal number, so that it is applied in two
 * steps, and the second one rounds to a subnormal number or overflows. Largest error found: 1.41 ulp (double 1.40). */
CLSTM_INLINE vec exp_(vec x) {
    const ivec negative = x < broadcast(0);
    const vec rounder = select_(negative, broadcast(ROUNDER + EXP_OFFSET), broadcast(ROUNDER - EXP_OFFSET));
    x = min_(broadcast(EXP_HIGH), max_(broadcast(EXP_LOW), x));
    const vec t = fma_(x, broadcast(LOG2E), rounder), n = t - rounder;
    const vec r = fma_(n, broadcast(-LN2_SECOND), fma_(n, broadcast(-LN2_FIRST), x));
    const vec c = coth_series(2, 0.25, r * r), e = broadcast(1) + (r + r) / (c - r);
    return e * power_of_two(t) * select_(negative, broadcast(1 / EXP_FACTOR), broadcast(EXP_FACTOR));
}

/* With x = r - k ln2 and c as above,
 *
 *     sigmoid(x) = e^x / (e^x + 1) = (c + r) / ((c + r) + 2^k (c - r))
 *
 * for x of either sign. Both sides of the fraction are scaled by 2^-SIGMOID_OFFSET: k reaches 150 (1076 in double), more
 * than an exponent holds, and so the division is what rounds to a subnormal result. Largest error found: 2.44 ulp
 * (double 2.42). */
CLSTM_INLINE vec sigmoid_(vec x) {
    const vec rounder = broadcast(ROUNDER - SIGMOID_OFFSET);
    x = min_(broadcast(40), max_(broadcast(EXP_LOW), x)); /* sigmoid(40) rounds to 1 */
    const vec t = fma_(x, broadcast(-LOG2E), rounder), k = t - rounder;
    const vec r = fma_(k, broadcast(LN2_SECOND), fma_(k, broadcast(LN2_FIRST), x));
    const vec c = coth_series(2, 0.25, r * r);
    const vec numerator = (vec)((ivec)(c + r) - ((real_bits)SIGMOID_OFFSET << FRACTION_BITS));
    return numerator / fma_(power_of_two(t), c - r, numerator);
}

/* With |x| = h - k ln2 / 2, w = 2^k (k <= 0) and C = C(h^2),
 *
 *     tanh|x| = (e^2|x| - 1) / (e^2|x| + 1) = ((C - w C) + (h + w h)) / ((C + h) + w (C - h))
 *
 * where nothing cancels: for small x k is 0 and the fraction 2 h / 2 C. The denominator is computed as the numerator
 * plus 2 w (C - h) > 0, so that the result never exceeds 1. One part of ln2 is enough: its error grows with |k|, and
 * the slope of tanh falls faster. Largest error found: 2.37 ulp (double 2.58). */
CLSTM_INLINE vec tanh_(vec x) {
    const ivec sign = (ivec)broadcast(-(real)0);
    const vec rounder = broadcast(ROUNDER);
    const vec a = min_(broadcast(20), (vec)((ivec)x & ~sign)); /* tanh(20) rounds to 1 */
    const vec t = fma_(a, broadcast(-2 * LOG2E), rounder), k = t - rounder;
    const vec h = fma_(k, broadcast(LN2 / 2), a), c = coth_series(1, 1, h * h), w = power_of_two(t);
    const vec numerator = fma_(-w, c, c) + fma_(w, h, h);
    return (vec)((ivec)(numerator / fma_(w + w, c - h, numerator)) | ((ivec)x & sign));
}

/* A straight line between 0 and 1. */
CLSTM_INLINE vec ramp(vec x, real slope) {
    return min_(broadcast(1), max_(broadcast(0), fma_(x, broadcast(slope), broadcast((real)0.5))));
}

/* max_ gives the second if one is NaN. */
CLSTM_INLINE vec activation_of(const clstm_activation kind, vec x) {
    switch (kind) {
    case CLSTM_SIGMOID: return sigmoid_(x);
    case CLSTM_TANH: return tanh_(x);
    case CLSTM_RELU: return max_(broadcast(0), x);
    case CLSTM_HARD_SIGMOID: return ramp(x, (real)(1.0 / 6));
    case CLSTM_HARD_SIGMOID_FIFTH: return ramp(x, (real)0.2);
    /* 4 sigmoid(x) - 2 = 2 tanh(x / 2), and 2 sigmoid(x) - 1 = tanh(x / 2), where nothing cancels. */
    case CLSTM_CENTERED_SIGMOID_2: return broadcast(2) * tanh_(x * broadcast((real)0.5));
    case CLSTM_CENTERED_SIGMOID_1: return tanh_(x * broadcast((real)0.5));
    case CLSTM_EXP: return exp_(x);
    default: return x; /* the identity */
    }
}

CLSTM_NOINLINE vec activation_by_call(clstm_activation kind, vec x) { return activation_of(kind, x); }

/* Where the compiler knows the kind, that activation alone; otherwise a call, because a copy of all of them in each place
 * made the library a third larger. */
CLSTM_INLINE vec activated(const clstm_activation kind, vec x) {
    return __builtin_constant_p(kind) ? activation_of(kind, x) : activation_by_call(kind, x);
}

CLSTM_INLINE vec slope_of(const clstm_activation kind, vec y) {
    const vec one = broadcast(1), zero = broadcast(0);
    switch (kind) {
    case CLSTM_SIGMOID: return y * (one - y);
    case CLSTM_TANH: return fma_(-y, y, one);
    case CLSTM_RELU: return masked(one, y > zero);
    case CLSTM_HARD_SIGMOID: return masked(broadcast((real)(1.0 / 6)), (y > zero) & (y < one));
    case CLSTM_HARD_SIGMOID_FIFTH: return masked(broadcast((real)0.2), (y > zero) & (y < one));
    case CLSTM_CENTERED_SIGMOID_2: return fma_(y * broadcast((real)-0.25), y, one);
    case CLSTM_CENTERED_SIGMOID_1: return broadcast((real)0.5) * fma_(-y, y, one);
    default: return one;
    }
}

CLSTM_NOINLINE vec slope_by_call(clstm_activation kind, vec y) { return slope_of(kind, y); }

/* The derivative of an activation (but for exp) by its value y. */
CLSTM_INLINE vec slope_at(const clstm_activation kind, vec y) {
    return __builtin_constant_p(kind) ? slope_of(kind, y) : slope_by_call(kind, y);
}

/* The last vector may be part of one; a lane does not know its position, so that the bits are the same. */
static void activate_kernel(clstm_activation kind, ptrdiff_t n, const real *x, real *y) {
    for (; n >= V; n -= V, x += V, y += V) store(y, activated(kind, load(x)));
    if (n > 0) store_part(y, activated(kind, load_part(x, n)), n);
}

#endif

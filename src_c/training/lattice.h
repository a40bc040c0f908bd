/* One step of the forward and of the backward recursion of CTC (Graves et al. 2006, section 4), in double, on each
 * instruction set.
 *
 * A row with S labels has a blank b_j, j <= S, before each label l_j, j < S, and one at the end. The weight of the paths
 * to a state is
 *
 *     b_j' = (b_j + l_{j-1}) y_blank
 *     l_j' = (l_j + b_j + l_{j-1} if it is another class) y_j
 *
 * Weights of one step can lie apart by more than the range of a double, and the smallest of them may be on the best
 * path in the end, so that one scale for a step will not do. Each is a mantissa m in [1,2) with an exponent of its own,
 * m 2^e; e is a whole number in a double. This is as robust as a logarithm, whose integer part and fraction it is,
 * without an exponential and a logarithm for each sum: terms are shifted to the largest exponent, as integers are added
 * to the bits of their exponents. It is more exact: a rounding error is relative to the weight, not to its logarithm.
 *
 * A weight of nothing has e = NOTHING: next to any other it is shifted out. */
#ifndef CLSTM_LATTICE_H
#define CLSTM_LATTICE_H

#include "../clstm.h"

#define NOTHING (-0x1p1000)
#define IS_NOTHING(e) ((e) < -0x1p999)

/* States are taken in blocks of this many, whatever the width of the vectors. */
enum { LATTICE_BLOCK = 8 };

/* The weights of all states at one step. Arrays begin on a cache line; label and its exponent have an element -1. */
struct column {
    double *label, *label_e, *blank, *blank_e;
};

/* States begin .. end-1, multiples of LATTICE_BLOCK. y_e NULL: all exponents of y are 0. The y are positive, normal,
 * and at most 2. skip is 0 where a path may come from l_{j-1} to l_j, else NOTHING; readable to end + LATTICE_BLOCK. */
struct lattice_step {
    ptrdiff_t begin, end;
    const double *y, *y_e, *skip;
    double blank, blank_e;
};

struct lattice {
    /* to = the weights after a step from those before. Reads `from` from begin - 1 to end - 1. */
    void (*forward)(const struct lattice_step *, struct column from, struct column to);
    /* With g the weights from the next step on, its y included: overwrites g by those from this step on, and writes
     * occupancy[j] = the weight of all paths through l_j at this step, over total 2^total_e; returns that of all
     * blanks. Reads g from begin to end. */
    double (*backward)(const struct lattice_step *, struct column alpha, struct column g, double total, double total_e,
                       double *occupancy);
};

extern const struct lattice clstm_lattice_baseline, clstm_lattice_avx2, clstm_lattice_avx512;

static inline const struct lattice *lattice_of(clstm_isa isa) {
#if defined(__x86_64__) || defined(_M_X64)
    if (isa == CLSTM_ISA_AVX512) return &clstm_lattice_avx512;
    if (isa == CLSTM_ISA_AVX2) return &clstm_lattice_avx2;
#endif
    (void)isa;
    return &clstm_lattice_baseline;
}

#endif

/* What CTC and its decoders do with numbers of the caller's precision, behind one table, so that ctc.c and ctc_beam.c
 * do without a type. */
#ifndef CLSTM_CTC_H
#define CLSTM_CTC_H

#include "../clstm_training.h"

struct ctc_real {
    ptrdiff_t size; /* bytes of one element */
    /* u = x - the greatest x */
    void (*shifted)(ptrdiff_t n, const void *x, double *u);
    /* x[i] - the greatest of n */
    double (*shifted_one)(ptrdiff_t n, const void *x, ptrdiff_t i);
    double (*get)(const void *x, ptrdiff_t i);
    /* y = x */
    void (*narrow)(ptrdiff_t n, const double *x, void *y);
    /* y *= factor, but y[index[i]] = value[i], i < count. */
    void (*scale_but)(ptrdiff_t n, double factor, void *y, ptrdiff_t count, const ptrdiff_t *index,
                      const double *value);
    void (*fill)(ptrdiff_t n, double value, void *y);
};

extern const struct ctc_real clstm_ctc_f32, clstm_ctc_f64;

static inline const struct ctc_real *ctc_real_of(clstm_dtype dtype) {
    return dtype == CLSTM_F32 ? &clstm_ctc_f32 : &clstm_ctc_f64;
}

/* Where element i stands; NULL stays NULL. */
static inline void *ctc_element(const struct ctc_real *real, const void *array, ptrdiff_t i) {
    return array ? (char *)array + i * real->size : NULL;
}

/* One step of a row: w = exp(x - the greatest x), n numbers, by the kernels of double; returns their sum. */
double ctc_exponentials(clstm_isa isa, const struct ctc_real *real, ptrdiff_t n, const void *x, double *w);

#endif

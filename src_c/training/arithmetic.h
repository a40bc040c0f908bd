/* The kernels on plain arrays, in both precisions behind one table, so that losses.c and optimizers.c do without a
 * type. The instruction set is that of a checked runtime; formulas stand in clstm_training.h and kernels.h. */
#ifndef CLSTM_ARITHMETIC_H
#define CLSTM_ARITHMETIC_H

#include "../clstm_training.h"

struct arithmetic {
    ptrdiff_t size; /* bytes of one element */
    /* Sum of (prediction - target)^2; gradient = scale (prediction - target), or NULL. */
    double (*squared_error)(clstm_isa isa, ptrdiff_t n, const void *prediction, const void *target, double scale,
                            void *gradient);
    /* Sum over positions of -log softmax(logits)[target]; gradient = scale (softmax - onehot), or NULL. */
    double (*softmax_error)(clstm_isa isa, ptrdiff_t positions, ptrdiff_t classes, const void *logits,
                            const int64_t *target, double scale, void *gradient);
    double (*sum_of_squares)(clstm_isa isa, ptrdiff_t n, const void *x);
    void (*scale)(clstm_isa isa, ptrdiff_t n, void *x, double factor);
    void (*sgd)(clstm_isa isa, ptrdiff_t n, const clstm_sgd_options *, void *w, const void *g, void *momentum_buffer);
    void (*adam)(clstm_isa isa, ptrdiff_t n, const clstm_adam_options *, void *w, const void *g, void *m, void *v,
                 void *largest);
    void (*rmsprop)(ptrdiff_t n, const clstm_rmsprop_options *, void *w, const void *g, void *v, void *m,
                    void *velocity);
    void (*adagrad)(ptrdiff_t n, const clstm_adagrad_options *, void *w, const void *g, void *sum);
    void (*asgd)(ptrdiff_t n, const clstm_asgd_options *, void *w, const void *g, void *average);
    void (*clip)(ptrdiff_t n, void *x, double limit);
    /* Copies into doubles, and back. */
    void (*load)(ptrdiff_t n, const void *x, double *to);
    void (*store)(ptrdiff_t n, const double *from, void *x);
    void (*activate)(clstm_isa isa, clstm_activation function, ptrdiff_t n, const void *x, void *y);
};

extern const struct arithmetic clstm_arithmetic_f32, clstm_arithmetic_f64;

static inline const struct arithmetic *arithmetic_of(clstm_dtype dtype) {
    return dtype == CLSTM_F32 ? &clstm_arithmetic_f32 : &clstm_arithmetic_f64;
}

/* Where element i stands; NULL stays NULL. */
static inline void *element(const struct arithmetic *arithmetic, const void *array, ptrdiff_t i) {
    return array ? (char *)array + i * arithmetic->size : NULL;
}

/* Waking another thread costs microseconds: fewer elements than this are worked on by the caller alone. */
enum { WORTH_THREADS = 65536 };

#endif

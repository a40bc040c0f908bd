/* One step of each optimiser on flat arrays. */
#include "flat.h"

static void run_sgd(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    (void)block;
    const struct arithmetic *arithmetic = flat->arithmetic;
    arithmetic->sgd(flat->isa, n, flat->options, element(arithmetic, flat->out, at), element(arithmetic, flat->in, at),
                    element(arithmetic, flat->first, at));
}

clstm_status clstm_sgd(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const clstm_sgd_options *options,
                       void *w, const void *g, void *momentum_buffer) {
    clstm_status status = check_flat(runtime, dtype, n);
    if (!status && (options->step < 1 || (options->momentum != 0 && !momentum_buffer))) status = CLSTM_BAD_OPTION;
    if (status) return status;
    run_flat(&(struct flat){.run = run_sgd, .options = options, .out = w, .in = g, .first = momentum_buffer}, runtime,
             dtype, n);
    return CLSTM_OK;
}

static void run_adam(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    (void)block;
    const struct arithmetic *arithmetic = flat->arithmetic;
    arithmetic->adam(flat->isa, n, flat->options, element(arithmetic, flat->out, at), element(arithmetic, flat->in, at),
                     element(arithmetic, flat->first, at), element(arithmetic, flat->second, at),
                     element(arithmetic, flat->third, at));
}

clstm_status clstm_adam(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const clstm_adam_options *options,
                        void *w, const void *g, void *m, void *v, void *largest) {
    clstm_status status = check_flat(runtime, dtype, n);
    if (!status && options->step < 1) status = CLSTM_BAD_OPTION;
    if (status) return status;
    struct flat flat = {.run = run_adam, .options = options, .out = w, .in = g, .first = m, .second = v};
    flat.third = largest;
    run_flat(&flat, runtime, dtype, n);
    return CLSTM_OK;
}

static void run_rmsprop(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    (void)block;
    const struct arithmetic *arithmetic = flat->arithmetic;
    arithmetic->rmsprop(n, flat->options, element(arithmetic, flat->out, at), element(arithmetic, flat->in, at),
                        element(arithmetic, flat->first, at), element(arithmetic, flat->second, at),
                        element(arithmetic, flat->third, at));
}

clstm_status clstm_rmsprop(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n,
                           const clstm_rmsprop_options *options, void *w, const void *g, void *v, void *m,
                           void *velocity) {
    clstm_status status = check_flat(runtime, dtype, n);
    if (!status && options->momentum != 0 && !velocity) status = CLSTM_BAD_OPTION;
    if (status) return status;
    struct flat flat = {.run = run_rmsprop, .options = options, .out = w, .in = g, .first = v, .second = m};
    flat.third = velocity;
    run_flat(&flat, runtime, dtype, n);
    return CLSTM_OK;
}

static void run_adagrad(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    (void)block;
    const struct arithmetic *arithmetic = flat->arithmetic;
    arithmetic->adagrad(n, flat->options, element(arithmetic, flat->out, at), element(arithmetic, flat->in, at),
                        element(arithmetic, flat->first, at));
}

clstm_status clstm_adagrad(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n,
                           const clstm_adagrad_options *options, void *w, const void *g, void *sum) {
    clstm_status status = check_flat(runtime, dtype, n);
    if (!status && options->step < 1) status = CLSTM_BAD_OPTION;
    if (status) return status;
    run_flat(&(struct flat){.run = run_adagrad, .options = options, .out = w, .in = g, .first = sum}, runtime, dtype,
             n);
    return CLSTM_OK;
}

static void run_asgd(struct flat *flat, ptrdiff_t block, ptrdiff_t at, ptrdiff_t n) {
    (void)block;
    const struct arithmetic *arithmetic = flat->arithmetic;
    arithmetic->asgd(n, flat->options, element(arithmetic, flat->out, at), element(arithmetic, flat->in, at),
                     element(arithmetic, flat->first, at));
}

clstm_status clstm_asgd(const clstm_runtime *runtime, clstm_dtype dtype, ptrdiff_t n, const clstm_asgd_options *options,
                        void *w, const void *g, void *average) {
    clstm_status status = check_flat(runtime, dtype, n);
    if (!status && options->step < 1) status = CLSTM_BAD_OPTION;
    if (status) return status;
    run_flat(&(struct flat){.run = run_asgd, .options = options, .out = w, .in = g, .first = average}, runtime, dtype,
             n);
    return CLSTM_OK;
}

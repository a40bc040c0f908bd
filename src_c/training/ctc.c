/* Connectionist temporal classification, one row after another; the recursions stand in lattice.h.
 *
 * Forward, the weights alpha of all states are kept; backward, where a state's part in the paths, its occupancy, is
 * known, the gradient is written:
 *
 *     dlogits[t][k] = softmax[t][k] - sum of the occupancies at t of the states that say k
 *
 * In both recursions e^(x - the greatest x) stands in for the softmax. By its sums S_t, softmax = e^(x - greatest) /
 * S_t, the probability is divided in the end; occupancies are quotients anyway. So there are a logarithm or two for a
 * row. Where the model is sure, softmax and occupancy are almost the same: the difference is taken in double for all
 * classes in the target; others keep their exponentials in the gradient until then.
 *
 * Only states are computed that a path can be in: after t steps none is behind t labels, and those that are left need
 * a step each. */
#include <math.h>
#include <string.h>

#define REAL_BITS 64 /* of the exponentials */
#include "../ground/arena.h"
#include "../ground/threads.h"
#include "../kernels/kernels.h"
#include "../sequences/check.h"
#include "../sequences/plan.h"
#include "ctc.h"
#include "lattice.h"

/* Below this, y leaves the range in which a product with a mantissa is a normal number, and has an exponent. */
#define LEAST_Y 0x1p-1000
#define LN2_FIRST 0x1.62e42fefa38p-1 /* its product with an exponent is exact */
#define LN2_SECOND 5.4979230187083712e-14
#define LOG2E 1.4426950408889634
#define LN2 0.69314718055994531

enum { WORTH_THREADS = 16384 }; /* classes and states: waking a thread costs microseconds */

struct ctc {
    clstm_isa isa;
    const struct ctc_real *real;
    const struct lattice *lattice;
    const clstm_batch *batch;
    const clstm_ctc_options *options;
    ptrdiff_t S;
    const void *logits, *weight;
    const int64_t *target;
    const ptrdiff_t *target_lengths;
    void *gradient;
    double total_weight, *loss; /* [N] times weight and scale */
    char *rows;                 /* working memory of each thread */
    size_t row_bytes;
};

/* Working memory of a row. `width` is that of a column's arrays. */
struct row {
    ptrdiff_t width, columns;
    double *alpha;               /* [columns][4][width] */
    double *g;                   /* [4][width] */
    double *y, *y_e;             /* [T][width]; an exponent is read where extreme[t] says so */
    double *blank, *blank_e, *S; /* [T] S_t: the sum of e^(x - greatest) */
    unsigned char *extreme;      /* [T] */
    double *skip, *occupancy;    /* [width] */
    double *w;                   /* [C] */
    ptrdiff_t *slot;             /* [S] of a label among the distinct classes of the target */
    ptrdiff_t *slot_of;          /* [C] those of the target are set */
    ptrdiff_t distinct;
    ptrdiff_t *class, *first; /* [S+1] class of a slot, the first label that has it; the last slot is the blank's */
    double *value;            /* [S+1] by slot */
    /* Of this row: */
    ptrdiff_t n, steps, labels;
    const void *logits;
    void *gradient;
    const int64_t *target;
    double total, total_e; /* the weight of all paths */
};

static ptrdiff_t rounded_up(ptrdiff_t count) { return (count + LATTICE_BLOCK - 1) / LATTICE_BLOCK * LATTICE_BLOCK; }

/* A column has a block in front, of which element -1 is used, and one behind. */
static void lay_out(struct row *row, struct arena *arena, ptrdiff_t T, ptrdiff_t C, ptrdiff_t S, ptrdiff_t columns) {
    const ptrdiff_t width = rounded_up(S + 1) + 2 * LATTICE_BLOCK, real = sizeof(double), index = sizeof(ptrdiff_t);
    row->width = width;
    row->columns = columns;
    row->alpha = arena_take(arena, times(columns, times(4, width)), real);
    row->g = arena_take(arena, times(4, width), real);
    row->y = arena_take(arena, times(T, width), real);
    row->y_e = arena_take(arena, times(T, width), real);
    row->blank = arena_take(arena, T, real);
    row->blank_e = arena_take(arena, T, real);
    row->S = arena_take(arena, T, real);
    row->extreme = arena_take(arena, T, 1);
    row->skip = arena_take(arena, width, real);
    row->occupancy = arena_take(arena, width, real);
    row->w = arena_take(arena, C, real);
    row->slot = arena_take(arena, S, index);
    row->slot_of = arena_take(arena, C, index);
    row->class = arena_take(arena, S + 1, index);
    row->first = arena_take(arena, S + 1, index);
    row->value = arena_take(arena, S + 1, real);
}

/* ---- the labels and numbers of a row ---- */

static struct column column_at(double *data, ptrdiff_t width) {
    double *first = data + LATTICE_BLOCK;
    return (struct column){first, first + width, first + 2 * width, first + 3 * width};
}

/* Elements begin .. end-1 weigh nothing; mantissas are numbers all the same. */
static void clear(struct column column, ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t j = begin; j < end; j++) {
        column.label[j] = column.blank[j] = 1;
        column.label_e[j] = column.blank_e[j] = NOTHING;
    }
}

static struct column cleared_column(double *data, ptrdiff_t width) {
    const struct column column = column_at(data, width);
    clear(column, -LATTICE_BLOCK, width - LATTICE_BLOCK);
    return column;
}

static void number_classes(struct row *row, ptrdiff_t blank) {
    for (ptrdiff_t j = 0; j < row->labels; j++) row->slot_of[row->target[j]] = -1;
    row->distinct = 0;
    for (ptrdiff_t j = 0; j < row->labels; j++) {
        const ptrdiff_t class = (ptrdiff_t)row->target[j];
        if (row->slot_of[class] < 0) {
            row->class[row->distinct] = class;
            row->first[row->distinct] = j;
            row->slot_of[class] = row->distinct++;
        }
        row->slot[j] = row->slot_of[class];
    }
    row->class[row->distinct] = blank;
}

/* Returns the steps that the labels need: one for each, and for the blank between equal neighbours. */
static ptrdiff_t set_labels(struct row *row, ptrdiff_t blank) {
    ptrdiff_t needed = row->labels;
    for (ptrdiff_t j = 0; j < row->width; j++) row->skip[j] = NOTHING;
    for (ptrdiff_t j = 1; j < row->labels; j++) {
        const int repeats = row->target[j] == row->target[j - 1];
        needed += repeats;
        if (!repeats) row->skip[j] = 0;
    }
    number_classes(row, blank);
    return needed;
}

/* e^u of a class with a probability so small that it may be none in a double. */
static void extreme_y(const struct ctc *it, const void *x, ptrdiff_t class, double *y, double *y_e) {
    const double u = it->real->shifted_one(it->options->classes, x, class);
    const double n = rint(fmax(u * LOG2E, NOTHING));
    *y = 1;
    *y_e = n == n ? n : NOTHING;
    if (!IS_NOTHING(*y_e)) *y = exp(fmin(1, fmax(-1, u - n * LN2_FIRST - n * LN2_SECOND)));
}

static void extreme_step(const struct ctc *it, struct row *row, ptrdiff_t t) {
    const void *x = ctc_element(it->real, row->logits, t * it->options->classes);
    double *y = row->y + t * row->width, *y_e = row->y_e + t * row->width;
    for (ptrdiff_t j = 0; j < rounded_up(row->labels + 1); j++) y_e[j] = 0;
    for (ptrdiff_t j = 0; j < row->labels; j++)
        if (!(y[j] >= LEAST_Y)) extreme_y(it, x, (ptrdiff_t)row->target[j], y + j, y_e + j);
    if (!(row->blank[t] >= LEAST_Y)) extreme_y(it, x, it->options->blank, row->blank + t, row->blank_e + t);
    row->extreme[t] = 1;
}

double ctc_exponentials(clstm_isa isa, const struct ctc_real *real, ptrdiff_t n, const void *x, double *w) {
    enum { SUMS = 8 };
    double sums[SUMS] = {0}, sum = 0;
    ptrdiff_t i = 0;
    real->shifted(n, x, w);
    kernels_of(isa)->activate(CLSTM_EXP, n, w, w);
    for (; i + SUMS <= n; i += SUMS)
        for (int k = 0; k < SUMS; k++) sums[k] += w[i + k];
    for (; i < n; i++) sum += w[i];
    for (int k = 0; k < SUMS; k++) sum += sums[k];
    return sum;
}

/* The y of all steps. Returns the sum of log S_t: the logarithms of several S_t are that of their product. */
static double fill_y(const struct ctc *it, struct row *row) {
    const ptrdiff_t C = it->options->classes, end = rounded_up(row->labels + 1);
    double logs = 0, product = 1;
    for (ptrdiff_t t = 0; t < row->steps; t++) {
        double *y = row->y + t * row->width, least;
        row->S[t] = ctc_exponentials(it->isa, it->real, C, ctc_element(it->real, row->logits, t * C), row->w);
        least = row->blank[t] = row->w[it->options->blank];
        row->blank_e[t] = 0;
        row->extreme[t] = 0;
        for (ptrdiff_t j = 0; j < row->labels; j++) {
            y[j] = row->w[row->target[j]];
            least = y[j] < least ? y[j] : least;
        }
        for (ptrdiff_t j = row->labels; j < end; j++) y[j] = 1;
        if (!(least >= LEAST_Y) || row->S[t] != row->S[t]) extreme_step(it, row, t);
        if (row->gradient) it->real->narrow(C, row->w, ctc_element(it->real, row->gradient, t * C));
        product *= row->S[t];
        if (product < 1e200) continue;
        logs += log(product);
        product = 1;
    }
    return logs + log(product);
}

/* ---- the recursions ---- */

static struct lattice_step step_at(const struct row *row, ptrdiff_t t) {
    const ptrdiff_t S = row->labels, last = t < S ? t : S, first = S - row->steps + t;
    return (struct lattice_step){
        .begin = first > 0 ? first / LATTICE_BLOCK * LATTICE_BLOCK : 0,
        .end = rounded_up(last + 1),
        .y = row->y + t * row->width,
        .y_e = row->extreme[t] ? row->y_e + t * row->width : NULL,
        .skip = row->skip,
        .blank = row->blank[t],
        .blank_e = row->blank_e[t],
    };
}

/* That after t steps; without a gradient there are two, by turns. */
static struct column alpha_at(const struct row *row, ptrdiff_t t) {
    return column_at(row->alpha + t % row->columns * 4 * row->width, row->width);
}

/* a + b, each a weight with its exponent. */
static void add_weights(struct row *row, double a, double a_e, double b, double b_e) {
    row->total_e = a_e > b_e ? a_e : b_e;
    row->total = ldexp(a, (int)fmax(a_e - row->total_e, -2000)) + ldexp(b, (int)fmax(b_e - row->total_e, -2000));
}

/* Leaves alpha and the total. A column is cleared around the states of its step, where the next one looks. */
static void forward(const struct ctc *it, struct row *row) {
    struct column alpha = cleared_column(row->alpha, row->width);
    alpha.blank_e[0] = 0;
    for (ptrdiff_t t = 0; t < row->steps; t++) {
        const struct lattice_step step = step_at(row, t);
        const struct column next = alpha_at(row, t + 1);
        clear(next, step.begin - 1, step.begin);
        clear(next, step.end, step.end + LATTICE_BLOCK);
        it->lattice->forward(&step, alpha, next);
        alpha = next;
    }
    const ptrdiff_t S = row->labels;
    add_weights(row, alpha.blank[S], alpha.blank_e[S], alpha.label[S - 1], alpha.label_e[S - 1]);
}

/* The gradient of step t, where w stands, by the occupancies. */
static void write_gradient(const struct ctc *it, struct row *row, ptrdiff_t t, const struct lattice_step *step,
                           double blanks, double scale) {
    const ptrdiff_t C = it->options->classes, distinct = row->distinct;
    const ptrdiff_t end = step->end < row->labels ? step->end : row->labels;
    double *value = row->value;
    for (ptrdiff_t d = 0; d < distinct; d++) value[d] = 0;
    for (ptrdiff_t j = step->begin; j < end; j++) value[row->slot[j]] += row->occupancy[j];
    const double inverse = 1 / row->S[t];
    for (ptrdiff_t d = 0; d < distinct; d++) {
        const ptrdiff_t j = row->first[d];
        const double y = step->y_e && step->y_e[j] != 0 ? 0 : step->y[j];
        value[d] = scale * (y * inverse - value[d]);
    }
    value[distinct] = scale * ((step->blank_e != 0 ? 0 : step->blank) * inverse - blanks);
    it->real->scale_but(C, scale * inverse, ctc_element(it->real, row->gradient, t * C), distinct + 1, row->class,
                        value);
}

static void backward(const struct ctc *it, struct row *row, double scale) {
    const struct column g = cleared_column(row->g, row->width);
    g.blank_e[row->labels] = 0;
    for (ptrdiff_t t = row->steps - 1; t >= 0; t--) {
        const struct lattice_step step = step_at(row, t);
        const double blanks =
            it->lattice->backward(&step, alpha_at(row, t + 1), g, row->total, row->total_e, row->occupancy);
        write_gradient(it, row, t, &step, blanks, scale);
    }
}

/* ---- a call ---- */

/* -log of the probability, infinite if it is 0. */
static double forward_row(const struct ctc *it, struct row *row) {
    if (set_labels(row, it->options->blank) > row->steps) return INFINITY;
    const double logs = fill_y(it, row);
    if (logs != logs) return logs;
    forward(it, row);
    return IS_NOTHING(row->total_e) ? INFINITY : logs - log(row->total) - row->total_e * LN2;
}

static void fill_gradient(const struct ctc *it, const struct row *row, ptrdiff_t begin, ptrdiff_t end, double value) {
    const ptrdiff_t C = it->options->classes;
    if (row->gradient) it->real->fill((end - begin) * C, value, ctc_element(it->real, row->gradient, begin * C));
}

static double row_weight(const struct ctc *it, ptrdiff_t n) { return it->weight ? it->real->get(it->weight, n) : 1; }

static void ctc_task(void *context, ptrdiff_t n, int worker) {
    const struct ctc *it = context;
    const ptrdiff_t T = it->batch->T, C = it->options->classes;
    struct arena arena = arena_over(it->rows + (size_t)worker * it->row_bytes);
    struct row row = {
        .steps = length_of(it->batch, n),
        .labels = it->target_lengths[n],
        .logits = ctc_element(it->real, it->logits, n * T * C),
        .gradient = ctc_element(it->real, it->gradient, n * T * C),
        .target = it->target + n * it->S,
    };
    lay_out(&row, &arena, T, C, it->S, it->gradient ? T + 1 : 2);
    double scale = row_weight(it, n), loss = 0;
    if (scale != 0 && !it->options->sum) scale /= it->total_weight * (double)(row.labels > 0 ? row.labels : 1);
    fill_gradient(it, &row, row.steps, T, 0);
    if (scale != 0) loss = forward_row(it, &row);
    if (loss == INFINITY && it->options->zero_infinity) scale = 0;
    if (scale == 0) fill_gradient(it, &row, 0, row.steps, 0);
    else if (!(loss < INFINITY)) fill_gradient(it, &row, 0, row.steps, NAN);
    else if (row.gradient) backward(it, &row, scale);
    it->loss[n] = scale == 0 ? 0 : scale * loss;
}

static clstm_status check_sizes(const clstm_runtime *runtime, const clstm_batch *batch,
                                const clstm_ctc_options *options, ptrdiff_t S) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_batch(batch);
    if (!status) status = check_size(options->classes);
    if (!status && S > 0) status = check_size(S);
    if (!status && S < 0) status = CLSTM_BAD_SIZE;
    if (!status && (options->blank < 0 || options->blank >= options->classes)) status = CLSTM_BAD_INDEX;
    if (!status && batch->pieces) status = CLSTM_BAD_OPTION;
    if (!status && times(times(batch->N, batch->T), options->classes) > PTRDIFF_MAX / 8) status = CLSTM_TOO_LARGE;
    return status;
}

static clstm_status check_targets(const clstm_batch *batch, const clstm_ctc_options *options, ptrdiff_t S,
                                  const int64_t *target, const ptrdiff_t *target_lengths) {
    for (ptrdiff_t n = 0; n < batch->N; n++) {
        if (target_lengths[n] < 0 || target_lengths[n] > S) return CLSTM_BAD_LENGTH;
        for (ptrdiff_t j = 0; j < target_lengths[n]; j++) {
            const int64_t class = target[n * S + j];
            if (class < 0 || class >= options->classes || class == options->blank) return CLSTM_BAD_INDEX;
        }
    }
    return CLSTM_OK;
}

/* More threads than rows have nothing to do. */
static int threads_for(const clstm_runtime *runtime, const clstm_batch *batch) {
    return runtime->threads < batch->N ? runtime->threads : (int)batch->N;
}

/* Bytes of a row's working memory; that without a gradient is a part of it. */
static size_t row_bytes(const clstm_batch *batch, const clstm_ctc_options *options, ptrdiff_t S, int *overflow) {
    struct arena arena = {0};
    struct row row;
    lay_out(&row, &arena, batch->T, options->classes, S, batch->T + 1);
    return arena_bytes(&arena, overflow);
}

/* Places the losses of rows, then the working memory of the threads. */
static void *lay_out_call(struct arena *arena, ptrdiff_t N, int threads, size_t bytes, double **loss) {
    *loss = arena_take(arena, N, sizeof(double));
    return arena_take(arena, threads, bytes);
}

clstm_status clstm_ctc_size(const clstm_runtime *runtime, const clstm_batch *batch, const clstm_ctc_options *options,
                            ptrdiff_t S, size_t *bytes) {
    const clstm_status status = check_sizes(runtime, batch, options, S);
    if (status) return status;
    int overflow = 0;
    struct arena arena = {0};
    double *loss;
    const size_t of_row = row_bytes(batch, options, S, &overflow);
    lay_out_call(&arena, batch->N, threads_for(runtime, batch), of_row, &loss);
    const size_t found = arena_bytes(&arena, &overflow);
    if (overflow) return CLSTM_TOO_LARGE;
    *bytes = found;
    return CLSTM_OK;
}

clstm_status clstm_ctc(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                       const clstm_ctc_options *options, ptrdiff_t S, const void *logits, const int64_t *target,
                       const ptrdiff_t *target_lengths, const void *weight, double *loss, void *gradient,
                       void *scratch) {
    size_t bytes;
    clstm_status status = clstm_ctc_size(runtime, batch, options, S, &bytes);
    if (!status) status = check_dtype(dtype);
    if (!status) status = check_targets(batch, options, S, target, target_lengths);
    if (status) return status;
    int overflow = 0;
    struct arena arena = arena_over(scratch);
    struct ctc it = {runtime->isa,
                     ctc_real_of(dtype),
                     lattice_of(runtime->isa),
                     batch,
                     options,
                     S,
                     logits,
                     weight,
                     target,
                     target_lengths,
                     gradient,
                     .total_weight = 0,
                     .row_bytes = row_bytes(batch, options, S, &overflow)};
    const int threads = threads_for(runtime, batch);
    it.rows = lay_out_call(&arena, batch->N, threads, it.row_bytes, &it.loss);
    for (ptrdiff_t n = 0; n < batch->N; n++) it.total_weight += row_weight(&it, n);
    const double work = (double)batch->N * (double)batch->T * ((double)options->classes + 2 * (double)S);
    clstm_parallel(work < WORTH_THREADS ? 1 : threads, batch->N, ctc_task, &it);
    double sum = 0;
    for (ptrdiff_t n = 0; n < batch->N; n++) sum += it.loss[n];
    *loss = sum;
    return CLSTM_OK;
}

/* The gradients of the weights of one direction of one layer: as products of rows of gradients with what these were
 * multiplied by, over all rows of a chunk of steps, and as sums over the rows of the batch. Included by the files of one
 * precision. */
#ifndef CLSTM_WEIGHT_GRADIENTS_H
#define CLSTM_WEIGHT_GRADIENTS_H

#include "outer.h"
#include "reverse.h"

/* Threads that share the products of a layer which are batched over time, and how they share the weights' gradients. */
static int batched_threads(const struct shape *shape, const struct plan *plan, ptrdiff_t layer) {
    return shape->blas ? 1 : threads_for(shape->runtime, 2 * layer_operations(shape, plan, layer));
}

static struct outer_shares shares_of(const struct shape *shape, ptrdiff_t height, ptrdiff_t columns, int threads) {
    if (shape->blas) return (struct outer_shares){height, columns, height, columns};
    return outer_shares_of(shape->kernels, height, columns, threads);
}

/* One product for the gradients of weights: rows of gradients, dz of some gates or dh, times what these were multiplied
 * with, side by side, and a one. */
struct weight_product {
    int first, gates, of_dh;      /* the gates whose dz are taken, .. */
    const int *block;             /* .. from these blocks; or dh */
    int by_input, by_u, by_inner; /* what they are multiplied with */
};

/* A single one, unless a gate has different dz for the input and for h, or inner rows are multiplied too. */
static int weight_products(const struct shape *shape, struct weight_product found[MAX_PRODUCTS]) {
    const struct cell *cell = &shape->cell;
    const int all = cell->gates, late = cell->late, early = all - late, apart = cell->two_sums || cell->norm || late;
    int count = 0;
    found[count++] = (struct weight_product){0, all, 0, cell->x_block, 1, !apart, 0};
    if (apart) found[count++] = (struct weight_product){0, early, 0, cell->h_block, 0, 1, 0};
    if (late) found[count++] = (struct weight_product){early, late, 0, cell->h_block + early, 0, 0, 1};
    if (cell->form.projects) found[count++] = (struct weight_product){.gates = 1, .of_dh = 1, .by_inner = 1};
    return count;
}

static ptrdiff_t product_height(const struct shape *shape, const struct weight_product *product) {
    return product->of_dh ? shape->R : product->gates * shape->H;
}

/* Columns, for a layer whose input has so many elements. */
static ptrdiff_t product_columns(const struct shape *shape, const struct weight_product *product, ptrdiff_t width) {
    return (product->by_input ? width : 0) + (product->by_u ? shape->R : 0) + (product->by_inner ? shape->H : 0) + 1;
}

/* As many as that of any layer. */
static ptrdiff_t most_columns(const struct shape *shape, const struct weight_product *product) {
    const ptrdiff_t first = step_width(shape, 0),
                    upper = step_width(shape, shape->L > 1); /* those above are all alike */
    return product_columns(shape, product, first > upper ? first : upper);
}

static int weight_shares(const struct shape *shape, const struct plan *plan, ptrdiff_t layer,
                         struct outer_shares shares[MAX_PRODUCTS]) {
    struct weight_product products[MAX_PRODUCTS];
    const int count = weight_products(shape, products), threads = batched_threads(shape, plan, layer);
    for (int i = 0; i < count; i++)
        shares[i] = shares_of(shape, product_height(shape, &products[i]),
                              product_columns(shape, &products[i], step_width(shape, layer)), threads);
    return count;
}

static struct outer_shares symbol_shares(const struct shape *shape, const struct plan *plan) {
    return shares_of(shape, shape->cell.gates * shape->H, shape->I + 1, batched_threads(shape, plan, 0));
}

static struct outer_shares larger_shares(struct outer_shares a, struct outer_shares b) {
    return (struct outer_shares){.m = a.m > b.m ? a.m : b.m, .k = a.k > b.k ? a.k : b.k};
}

/* As large as those of any product. */
static struct outer_shares largest_shares(const struct shape *shape, const struct plan *plan) {
    struct outer_shares found = shape->symbols ? symbol_shares(shape, plan) : (struct outer_shares){0};
    for (ptrdiff_t layer = 0; layer < shape->L && layer < 2; layer++) {
        struct outer_shares shares[MAX_PRODUCTS];
        const int products = weight_shares(shape, plan, layer, shares);
        for (int i = 0; i < products; i++) found = larger_shares(found, shares[i]);
    }
    return found;
}

/* The dz of one direction on the tape, in the order of its steps. */
static struct located dz_located(const struct reverse_pass *pass) {
    return at_packed(pass->tape.blocks, pass->shape->row, pass->reverse);
}

/* For each flat index q: dz, and what was multiplied with it: the input's segments and h of the step before. */
static void find_left(const struct reverse_pass *pass, ptrdiff_t q0, ptrdiff_t n, real **left) {
    const struct located dz = dz_located(pass);
    for (struct walk at = walk_from(pass->plan, q0, q0 + n); at.q < at.end; walk_on(&at, pass->plan))
        find_rows(&dz, pass->plan, pass->reverse, at.s, at.r, at.n, left + at.q - q0);
}

static void find_inputs(const struct reverse_pass *pass, ptrdiff_t q0, ptrdiff_t n, real **right[OUTER_SEGMENTS]) {
    for (struct walk at = walk_from(pass->plan, q0, q0 + n); at.q < at.end; walk_on(&at, pass->plan))
        for (int k = 0; k < pass->input.segments; k++)
            find_rows(&pass->input.segment[k], pass->plan, pass->reverse, at.s, at.r, at.n, right[k] + at.q - q0);
}

static void find_u(const struct reverse_pass *pass, ptrdiff_t q0, ptrdiff_t n, real **u) {
    const struct plan *plan = pass->plan;
    for (struct walk at = walk_from(plan, q0, q0 + n); at.q < at.end; walk_on(&at, plan))
        for (ptrdiff_t r = 0; r < at.n; r++)
            u[at.q - q0 + r] =
                (pass->tape.u ? pass->tape.u : pass->tape.h) + (slot_of(plan, at.s) + at.r + r) * pass->shape->ld_h;
}

/* Rows that stand in the order of the steps. */
static void find_in_order(real *first, ptrdiff_t ld, ptrdiff_t q0, ptrdiff_t n, real **rows) {
    for (ptrdiff_t i = 0; i < n; i++) rows[i] = first + (q0 + i) * ld;
}

static void find_for_input_and_u(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left,
                                 real **right[OUTER_SEGMENTS]) {
    const struct reverse_pass *pass = source;
    find_left(pass, q0, n, left);
    find_inputs(pass, q0, n, right);
    find_u(pass, q0, n, right[pass->input.segments]);
}

static void find_for_input(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left, real **right[OUTER_SEGMENTS]) {
    find_left(source, q0, n, left);
    find_inputs(source, q0, n, right);
}

static void find_for_u(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left, real **right[OUTER_SEGMENTS]) {
    find_left(source, q0, n, left);
    find_u(source, q0, n, right[0]);
}

static void find_for_inner(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left, real **right[OUTER_SEGMENTS]) {
    const struct reverse_pass *pass = source;
    find_left(pass, q0, n, left);
    find_in_order(pass->tape.inner, pass->shape->ld, q0, n, right[0]);
}

static void find_for_projection(const void *source, ptrdiff_t q0, ptrdiff_t n, real **left,
                                real **right[OUTER_SEGMENTS]) {
    const struct reverse_pass *pass = source;
    find_in_order(pass->tape.dh, pass->shape->ld_h, q0, n, left);
    find_in_order(pass->tape.inner, pass->shape->ld, q0, n, right[0]);
}

/* The gradient of some columns of the weights, whose segments the caller sets. */
static struct outer gates_outer(const struct reverse_pass *pass, const int *block, int gates, real *sums) {
    const struct shape *shape = pass->shape;
    struct outer outer = {
        .kernels = shape->kernels,
        .blocks = gates,
        .width = shape->H,
        .source = pass,
        .sums = sums,
        .panel = outer_panel_width(shape->kernels, shape->blas, gates * shape->H),
    };
    for (int gate = 0; gate < gates; gate++) outer.block[gate] = block[gate] * shape->ld;
    return outer;
}

static struct outer projection_outer(const struct reverse_pass *pass, real *sums) {
    const struct shape *shape = pass->shape;
    return (struct outer){
        .kernels = shape->kernels,
        .blocks = 1,
        .width = shape->R,
        .source = pass,
        .find = find_for_projection,
        .sums = sums,
        .panel = outer_panel_width(shape->kernels, shape->blas, shape->R),
    };
}

static struct outer outer_of(const struct reverse_pass *pass, int index) {
    struct weight_product products[MAX_PRODUCTS];
    const struct weight_product *product = &products[index];
    weight_products(pass->shape, products);
    struct outer outer = product->of_dh ? projection_outer(pass, pass->sums[index])
                                        : gates_outer(pass, product->block, product->gates, pass->sums[index]);
    if (product->by_input) {
        outer.find = product->by_u ? find_for_input_and_u : find_for_input;
        for (int i = 0; i < pass->input.segments; i++) outer.segment_width[outer.segments++] = pass->input.width[i];
    } else if (!product->of_dh) {
        outer.find = product->by_u ? find_for_u : find_for_inner;
    }
    if (product->by_u) outer.segment_width[outer.segments++] = pass->shape->R;
    if (product->by_inner) outer.segment_width[outer.segments++] = pass->shape->H;
    return outer;
}

/* Adds what one product has found; w_hh is where the gradient of that goes. */
static void add_product(const struct reverse_pass *pass, const struct weight_product *product, int index, real *w_hh) {
    const struct shape *shape = pass->shape;
    const struct outer outer = outer_of(pass, index);
    const clstm_gradients *grads = pass->grads;
    const ptrdiff_t width = product->by_input ? input_width(&pass->input) : 0, H = shape->H, M = outer_height(&outer);
    if (product->of_dh) {
        outer_add_columns(&outer, grads->w_hr, H, 0);
        return;
    }
    if (product->by_input) outer_add_columns(&outer, grads->w_ih, width, 0);
    if (product->by_u) outer_add_columns(&outer, w_hh, shape->R, width);
    if (product->by_inner) outer_add_columns(&outer, w_hh + product->first * H * shape->R, H, 0);
    if (product->by_input && !shape->cell.norm)
        outer_add_ones(&outer, grads->b, width + (product->by_u ? shape->R : 0), 0, M);
    if (product->by_u && shape->cell.two_sums) outer_add_ones(&outer, grads->b_hn, shape->R, M - H, M);
}

static void add_weights(const struct reverse_pass *pass) {
    const struct shape *shape = pass->shape;
    struct weight_product products[MAX_PRODUCTS];
    const int count = weight_products(shape, products);
    if (pass->plan->rows == 0) return;
    real *w_hh = pass->dropped ? pass->dropped : pass->grads->w_hh;
    if (pass->dropped) memset(w_hh, 0, (size_t)(shape->cell.gates * shape->H * shape->R) * sizeof(real));
    for (int i = 0; i < count; i++) add_product(pass, &products[i], i, w_hh);
    if (pass->dropped) add_dropped(shape, pass->index, w_hh, pass->dh, pass->grads->w_hh);
}

/* to [count, H] += the padded rows of all rows of the batch in their order, of which one is `distance` behind the other. */
static void add_over_rows(const struct reverse_pass *pass, real *to, ptrdiff_t count, const real *first,
                          ptrdiff_t distance) {
    const ptrdiff_t H = pass->shape->H, ld = pass->shape->ld;
    for (ptrdiff_t r = 0; to && r < pass->plan->N; r++)
        for (ptrdiff_t i = 0; i < count; i++) {
            real *restrict sum = to + i * H;
            const real *restrict own = first + r * distance + i * ld;
            for (ptrdiff_t unit = 0; unit < H; unit++) sum[unit] += own[unit];
        }
}

/* The gradients of the weights that no matrix multiplies. */
static void add_vectors(const struct reverse_pass *pass) {
    const struct shape *shape = pass->shape;
    const clstm_gradients *grads = pass->grads;
    const ptrdiff_t peepholes = shape->cell.form.peephole, gates = shape->cell.gates, ld = shape->ld;
    const ptrdiff_t distance = norm_elements((int)gates, ld);
    add_over_rows(pass, grads->peephole, peepholes, pass->dpeephole, peepholes * ld);
    if (!shape->cell.norm) return;
    add_over_rows(pass, grads->gain_ih, gates, pass->dnorm + NORM_GAIN_X * gates * ld, distance);
    add_over_rows(pass, grads->gain_hh, gates, pass->dnorm + NORM_GAIN_H * gates * ld, distance);
    add_over_rows(pass, grads->b, gates, pass->dnorm + NORM_BIAS * gates * ld, distance);
    add_over_rows(pass, grads->gain_c, 1, pass->dnorm + NORM_GAIN_C * gates * ld, distance);
    add_over_rows(pass, grads->bias_c, 1, pass->dnorm + (NORM_GAIN_C * gates + 1) * ld, distance);
}

#endif

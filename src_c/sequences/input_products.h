/* What a layer multiplies its input by, forward, for many steps at once. Included by the files of one precision.
 *
 * The product with the input needs no recurrence: it is either computed for a chunk of steps at once, where tiles are full
 * and each weight is fetched once, or, where weights are small, as a first part of each step's sums, which saves
 * writing z. Both add the same terms in the same order: the bits are equal. So are they where the input is symbols, whose
 * products are computed once for each symbol, into a table from which the sums of a step start. */
#ifndef CLSTM_INPUT_PRODUCTS_H
#define CLSTM_INPUT_PRODUCTS_H

#include "../ground/blas.h"
#include "pass.h"

struct split_product {
    const struct kernels *kernels;
    const struct product *product;
    ptrdiff_t parts;
};

static void split_product_task(void *context, ptrdiff_t part, int worker) {
    const struct split_product *split = context;
    split->kernels->product(split->product, part_of(all_panels(split->product->panels), part, split->parts));
    (void)worker;
}

/* The input of these rows; of symbols, their rows of the table. */
static void find_input(const struct pass *pass, const struct pass_scratch *scratch, ptrdiff_t at, ptrdiff_t s,
                       ptrdiff_t r0, ptrdiff_t n) {
    if (pass->table) {
        find_symbols(pass->shape, pass->plan, pass->reverse, s, r0, n, pass->table, pass->shape->x_row,
                     scratch->input[0] + at);
        return;
    }
    for (int i = 0; i < pass->input.segments; i++)
        find_rows(&pass->input.segment[i], pass->plan, pass->reverse, s, r0, n, scratch->input[i] + at);
}

/* Adds the input products of a stage to its sums. */
static void add_input_terms(struct fused *fused, const struct pass *pass, const struct pass_scratch *scratch,
                            int index) {
    const ptrdiff_t width = fused->panels.vectors * pass->shape->kernels->lanes;
    for (int i = 0; i < pass->input.segments; i++)
        fused->term[fused->terms++] = (struct term){
            .rows = (const real *const *)scratch->input[i],
            .step = 1,
            .k = pass->input.width[i],
            .panels = pass->packed.stage[index].input[i],
            .panel_stride = pass->input.width[i] * width,
        };
}

/* Where x and z of the steps [s0, s1) stand; in a ring the z of the chunk follow each other in scratch->z. */
static void find_chunk(const struct pass *pass, struct pass_scratch *scratch, struct range range, ptrdiff_t s0,
                       ptrdiff_t s1) {
    const ptrdiff_t stride = pass->shape->row;
    ptrdiff_t rows = 0;
    for (ptrdiff_t s = s0; s < s1; s++) {
        const ptrdiff_t n = rows_alive(pass->plan, range, s);
        real *z = pass->slots.ring ? scratch->z + rows * stride : blocks_of(pass, s) + range.r0 * stride;
        find_input(pass, scratch, rows, s, range.r0, n);
        for (ptrdiff_t i = 0; i < n; i++) scratch->z_rows[rows + i] = z + i * stride;
        rows += n;
    }
}

/* z = b + w_ih x of these rows, for the gates of a stage. */
static void project_stage(const struct pass *pass, const struct pass_scratch *scratch, ptrdiff_t rows, int index) {
    const struct shape *shape = pass->shape;
    const struct stage *stage = &shape->stage[index];
    const struct panels panels = stage_panels(shape, stage);
    struct fused terms = {.panels = panels};
    add_input_terms(&terms, pass, scratch, index);
    struct product product = {
        .rows = rows,
        .terms = terms.terms,
        .bias = pass->packed.stage[index].bias,
        .c = scratch->z_rows,
        .columns = shape->row,
        .panel_step = panels.groups * shape->kernels->lanes,
        .panels = panels,
    };
    memcpy(product.term, terms.term, sizeof product.term);
    block_vectors(product.vector, shape, panels, shape->cell.x_block + stage->first);
    struct split_product split = {shape->kernels, &product, pass->split};
    clstm_parallel(pass->split, pass->split, split_product_task, &split);
}

/* w_ih x for a function over rows. */
static void project_stored(const struct pass *pass, const struct pass_scratch *scratch, ptrdiff_t rows) {
    struct cell_forward step = cell_forward_of(pass->shape, 0, 0);
    step.z = scratch->z_rows;
    step.store_at = 0;
    step.fused.rows = rows;
    add_input_terms(&step.fused, pass, scratch, 0);
    struct shared_step shared = {pass->shape->kernels, &step.fused, all_panels(step.fused.panels), pass->split};
    clstm_parallel(pass->split, pass->split, shared_step_task, &shared);
}

static void project_native(const struct pass *pass, const struct pass_scratch *scratch, ptrdiff_t rows) {
    if (pass->shape->cell.norm) {
        project_stored(pass, scratch, rows);
        return;
    }
    for (int i = 0; i < (pass->shape->cell.late ? 2 : 1); i++) project_stage(pass, scratch, rows, i);
}

/* C [n, ldc] += A [n,k] W^T in the blocks of some gates, W [gates H, ldw]: one product, or one per gate where these do not
 * stand side by side. */
static void gates_by_blas(const struct shape *shape, ptrdiff_t n, ptrdiff_t k, const real *a, ptrdiff_t lda,
                          const real *w, ptrdiff_t ldw, real *c, ptrdiff_t ldc, const int *block, int gates) {
    const clstm_dtype dtype = sizeof(real) == sizeof(float) ? CLSTM_F32 : CLSTM_F64;
    const ptrdiff_t calls = side_by_side(shape, block, gates) ? 1 : gates, width = gates * shape->H / calls;
    for (ptrdiff_t i = 0; i < calls; i++)
        clstm_gemm_row_major(&shape->runtime->blas, dtype, n, width, k, (clstm_matrix){a, lda, CLSTM_PLAIN},
                             (clstm_matrix){w + i * width * ldw, ldw, CLSTM_TRANSPOSED}, 1, c + block[i] * shape->ld,
                             ldc);
}

static void start_block(real *z, const real *b, const struct shape *shape) {
    if (b) copy_padded(z, b, shape->H, shape->ld);
    else memset(z, 0, (size_t)shape->ld * sizeof(real));
}

/* The blocks of a row to which BLAS adds. A row of a table has none of h where these are others than those of the input. */
static void start_blocks(const struct pass *pass, real *z, int of_table) {
    const struct cell *cell = &pass->shape->cell;
    const ptrdiff_t H = pass->shape->H, ld = pass->shape->ld;
    const real *b = cell->norm ? NULL : pass->weights->b;
    for (int gate = 0; gate < cell->gates; gate++) {
        if (cell->norm && !of_table) start_block(z + cell->h_block[gate] * ld, NULL, pass->shape);
        start_block(z + cell->x_block[gate] * ld, b ? b + gate * H : NULL, pass->shape);
    }
    if (cell->two_sums) start_block(z + cell->h_block[cell->gates - 1] * ld, pass->weights->b_hn, pass->shape);
}

/* Rows of z are those of one range of all rows (BLAS is not split) or of a table, so they follow each other. */
static void project_blas(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t rows, int to_table) {
    const struct shape *shape = pass->shape;
    const ptrdiff_t width = input_width(&pass->input);
    for (ptrdiff_t q = 0; q < rows; q++) {
        real *to = scratch->gathered + q * width;
        for (int i = 0; i < pass->input.segments; to += pass->input.width[i], i++)
            memcpy(to, scratch->input[i][q], (size_t)pass->input.width[i] * sizeof(real));
        start_blocks(pass, scratch->z_rows[q], to_table);
    }
    gates_by_blas(shape, rows, width, scratch->gathered, width, pass->weights->w_ih, width, scratch->z_rows[0],
                  to_table ? shape->x_row : shape->row, shape->cell.x_block, shape->cell.gates);
}

static void project(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t rows, int to_table) {
    if (pass->shape->blas) project_blas(pass, scratch, rows, to_table);
    else project_native(pass, scratch, rows);
}

/* The table's rows for n symbols from `symbol` on. */
static void project_symbols(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t symbol, ptrdiff_t n) {
    const struct located *vectors = &pass->input.segment[0];
    for (ptrdiff_t i = 0; i < n; i++) {
        scratch->input[0][i] = vectors->base + (symbol + i) * vectors->stride_t;
        scratch->z_rows[i] = pass->table + (symbol + i) * pass->shape->x_row;
    }
    project(pass, scratch, n, 1);
}

static void copy_from_table(const struct pass *pass, struct pass_scratch *scratch, ptrdiff_t rows) {
    const struct shape *shape = pass->shape;
    for (ptrdiff_t q = 0; q < rows; q++) {
        if (shape->x_row < shape->row && shape->blas) start_blocks(pass, scratch->z_rows[q], 0);
        memcpy(scratch->z_rows[q], scratch->input[0][q], (size_t)shape->x_row * sizeof(real));
    }
}

#endif

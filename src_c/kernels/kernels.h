/* The kernels: what each instruction set implements, for one precision. All of them return nothing and check nothing;
 * sizes and pointers were checked by the callers in sequences/ and training/.
 *
 * Panels. A matrix that is multiplied from the right is packed so that the innermost loop reads it front to back:
 * a panel holds `vectors` groups of V adjacent lanes for each k,
 *
 *     panel[k][j][lane],   j < vectors, lane < V (the lanes of one register)
 *
 * (where a tile takes a panel in slices, first all k of the first slice, then of the next: tile.h),
 * and panels follow each other; the last may have fewer vectors. In products the vectors are neighbours. In the weights
 * of a cell with G gates a panel is for `groups` vectors of units, and its lanes are those of the first gate, then those
 * of the second ..: so the pre-activations of a unit end in the same tile. Where units are left that fill no panel, the
 * lanes of their gates still stand side by side in as few vectors as hold them, and no vector is multiplied to be thrown
 * away. If that takes as many vectors as a full panel, it is one, with zeros in the lanes without a unit.
 *
 * Promise 3. Every sum over k starts at its initial value and adds terms in the order of k, one fused multiply-add
 * each, whatever the height of the tile and the thread: an output row never depends on its neighbours.
 */
#ifndef CLSTM_KERNELS_H
#define CLSTM_KERNELS_H

#include "../clstm.h"
#include "../ground/real.h"

enum { MAX_TERMS = 8, MAX_GATES = 4 };  /* of a sum; of a cell */
enum { MAX_VECTORS = 6, MAX_ROWS = 6 }; /* of a panel; of a tile */

/* Where `finish` finds the first sums of a gate that has two, behind the others. */
enum { FIRST_SUMS = MAX_ROWS * MAX_VECTORS };

/* The panels of a matrix: `full` of them with `vectors` vectors each, then one of `last` vectors unless that is 0. Those
 * of a cell have `gates` times `groups` vectors; the last is for `units` units. */
struct panels {
    ptrdiff_t full;
    int vectors, last;
    int gates, groups;
    ptrdiff_t units;
};

/* Panels [begin, end), in this order or from the end: results are the same, caches like the change. */
struct panel_range {
    ptrdiff_t begin, end;
    int backwards;
};

/* One factor pair of a sum of products: rows of A (k elements each, `step` apart) times packed panels of B. */
struct term {
    const real *const *rows; /* [n] first element of each row */
    ptrdiff_t offset;        /* added to each of them */
    ptrdiff_t step;          /* distance of consecutive k */
    ptrdiff_t k;
    const real *panels;
    ptrdiff_t panel_stride; /* from one panel to the next, in elements */
};

/* C = bias + sum of terms, or C += sum of terms. Vector j of panel p has the columns from p panel_step + vector[j] on;
 * columns at or beyond `columns` are not written. (Panels of a cell write pre-activations where `struct fused` starts from
 * them, but for the last panel not by gates.) */
struct product {
    ptrdiff_t rows; /* n */
    int terms;
    struct term term[MAX_TERMS];
    const real *bias; /* [panels][vectors][V], or NULL for zero */
    real *const *c;   /* [n] rows of C */
    ptrdiff_t columns, panel_step, vector[MAX_VECTORS];
    struct panels panels;
    int accumulate; /* C += instead of C = */
};

/* C = A B for the few columns of B that fill no vector: lanes go along k instead, and their sums are added up at the
 * end. B is packed by pack_narrow: for each column, the k of all terms one after another in whole vectors, padded by
 * zeros; rows of A must be readable to the same length. */
enum { NARROW_COLUMNS = 8 };
struct narrow_product {
    ptrdiff_t rows, columns, first; /* columns <= NARROW_COLUMNS, written from c[row][first] on */
    int terms;
    struct {
        const real *const *rows;    /* [n] */
        const real *b;              /* [columns][runs run V] */
        ptrdiff_t runs, run;        /* k is `runs` runs of `run` vectors in a row of A .. */
        ptrdiff_t start[MAX_GATES]; /* .. that start there */
    } term[2];
    real *const *c; /* [n] */
};

/* What `finish` gets: z of `rows` rows and `panels` panels, from row `row` and unit `unit` on. Vector g groups + u of a row
 * and panel is gate g of vector u of its units; one row and panel is `apart` vectors behind the one before. */
struct tile {
    int rows, panels, groups, apart;
    ptrdiff_t row, unit;
};

/* Sums of products that a function takes over tile by tile, while they are in the nearest cache,
 *
 *     z = start + sum of terms
 *
 * for n rows and the units of some panels: what a cell computes in one step, forward (z are pre-activations) and
 * backward (one gate; z is the gradient of h). Cells extend this struct (cells/cell.h). */
struct fused {
    ptrdiff_t rows;
    struct panels panels;
    int terms;
    struct term term[MAX_TERMS];

    /* Where sums start: at zero, unless there is one of these. Vector j of panel p starts at start[row] + p V groups +
     * vector[j]. */
    const real *bias;   /* packed like a panel with k = 1 */
    real *const *start; /* [n] */
    ptrdiff_t vector[MAX_VECTORS];

    /* If a gate has two sums, that is the last gate: the first is ended before term `resume`, and handed over FIRST_SUMS
     * behind the second, which starts from `second`, packed like a bias, with zeros for the other gates, or NULL for zero. */
    int two_sums, resume;
    const real *second;
    ptrdiff_t second_vector[MAX_VECTORS]; /* where those of `start` stand; used without `second` */

    /* Units from first_unit on, if there are any, are in no panel: their sums were computed before. They go with panel 0. */
    ptrdiff_t first_unit, units;
    const real *rest; /* [n] rows, rest_ld apart */
    ptrdiff_t rest_ld;

    void (*finish)(const struct fused *, const struct tile *, void *z);

    /* What `finish` will read or write for each row and nobody has touched for a while: asked for before term `term`, so
     * that it arrives during the sums, and not so much at once that the weights have to wait. */
    int awaited;
    struct awaited {
        int term;
        const real *base; /* rows `stride` apart, or NULL: */
        ptrdiff_t stride;
        const real *const *rows;
    } await[MAX_GATES + 2];
};

/* Where random numbers are used (random.h). */
struct place {
    uint64_t seed;
    uint32_t stream, row, step;
};

/* Parameters of one update; all arrays have n elements. Formulas stand at clstm_sgd and clstm_adam in clstm_training.h. */
struct sgd_update {
    ptrdiff_t n;
    real *w, *momentum_buffer; /* buffer NULL when momentum is 0 */
    const real *g;
    real learning_rate, momentum, rest, weight_decay; /* rest is 1 - dampening */
    int nesterov, first;
};
/* Adam with everything that depends on the step alone worked out in double: `l2` is weight_decay or 0, `decay` the
 * factor 1 - learning_rate weight_decay or 1, rest1 and rest2 are 1 - beta1 and 1 - beta2,
 *
 *     g' = g + l2 w     m = beta1 m + rest1 g'     v = beta2 v + rest2 g'^2
 *     w = decay w - step_size m / (root_scale sqrt(v) + epsilon)
 */
struct adam_update {
    ptrdiff_t n;
    real *w, *m, *v;
    const real *g;
    real beta1, rest1, beta2, rest2, epsilon, step_size, root_scale, l2, decay;
};

struct cell; /* cells/cell.h */

struct kernels {
    ptrdiff_t lanes;        /* V */
    ptrdiff_t product_rows; /* height of a full tile of `product`: the width of its packed A tiles */
    int product_vectors;    /* vectors in a full panel of `product` */

    /* W [gates H, k], the rows of one gate after another: rows become lanes (see "Panels"), and lanes left over hold 0.
     * Only the panels of the range, the first of them at dst. */
    void (*pack_gates)(real *dst, const real *w, ptrdiff_t ldw, ptrdiff_t hidden, ptrdiff_t k, const struct panels *,
                       struct panel_range);
    /* W [out, k]: neighbouring rows of W become neighbouring lanes; panels of product_vectors vectors. */
    void (*pack_rows)(real *dst, const real *w, ptrdiff_t ldw, ptrdiff_t out, ptrdiff_t k);
    /* B [k, columns]: columns are lanes already; panels of product_vectors vectors. */
    void (*pack_columns)(real *dst, const real *b, ptrdiff_t ldb, ptrdiff_t k, ptrdiff_t columns);
    /* dst[k][lane0 + j] = rows[k][offset + j] for j < count; rows of dst are `width` wide. */
    void (*pack_piece)(real *dst, ptrdiff_t width, ptrdiff_t lane0, const real *const *rows, ptrdiff_t offset,
                       ptrdiff_t count, ptrdiff_t k);

    /* W [gates H, columns]: column j of dst = those of its gates, each padded to whole vectors (struct narrow_product). */
    void (*pack_narrow)(real *dst, const real *w, ptrdiff_t ldw, int gates, ptrdiff_t hidden, ptrdiff_t columns);
    /* to[j][i] += from[i][j] for i < rows, j < columns; `from` must be readable up to whole vectors both ways. */
    void (*add_transposed)(real *to, ptrdiff_t ldto, const real *from, ptrdiff_t ldfrom, ptrdiff_t rows,
                           ptrdiff_t columns);
    /* to[r][offset ..] += row r of from, `width` elements; some of the rows of `to` may be the same. */
    void (*add_rows)(real *const *to, ptrdiff_t offset, const real *from, ptrdiff_t ldfrom, ptrdiff_t rows,
                     ptrdiff_t width);

    void (*product)(const struct product *, struct panel_range);
    void (*narrow_product)(const struct narrow_product *);
    void (*fused)(const struct fused *, struct panel_range);
    int (*const *describe)(const clstm_stack *, struct cell *); /* [CLSTM_CELL_COUNT] */

    /* Random words below the threshold give `below`, others `above`. */
    void (*random_mask)(real *to, ptrdiff_t n, const struct place *, uint32_t threshold, real below, real above);
    void (*add_normal)(real *to, ptrdiff_t n, const struct place *, double deviation);

    /* An activation on a plain array, for the tests and the tutorials; y may be x. */
    void (*activate)(clstm_activation, ptrdiff_t n, const real *x, real *y);

    /* Sum over squared differences; gradient = scale (prediction - target). Sums are kept in double, in blocks, so
     * that they do not depend on the number of lanes used elsewhere. */
    double (*squared_error)(ptrdiff_t n, const real *prediction, const real *target, real scale, real *gradient);
    /* Sum over positions of -log softmax(logits)[target], logits [positions, classes]; gradient = scale (softmax -
     * onehot), or NULL. */
    double (*softmax_error)(ptrdiff_t positions, ptrdiff_t classes, const real *logits, const int64_t *target,
                            real scale, real *gradient);
    double (*sum_of_squares)(ptrdiff_t n, const real *x);
    void (*scale)(ptrdiff_t n, real *x, real factor);
    void (*sgd)(const struct sgd_update *);
    void (*adam)(const struct adam_update *);
};

#define CLSTM_DECLARE_KERNELS(isa) extern const struct kernels REAL_NAME(clstm_kernels_##isa);
CLSTM_DECLARE_KERNELS(baseline)
CLSTM_DECLARE_KERNELS(avx2)
CLSTM_DECLARE_KERNELS(avx512)

/* Vectors of units in a panel for so many gates: as many sums as fill the tiles of the instruction set, but, of several
 * gates, no more than a cache line holds: where the pre-activations of the last panel stand on the tape, the vectors of
 * its first gate begin a line of their block, and a second line would be that of the next block. */
static inline int groups_of(const struct kernels *kernels, int gates) {
    const int vectors = kernels->product_vectors, line = (int)(padded(1) / kernels->lanes);
    const int most = gates == 3 && vectors == 2 ? 2 : vectors >= 2 * gates ? vectors / gates : 1;
    return gates > 1 && most > line ? line : most;
}

static inline struct panels gate_panels(const struct kernels *kernels, int gates, ptrdiff_t hidden) {
    const int groups = groups_of(kernels, gates), vectors = gates * groups;
    const ptrdiff_t V = kernels->lanes, full = hidden / (groups * V), units = hidden % (groups * V);
    const int last = (int)((gates * units + V - 1) / V);
    return last == vectors ? (struct panels){full + 1, vectors, 0, gates, groups, 0}
                           : (struct panels){full, vectors, last, gates, groups, units};
}

static inline struct panels product_panels(const struct kernels *kernels, ptrdiff_t columns) {
    const ptrdiff_t V = kernels->lanes, width = kernels->product_vectors * V;
    return (struct panels){columns / width,          kernels->product_vectors, (int)((columns % width + V - 1) / V), 1,
                           kernels->product_vectors, columns % width};
}

/* Columns of C that stand side by side. */
static inline void set_columns(struct product *product, const struct kernels *kernels, ptrdiff_t columns) {
    product->columns = columns;
    product->panels = product_panels(kernels, columns);
    product->panel_step = kernels->product_vectors * kernels->lanes;
    for (int j = 0; j < kernels->product_vectors; j++) product->vector[j] = j * kernels->lanes;
}

static inline ptrdiff_t panel_count(struct panels panels) { return panels.full + (panels.last > 0); }

static inline struct panel_range all_panels(struct panels panels) {
    return (struct panel_range){.end = panel_count(panels)};
}

/* Part `part` of `parts` of a range of panels. */
static inline struct panel_range part_of(struct panel_range range, ptrdiff_t part, ptrdiff_t parts) {
    const ptrdiff_t count = range.end - range.begin;
    return (struct panel_range){range.begin + part * count / parts, range.begin + (part + 1) * count / parts,
                                range.backwards};
}

/* The kernels of an instruction set that clstm_isa_available() has allowed. */
static inline const struct kernels *kernels_of(clstm_isa isa) {
#if defined(__x86_64__) || defined(_M_X64)
    if (isa == CLSTM_ISA_AVX512) return &REAL_NAME(clstm_kernels_avx512);
    if (isa == CLSTM_ISA_AVX2) return &REAL_NAME(clstm_kernels_avx2);
#endif
    (void)isa;
    return &REAL_NAME(clstm_kernels_baseline);
}

#endif

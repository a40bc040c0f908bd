/* The kernels: what each instruction set implements, for one precision. All of them return nothing and check nothing;
 * sizes and pointers were checked by the callers in sequences/ and training/.
 *
 * Panels. A matrix that is multiplied from the right is packed so that the innermost loop reads it front to back:
 * a panel holds `vectors` groups of V adjacent lanes for each k,
 *
 *     panel[k][j][lane],   j < vectors, lane < V (the lanes of one register)
 *
 * (where a tile takes a panel in slices, first all k of the first slice, then of the next: tile.h),
 * and panels follow each other; the last may have fewer vectors. In products the vectors are neighbours. For gates,
 * vector j of a panel is gate j (i f g o) of the same V units, so that the four pre-activations of a unit end in four
 * registers of one tile. Where H is no multiple of V, u < V units are left: their panel has the 4 u lanes i f g o,
 * u of each, side by side in as few vectors as hold them, and no vector is multiplied to be thrown away. If that takes
 * four vectors, the panel is a full one instead, with zeros in the lanes without a unit.
 *
 * Promise 3. Every sum over k starts at its initial value and adds terms in the order of k, one fused multiply-add
 * each, whatever the height of the tile and the thread: an output row never depends on its neighbours.
 */
#ifndef CLSTM_KERNELS_H
#define CLSTM_KERNELS_H

#include "../clstm.h"
#include "../ground/real.h"

enum { MAX_TERMS = 8, MAX_VECTORS = 4, MAX_ROWS = 6 }; /* terms of a sum; vectors of a panel; rows of a tile */

/* The panels of a matrix: `full` of them with `vectors` vectors each, then one of `last` vectors unless that is 0. */
struct panels {
    ptrdiff_t full;
    int vectors, last;
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

/* C = bias + sum of terms, or C += sum of terms. Vector j of panel p has the columns from p panel_step + j vector_step
 * on; columns at or beyond `columns` are not written. Gate panels write pre-activations z for gate_rows, which finds
 * them where it needs them, but for the last panel not by gates. */
struct product {
    ptrdiff_t rows; /* n */
    int terms;
    struct term term[MAX_TERMS];
    const real *bias; /* [panels][vectors][V], or NULL for zero */
    real *const *c;   /* [n] rows of C */
    ptrdiff_t columns, panel_step, vector_step;
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
        const real *const *rows; /* [n] */
        const real *b;           /* [columns][runs run V] */
        ptrdiff_t runs, run;     /* k is `runs` runs of `run` vectors in a row of A .. */
        ptrdiff_t distance;      /* .. that start so many elements apart */
    } term[2];
    real *const *c; /* [n] */
};

/* One time step of n rows: z = start + sum of terms, then the gates.
 *
 *     i, f, o = sigmoid(z_i, z_f, z_o)   g = tanh(z_g)   c = f c_prev + i g   h = o tanh(c)
 *
 * Rows of c, h are `ld` apart, rows of gates 4 ld; rows of z and gates are i f g o blocks of ld each; ld = padded(H). */
struct gate_rows {
    ptrdiff_t rows, hidden, ld;
    const real *bias;     /* packed like a panel with k = 1; read when z is NULL */
    real *const *z;       /* [n] start of the sums of each row, or NULL: start from bias */
    struct panels panels; /* last = 0 if all are by gates, always so where a BLAS has made z */
    real *gates;          /* out: i f g o, may be the rows of z; NULL: not wanted */
    const real *c_prev;
    real *c;        /* out, may be c_prev */
    real *h;        /* out, must not be a row of a term */
    real *const *y; /* out: a second copy of the first H elements of h, or NULL */
    int terms;
    struct term term[MAX_TERMS]; /* gate panels; behind the rest, which is read from fewer lines of the cache so */
};

/* The gradient of gate_rows: dh is the gradient arriving through h_t from step t+1, dy the one from the layer above,
 *
 *     dh' = dh + dy     dc' = dc + dh' o (1 - tanh(c)^2)
 *     dz_i = dc' g i (1 - i)   dz_f = dc' c_prev f (1 - f)   dz_g = dc' i (1 - g^2)   dz_o = dh' tanh(c) o (1 - o)
 *     dc (of step t-1) = dc' f
 *
 * dh of the units in panels is the sum of the terms, dz of step t+1 times w_hh, and is written nowhere; of the units
 * from first_unit on, which go with the first panel, it is read from `dh`.
 */
struct gate_rows_backward {
    ptrdiff_t rows, hidden, ld;
    int terms;
    struct term term[4];
    struct panels panels; /* of V product_vectors units */
    ptrdiff_t first_unit; /* a multiple of V, H if there are none */
    const real *dh;       /* [n][ld] */
    real *gates;          /* in: i f g o; out: dz in the same places */
    const real *c_prev, *c;
    real *dc;              /* [n][ld] in: dc_t, out: dc_{t-1} */
    const real *const *dy; /* [n] rows of H elements, or NULL for zero */
};

/* Parameters of one update; all arrays have n elements. Formulas stand at clstm_sgd and clstm_adam in clstm.h. */
struct sgd_update {
    ptrdiff_t n;
    real *w, *momentum_buffer; /* buffer NULL when momentum is 0 */
    const real *g;
    real learning_rate, momentum, weight_decay;
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

struct kernels {
    ptrdiff_t lanes;        /* V */
    ptrdiff_t product_rows; /* height of a full tile of `product`: the width of its packed A tiles */
    int product_vectors;    /* vectors in a full panel of `product` */

    /* W [4H, k], rows in the order i f g o: rows become lanes, dst[p][k][j][lane] = W[j H + p V + lane][k], and in the
     * panel of the last u < V units dst[p][k][j u + i] = W[j H + p V + i][k]; lanes left over hold 0. Only the panels p
     * of the range, the first of them at dst. */
    void (*pack_gates)(real *dst, const real *w, ptrdiff_t ldw, ptrdiff_t hidden, ptrdiff_t k, struct panel_range);
    /* W [out, k]: neighbouring rows of W become neighbouring lanes; panels of product_vectors vectors. */
    void (*pack_rows)(real *dst, const real *w, ptrdiff_t ldw, ptrdiff_t out, ptrdiff_t k);
    /* B [k, columns]: columns are lanes already; panels of product_vectors vectors. */
    void (*pack_columns)(real *dst, const real *b, ptrdiff_t ldb, ptrdiff_t k, ptrdiff_t columns);
    /* dst[k][lane0 + j] = rows[k][offset + j] for j < count; rows of dst are `width` wide. */
    void (*pack_piece)(real *dst, ptrdiff_t width, ptrdiff_t lane0, const real *const *rows, ptrdiff_t offset,
                       ptrdiff_t count, ptrdiff_t k);

    /* W [4H, columns]: column j of dst = those of the four gates, each padded to whole vectors (struct narrow_product). */
    void (*pack_narrow)(real *dst, const real *w, ptrdiff_t ldw, ptrdiff_t hidden, ptrdiff_t columns);
    /* to[j][i] += from[i][j] for i < rows, j < columns; `from` must be readable up to whole vectors both ways. */
    void (*add_transposed)(real *to, ptrdiff_t ldto, const real *from, ptrdiff_t ldfrom, ptrdiff_t rows,
                           ptrdiff_t columns);
    /* to[r][offset ..] += row r of from, `width` elements; some of the rows of `to` may be the same. */
    void (*add_rows)(real *const *to, ptrdiff_t offset, const real *from, ptrdiff_t ldfrom, ptrdiff_t rows,
                     ptrdiff_t width);

    void (*product)(const struct product *, struct panel_range);
    void (*narrow_product)(const struct narrow_product *);
    void (*gate_rows)(const struct gate_rows *, struct panel_range);
    void (*gate_rows_backward)(const struct gate_rows_backward *, struct panel_range);

    /* Activations on plain arrays, for the tests and the tutorials; y may be x. */
    void (*exp)(ptrdiff_t n, const real *x, real *y);
    void (*sigmoid)(ptrdiff_t n, const real *x, real *y);
    void (*tanh)(ptrdiff_t n, const real *x, real *y);

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

/* Vectors of V lanes that hold the four gates of `units` <= V units side by side. */
static inline int gate_vectors(ptrdiff_t units, ptrdiff_t V) { return (int)((4 * units + V - 1) / V); }

static inline struct panels gate_panels(const struct kernels *kernels, ptrdiff_t hidden) {
    const ptrdiff_t V = kernels->lanes;
    const int last = gate_vectors(hidden % V, V);
    return last == 4 ? (struct panels){hidden / V + 1, 4, 0} : (struct panels){hidden / V, 4, last};
}

static inline struct panels product_panels(const struct kernels *kernels, ptrdiff_t columns) {
    const ptrdiff_t V = kernels->lanes, width = kernels->product_vectors * V;
    return (struct panels){columns / width, kernels->product_vectors, (int)((columns % width + V - 1) / V)};
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

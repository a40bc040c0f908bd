/* Layer normalisation of an LSTM (Ba, Kiros and Hinton 2016), with N(a) = (a - mean) / sqrt(variance + epsilon) over the
 * elements of a row:
 *
 *     z = gain_x N(w_ih x) + gain_h N(w_hh u) + b        over all gates together
 *     m = o q(gain_c N(c_new) + bias_c)
 *
 * Both products are stored, on the tape if there is one: blocks x, h, and then the gates. A row is then worked on as a
 * whole: the products are normalised in place, which is what backward needs, and backward puts dz of both in their places.
 * Each moment of a row is a long chain of operations that wait for each other, so that a few rows go side by side, and
 * each part of the work is done for all of them before the next. */
#ifndef CLSTM_CELL_LSTM_NORM_H
#define CLSTM_CELL_LSTM_NORM_H

/* Sums of a tile to where a function over rows finds them. */
static void store_sums(const struct fused *fused, const struct tile *tile, void *all) {
    const struct cell_forward *s = (const struct cell_forward *)fused;
    const int gates = fused->panels.gates;
    FOR_EACH_UNIT(walk, 0, tile, all) {
        real *to = s->z[walk.row] + s->store_at * s->ld + walk.unit;
        for (int gate = 0; gate < gates; gate++) store(to + gate * s->ld, walk.z[gate * tile->groups]);
    }
}

/* Of a second stage, whose result is the gradient of m. */
static void store_dm(const struct fused *fused, const struct tile *tile, void *all) {
    const struct cell_backward *s = (const struct cell_backward *)fused;
    FOR_EACH_UNIT(walk, 0, tile, all)
    store(s->dm + walk.row * s->ld + walk.unit, walk.z[0]);
}

/* The upper half of the lanes is added to the lower one until there is one: each sum waits for few others. */
CLSTM_INLINE real total_of_lanes(vec v) {
    real lanes[V];
    store(lanes, v);
    CLSTM_UNROLL for (int half = V / 2; half > 0; half /= 2) {
        CLSTM_UNROLL for (int lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
    }
    return lanes[0];
}

/* Blocks of `units` elements, `ld` apart, as vectors; lanes beyond the units are `own` = 0. */
struct block_walk {
    ptrdiff_t at, unit; /* element of the first of all blocks; unit of its block */
    int block;
    ivec own;
};
#define FOR_EACH_VECTOR(walk, blocks, units, ld)                                                          \
    for (struct block_walk walk = {.own = first_lanes((units) < V ? (units) : V)}; walk.block < (blocks); \
         next_vector(&walk, units, ld))

CLSTM_INLINE void next_vector(struct block_walk *walk, ptrdiff_t units, ptrdiff_t ld) {
    walk->unit += V;
    if (walk->unit >= units) {
        walk->unit = 0;
        walk->block++;
    }
    walk->at = walk->block * ld + walk->unit;
    if (units % V == 0) return; /* all lanes of all vectors */
    const ptrdiff_t left = units - walk->unit;
    walk->own = first_lanes(left < V ? left : V);
}

/* mean, and 1 / sqrt(variance + epsilon), of `blocks` blocks of a row. */
struct moments {
    vec mean, scale;
};

CLSTM_INLINE struct moments moments_of(const real *a, int blocks, ptrdiff_t units, ptrdiff_t ld) {
    static const real epsilon = (real)1e-5; /* as in PyTorch and ONNX */
    const real count = (real)((ptrdiff_t)blocks * units);
    vec sum = {0}, squares = {0};
    FOR_EACH_VECTOR(walk, blocks, units, ld) sum += masked(load(a + walk.at), walk.own);
    const vec mean = broadcast(total_of_lanes(sum) / count);
    FOR_EACH_VECTOR(walk, blocks, units, ld) {
        const vec deviation = masked(load(a + walk.at) - mean, walk.own);
        squares = fma_(deviation, deviation, squares);
    }
    return (struct moments){mean, broadcast(1 / root_(total_of_lanes(squares) / count + epsilon))};
}

/* a becomes N(a); returns the factor. */
CLSTM_NOINLINE real normalise(real *a, int blocks, ptrdiff_t units, ptrdiff_t ld) {
    const struct moments found = moments_of(a, blocks, units, ld);
    FOR_EACH_VECTOR(walk, blocks, units, ld)
    store(a + walk.at, masked((load(a + walk.at) - found.mean) * found.scale, walk.own));
    return found.scale[0];
}

/* The parts of `norm`, or of the sums of its gradients, for some gates. */
struct norm_parts {
    real *gain_x, *gain_h, *bias, *gain_c, *bias_c;
};

CLSTM_INLINE struct norm_parts norm_parts_of(const real *norm, int gates, ptrdiff_t ld) {
    real *first = (real *)norm, *cell = first + NORM_GAIN_C * gates * ld;
    return (struct norm_parts){first + NORM_GAIN_X * gates * ld, first + NORM_GAIN_H * gates * ld,
                               first + NORM_BIAS * gates * ld, cell, cell + ld};
}

/* The cell of one row whose products are normalised. c_new stands where m or h will, until its moments are known. */
CLSTM_INLINE void normed_cell(const struct cell_forward *s, const struct cell_form form, ptrdiff_t row, real *z,
                              real *c_new) {
    const ptrdiff_t ld = s->ld;
    const int gates = form.first / 2;
    const struct norm_parts norm = norm_parts_of(s->norm, gates, ld);
    const vec limit = broadcast(s->limits.clip);
    for (ptrdiff_t unit = 0; unit < s->units; unit += V) {
        vec sums[MAX_GATES];
        for (int gate = 0; gate < gates; gate++) {
            const ptrdiff_t k = gate * ld + unit;
            const vec with_h = fma_(load(norm.gain_h + k), load(z + gates * ld + k), load(norm.bias + k));
            sums[gate] = fma_(load(norm.gain_x + k), load(z + k), with_h);
        }
        const vec c_prev = load(s->c_prev + row * ld + unit);
        const struct lstm_unit found = lstm_unit_of(s, form, unit, sums, 1, c_prev, limit);
        keep_gates(z + form.first * ld + unit, form, ld, found);
        store(c_new + unit, found.c);
        emit_c(s, form, row, unit, found.c, c_prev);
    }
}

enum { SIDE_BY_SIDE = 4 };

/* From c_new to m. */
CLSTM_INLINE void normed_output(const struct cell_forward *s, const struct cell_form form, ptrdiff_t row,
                                const real *c_new, const struct moments of_c) {
    const ptrdiff_t ld = s->ld;
    const struct norm_parts norm = norm_parts_of(s->norm, form.first / 2, ld);
    const real *all_o = s->z[row] + (form.first + output_at(form)) * ld;
    FOR_EACH_VECTOR(walk, 1, s->units, ld) {
        const vec normal = masked((load(c_new + walk.at) - of_c.mean) * of_c.scale, walk.own);
        const vec q = activated(form.output, fma_(load(norm.gain_c + walk.at), normal, load(norm.bias_c + walk.at)));
        emit_m(s, form, row, walk.at, masked(load(all_o + walk.at) * q, walk.own));
    }
}

static void norm_forward_rows(const struct cell_forward *s, ptrdiff_t begin, ptrdiff_t end) {
    const struct cell_form form = s->form;
    const ptrdiff_t ld = s->ld;
    const int gates = form.first / 2;
    real *all_c = form.projects ? s->inner : s->h; /* where m will be */
    for (ptrdiff_t first = begin; first < end; first += SIDE_BY_SIDE) {
        const ptrdiff_t last = first + SIDE_BY_SIDE < end ? first + SIDE_BY_SIDE : end;
        real scale[SIDE_BY_SIDE][SCALES] = {0};
        struct moments of_c[SIDE_BY_SIDE];
        for (ptrdiff_t row = first; row < last; row++) {
            scale[row - first][SCALE_X] = normalise(s->z[row], gates, s->units, ld);
            scale[row - first][SCALE_H] = normalise(s->z[row] + gates * ld, gates, s->units, ld);
        }
        for (ptrdiff_t row = first; row < last; row++) normed_cell(s, form, row, s->z[row], all_c + row * ld);
        for (ptrdiff_t row = first; row < last; row++) {
            of_c[row - first] = moments_of(all_c + row * ld, 1, s->units, ld);
            scale[row - first][SCALE_C] = of_c[row - first].scale[0];
        }
        for (ptrdiff_t row = first; row < last; row++) normed_output(s, form, row, all_c + row * ld, of_c[row - first]);
        for (ptrdiff_t row = first; s->scales && row < last; row++)
            memcpy(s->scales + row * SCALES, scale[row - first], sizeof *scale);
    }
}

/* With y = gain N(a), t = gain dy and n elements: da = scale (t - sum(t) / n - N(a) sum(t N(a)) / n) */
struct norm_sums {
    vec t, t_normal;
};

CLSTM_INLINE void add_norm_sums(struct norm_sums *sums, vec t, vec normal) {
    sums->t += t;
    sums->t_normal = fma_(t, normal, sums->t_normal);
}

/* As means. */
CLSTM_INLINE struct norm_sums norm_means(struct norm_sums sums, real count) {
    return (struct norm_sums){broadcast(total_of_lanes(sums.t) / count),
                              broadcast(total_of_lanes(sums.t_normal) / count)};
}

CLSTM_INLINE vec norm_slope(vec t, vec normal, struct norm_sums means, vec scale) {
    return scale * (t - means.t - normal * means.t_normal);
}

CLSTM_INLINE void add_product_to(real *to, vec a, vec b) { store(to, fma_(a, b, load(to))); }

/* From m to c_new: dz_o in its place, and where dm was, t of the cell's normalisation. */
CLSTM_INLINE struct norm_sums output_backward(const struct cell_backward *s, const struct cell_form form, ptrdiff_t row,
                                              const struct lstm_back *back, const struct moments *of_c,
                                              const struct norm_parts *norm, const struct norm_parts *dnorm) {
    const ptrdiff_t ld = s->ld;
    struct norm_sums sums = {0};
    FOR_EACH_VECTOR(walk, 1, s->units, ld) {
        const ptrdiff_t unit = walk.at;
        const struct lstm_kept kept = lstm_kept_at(s, form, row, unit, back);
        const vec normal = masked((kept.c_new - of_c->mean) * of_c->scale, walk.own);
        const vec q = activated(form.output, fma_(load(norm->gain_c + unit), normal, load(norm->bias_c + unit)));
        const vec o = load(s->blocks + (row * form.blocks + form.first + output_at(form)) * ld + unit);
        real *dm = s->dm + row * ld + unit;
        const vec d = masked(load(dm), walk.own), dv = d * o * slope_at(form.output, q);
        emit_dz(s, form, row, unit, output_at(form), back_through(back->gate, o, d * q));
        add_product_to(dnorm->gain_c + unit, dv, normal);
        store(dnorm->bias_c + unit, load(dnorm->bias_c + unit) + dv);
        const vec t = dv * load(norm->gain_c + unit);
        store(dm, t);
        add_norm_sums(&sums, t, normal);
    }
    return sums;
}

CLSTM_INLINE vec normal_of(const struct lstm_kept *kept, const struct moments *of_c, ivec own) {
    return masked((kept->c_new - of_c->mean) * of_c->scale, own);
}

/* From c_new to the gates. */
CLSTM_INLINE void normed_cell_backward(const struct cell_backward *s, const struct cell_form form, ptrdiff_t row,
                                       const struct lstm_back *back, const struct moments *of_c,
                                       const struct norm_sums means) {
    const ptrdiff_t ld = s->ld;
    FOR_EACH_VECTOR(walk, 1, s->units, ld) {
        const ptrdiff_t unit = walk.at;
        const struct lstm_kept kept = lstm_kept_at(s, form, row, unit, back);
        const vec t = load(s->dm + row * ld + unit);
        const vec dz_o = load(s->blocks + (row * form.blocks + form.first + output_at(form)) * ld + unit);
        const vec from_m = masked(norm_slope(t, normal_of(&kept, of_c, walk.own), means, of_c->scale), walk.own);
        lstm_cell_backward(s, form, row, unit, back, &kept, from_m, dz_o);
    }
}

/* From the pre-activations to both products: dz of each where it was, all gates of a row. */
CLSTM_INLINE void products_backward(const struct cell_form form, real *blocks, ptrdiff_t units, ptrdiff_t ld,
                                    const real *scales, const struct norm_parts *norm, const struct norm_parts *dnorm) {
    const int gates = form.first / 2;
    const real count = (real)(gates * units);
    real *x = blocks, *h = blocks + gates * ld;
    const real *dz_of = blocks + form.first * ld;
    struct norm_sums of_x = {0}, of_h = {0};
    FOR_EACH_VECTOR(walk, gates, units, ld) {
        const vec dz = load(dz_of + walk.at), normal_x = load(x + walk.at), normal_h = load(h + walk.at);
        store(dnorm->bias + walk.at, load(dnorm->bias + walk.at) + dz);
        add_product_to(dnorm->gain_x + walk.at, dz, normal_x);
        add_product_to(dnorm->gain_h + walk.at, dz, normal_h);
        add_norm_sums(&of_x, dz * load(norm->gain_x + walk.at), normal_x);
        add_norm_sums(&of_h, dz * load(norm->gain_h + walk.at), normal_h);
    }
    of_x = norm_means(of_x, count), of_h = norm_means(of_h, count);
    const vec scale_x = broadcast(scales[SCALE_X]), scale_h = broadcast(scales[SCALE_H]);
    FOR_EACH_VECTOR(walk, gates, units, ld) {
        const vec dz = load(dz_of + walk.at);
        const vec t_x = dz * load(norm->gain_x + walk.at), t_h = dz * load(norm->gain_h + walk.at);
        store(x + walk.at, masked(norm_slope(t_x, load(x + walk.at), of_x, scale_x), walk.own));
        store(h + walk.at, masked(norm_slope(t_h, load(h + walk.at), of_h, scale_h), walk.own));
    }
}

/* Of c_new, which is computed again. */
CLSTM_INLINE vec mean_of_c(const struct cell_backward *s, const struct cell_form form, ptrdiff_t row,
                           const struct lstm_back *back) {
    vec sum = {0};
    FOR_EACH_VECTOR(walk, 1, s->units, s->ld)
    sum += masked(lstm_kept_at(s, form, row, walk.at, back).c_new, walk.own);
    return broadcast(total_of_lanes(sum) / (real)s->units);
}

static void norm_backward_rows(const struct cell_backward *s, ptrdiff_t begin, ptrdiff_t end) {
    const struct cell_form form = s->form;
    const ptrdiff_t ld = s->ld;
    const int gates = form.first / 2;
    const struct lstm_back back = lstm_back_of(s, form);
    const struct norm_parts norm = norm_parts_of(s->norm, gates, ld);
    for (ptrdiff_t first = begin; first < end; first += SIDE_BY_SIDE) {
        const ptrdiff_t last = first + SIDE_BY_SIDE < end ? first + SIDE_BY_SIDE : end;
        struct norm_parts dnorm[SIDE_BY_SIDE];
        struct moments of_c[SIDE_BY_SIDE];
        struct norm_sums means[SIDE_BY_SIDE];
        for (ptrdiff_t i = 0; i < last - first; i++) {
            dnorm[i] = norm_parts_of(s->dnorm + (first + i) * norm_elements(gates, ld), gates, ld);
            of_c[i] = (struct moments){mean_of_c(s, form, first + i, &back),
                                       broadcast(s->scales[(first + i) * SCALES + SCALE_C])};
        }
        for (ptrdiff_t i = 0; i < last - first; i++)
            means[i] =
                norm_means(output_backward(s, form, first + i, &back, &of_c[i], &norm, &dnorm[i]), (real)s->units);
        for (ptrdiff_t i = 0; i < last - first; i++)
            normed_cell_backward(s, form, first + i, &back, &of_c[i], means[i]);
        for (ptrdiff_t row = first; row < last; row++)
            products_backward(form, s->blocks + row * form.blocks * ld, s->units, ld, s->scales + row * SCALES, &norm,
                              &dnorm[row - first]);
    }
}

static void describe_norm(struct cell *cell) {
    const int gates = cell->gates;
    cell->norm = 1;
    cell->form.first = 2 * gates;
    cell->form.blocks = 3 * gates;
    for (int gate = 0; gate < gates; gate++) cell->h_block[gate] = gates + gate;
    cell->forward[0] = store_sums;
    cell->backward[0] = collect_for_later;
    if (cell->form.projects) cell->backward[1] = store_dm;
    cell->forward_rows = norm_forward_rows;
    cell->backward_rows = norm_backward_rows;
}

#endif

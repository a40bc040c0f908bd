/* Prefix beam search (Graves 2012, section 7.5.3; Hannun et al. 2014).
 *
 * Of each labelling so far, a prefix, there are two logarithms: of the probability of its paths that end in a blank,
 * and of those that end in its last label. At each step a prefix stays, by a blank or by its last label again, or goes
 * on by a label; equal labels in a row need the paths that end in a blank. The best `width` are kept.
 *
 * Prefixes are nodes of a tree, each of them one node for good, also while it is not in the beam: so two ways to the
 * same prefix meet in the same node. One in the beam whose parent is there too gets what the parent goes on by. */
#include <math.h>
#include <string.h>

#include "../ground/arena.h"
#include "../ground/threads.h"
#include "../sequences/check.h"
#include "../sequences/plan.h"
#include "ctc.h"

enum { NONE = -1 };

struct node {
    ptrdiff_t parent, label, length, child, sibling; /* first child, next child of the parent, or NONE */
    ptrdiff_t slot;                                  /* in the beam, or NONE */
};

/* A prefix in the beam. Logarithms of probabilities; `added` is what the caller's function has given for its labels. */
struct entry {
    ptrdiff_t node;
    double blank, label, both, added;
};

/* A prefix that may be in the next beam: entry `from`, with a class appended or NONE. */
struct candidate {
    double score, blank, label;
    ptrdiff_t from, class;
};

struct beam {
    const clstm_ctc_beam_options *options;
    struct node *nodes; /* [1 + T width] */
    ptrdiff_t nodes_used;
    struct entry *entries, *next; /* [width] */
    ptrdiff_t count;
    struct candidate *heap; /* [width] the worst first */
    ptrdiff_t heap_used;
    double least;                      /* log y of a class that is appended */
    double *log_y, *u;                 /* [C] */
    double *extra, *next_extra;        /* [width][C] of the caller's function, or NULL */
    ptrdiff_t *first_heir, *next_heir; /* [width] entries whose parent is an entry */
    ptrdiff_t *mark, marks;            /* [C] classes by which the entry goes on to one in the beam have its mark */
    int64_t *prefix;                   /* [T] for the caller's function */
    ptrdiff_t row;
};

struct search {
    clstm_isa isa;
    const struct ctc_real *real;
    const clstm_batch *batch;
    const clstm_ctc_beam_options *options;
    const void *logits;
    int64_t *labels;
    ptrdiff_t *label_lengths;
    double *score;
    char *rows;
    size_t row_bytes;
};

static void lay_out(struct beam *beam, struct arena *arena, const clstm_ctc_beam_options *options, ptrdiff_t T) {
    const ptrdiff_t C = options->classes, width = options->width, nodes = times(T, width);
    const ptrdiff_t extras = options->extend ? times(width, C) : 0;
    *beam = (struct beam){.options = options};
    beam->nodes = arena_take(arena, nodes < PTRDIFF_MAX ? nodes + 1 : nodes, sizeof *beam->nodes);
    beam->entries = arena_take(arena, width, sizeof *beam->entries);
    beam->next = arena_take(arena, width, sizeof *beam->next);
    beam->heap = arena_take(arena, width, sizeof *beam->heap);
    beam->log_y = arena_take(arena, C, sizeof(double));
    beam->u = arena_take(arena, C, sizeof(double));
    beam->extra = arena_take(arena, extras, sizeof(double));
    beam->next_extra = arena_take(arena, extras, sizeof(double));
    beam->first_heir = arena_take(arena, width, sizeof(ptrdiff_t));
    beam->next_heir = arena_take(arena, width, sizeof(ptrdiff_t));
    beam->mark = arena_take(arena, C, sizeof(ptrdiff_t));
    beam->prefix = arena_take(arena, T, sizeof(int64_t));
}

static double log_sum(double a, double b) {
    const double most = a > b ? a : b, least = a > b ? b : a;
    return least == -INFINITY ? most : most + log1p(exp(least - most));
}

/* ---- the tree ---- */

static ptrdiff_t new_node(struct beam *beam, ptrdiff_t parent, ptrdiff_t label) {
    struct node *node = beam->nodes + beam->nodes_used;
    *node = (struct node){parent, label, 0, NONE, NONE, NONE};
    if (parent != NONE) {
        node->length = beam->nodes[parent].length + 1;
        node->sibling = beam->nodes[parent].child;
        beam->nodes[parent].child = beam->nodes_used;
    }
    return beam->nodes_used++;
}

static ptrdiff_t child_of(struct beam *beam, ptrdiff_t parent, ptrdiff_t label) {
    for (ptrdiff_t child = beam->nodes[parent].child; child != NONE; child = beam->nodes[child].sibling)
        if (beam->nodes[child].label == label) return child;
    return new_node(beam, parent, label);
}

static void write_prefix(const struct beam *beam, ptrdiff_t node, int64_t *labels) {
    for (; node != 0; node = beam->nodes[node].parent) labels[beam->nodes[node].length - 1] = beam->nodes[node].label;
}

/* ---- the heap: of each two neighbours on the way up, the upper is not better ---- */

static void sink(struct beam *beam, ptrdiff_t at, struct candidate candidate) {
    struct candidate *heap = beam->heap;
    for (ptrdiff_t lower = 2 * at + 1; lower < beam->heap_used; lower = 2 * at + 1) {
        if (lower + 1 < beam->heap_used && heap[lower + 1].score < heap[lower].score) lower++;
        if (heap[lower].score >= candidate.score) break;
        heap[at] = heap[lower];
        at = lower;
    }
    heap[at] = candidate;
}

static void offer(struct beam *beam, struct candidate candidate) {
    struct candidate *heap = beam->heap;
    if (!(candidate.score > -INFINITY)) return;
    if (beam->heap_used == beam->options->width) {
        if (candidate.score > heap[0].score) sink(beam, 0, candidate);
        return;
    }
    ptrdiff_t at = beam->heap_used++;
    for (; at > 0 && heap[(at - 1) / 2].score > candidate.score; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = candidate;
}

/* ---- a step ---- */

/* log softmax of the step. */
static void read_step(const struct search *it, struct beam *beam, const void *x) {
    const ptrdiff_t C = it->options->classes;
    const double log_S = log(ctc_exponentials(it->isa, it->real, C, x, beam->u));
    it->real->shifted(C, x, beam->log_y);
    for (ptrdiff_t c = 0; c < C; c++) beam->log_y[c] -= log_S;
}

/* Entries whose parent is in the beam too, as lists of the parent. */
static void find_heirs(struct beam *beam) {
    for (ptrdiff_t i = 0; i < beam->count; i++) beam->first_heir[i] = NONE;
    for (ptrdiff_t i = 0; i < beam->count; i++) {
        const ptrdiff_t parent = beam->nodes[beam->entries[i].node].parent;
        const ptrdiff_t from = parent == NONE ? NONE : beam->nodes[parent].slot;
        if (from == NONE) continue;
        beam->next_heir[i] = beam->first_heir[from];
        beam->first_heir[from] = i;
    }
}

static void offer_staying(struct beam *beam, ptrdiff_t i) {
    const struct entry *entry = beam->entries + i;
    const struct node *node = beam->nodes + entry->node;
    struct candidate stays = {.blank = entry->both + beam->log_y[beam->options->blank], .from = i, .class = NONE};
    stays.label = -INFINITY;
    if (node->parent != NONE) {
        const struct node *parent = beam->nodes + node->parent;
        double before = entry->label;
        if (parent->slot != NONE) {
            const struct entry *from = beam->entries + parent->slot;
            before = log_sum(before, parent->label == node->label ? from->blank : from->both);
        }
        stays.label = before + beam->log_y[node->label];
    }
    stays.score = log_sum(stays.blank, stays.label) + entry->added;
    offer(beam, stays);
}

static void offer_longer(struct beam *beam, ptrdiff_t i) {
    const clstm_ctc_beam_options *options = beam->options;
    const struct entry *entry = beam->entries + i;
    const double *extra = options->extend ? beam->extra + i * options->classes : NULL;
    const ptrdiff_t last = beam->nodes[entry->node].label;
    beam->marks++;
    beam->mark[options->blank] = beam->marks;
    for (ptrdiff_t heir = beam->first_heir[i]; heir != NONE; heir = beam->next_heir[heir])
        beam->mark[beam->nodes[beam->entries[heir].node].label] = beam->marks;
    for (ptrdiff_t c = 0; c < options->classes; c++) {
        if (beam->mark[c] == beam->marks || beam->log_y[c] < beam->least) continue;
        const double label = (c == last ? entry->blank : entry->both) + beam->log_y[c];
        const double score = label + entry->added + (extra ? extra[c] : 0);
        if (beam->heap_used == options->width && !(score > beam->heap[0].score)) continue; /* most of them */
        offer(beam, (struct candidate){score, -INFINITY, label, i, c});
    }
}

static void ask(struct beam *beam, ptrdiff_t node, double *extra) {
    const clstm_ctc_beam_options *options = beam->options;
    write_prefix(beam, node, beam->prefix);
    options->extend(options->context, beam->row, beam->nodes[node].length, beam->prefix, extra);
}

static void make_entry(struct beam *beam, ptrdiff_t i, const struct candidate *candidate) {
    const struct entry *from = beam->entries + candidate->from;
    const ptrdiff_t C = beam->options->classes, class = candidate->class;
    struct entry entry = {from->node, candidate->blank, candidate->label, 0, from->added};
    double *to = beam->options->extend ? beam->next_extra + i * C : NULL;
    const double *extra = to ? beam->extra + candidate->from * C : NULL;
    entry.both = log_sum(entry.blank, entry.label);
    if (class != NONE) {
        entry.node = child_of(beam, from->node, class);
        if (to) entry.added += extra[class];
        if (to) ask(beam, entry.node, to);
    } else if (to) {
        memcpy(to, extra, (size_t)C * sizeof *to);
    }
    beam->next[i] = entry;
}

static void take_step(struct beam *beam) {
    beam->heap_used = 0;
    find_heirs(beam);
    for (ptrdiff_t i = 0; i < beam->count; i++) offer_staying(beam, i);
    for (ptrdiff_t i = 0; i < beam->count; i++) offer_longer(beam, i);
    for (ptrdiff_t i = 0; i < beam->heap_used; i++) make_entry(beam, i, beam->heap + i);
    for (ptrdiff_t i = 0; i < beam->count; i++) beam->nodes[beam->entries[i].node].slot = NONE;
    struct entry *entries = beam->next;
    double *extra = beam->next_extra;
    beam->next = beam->entries;
    beam->next_extra = beam->extra;
    beam->entries = entries;
    beam->extra = extra;
    beam->count = beam->heap_used;
    for (ptrdiff_t i = 0; i < beam->count; i++) beam->nodes[entries[i].node].slot = i;
}

/* ---- a row ---- */

static void begin(struct beam *beam, ptrdiff_t row) {
    const ptrdiff_t root = new_node(beam, NONE, NONE);
    beam->row = row;
    beam->least = beam->options->prune > 0 ? log(beam->options->prune) : -INFINITY;
    beam->entries[0] = (struct entry){root, 0, -INFINITY, 0, 0};
    beam->nodes[root].slot = 0;
    beam->count = 1;
    for (ptrdiff_t c = 0; c < beam->options->classes; c++) beam->mark[c] = 0;
    if (beam->options->extend) ask(beam, root, beam->extra);
}

/* The best entries, by falling score. */
static void write_best(const struct search *it, struct beam *beam, ptrdiff_t n) {
    const ptrdiff_t T = it->batch->T, best = it->options->best;
    for (ptrdiff_t k = 0; k < best; k++) {
        ptrdiff_t chosen = NONE;
        for (ptrdiff_t i = 0; i < beam->count; i++) {
            const struct entry *entry = beam->entries + i;
            const double score = entry->both + entry->added;
            if (beam->nodes[entry->node].slot == NONE) continue;
            if (chosen == NONE || score > beam->entries[chosen].both + beam->entries[chosen].added) chosen = i;
        }
        it->label_lengths[n * best + k] = NONE;
        it->score[n * best + k] = -INFINITY;
        if (chosen == NONE) continue;
        const struct entry *entry = beam->entries + chosen;
        beam->nodes[entry->node].slot = NONE;
        it->label_lengths[n * best + k] = beam->nodes[entry->node].length;
        it->score[n * best + k] = entry->both + entry->added;
        write_prefix(beam, entry->node, it->labels + (n * best + k) * T);
    }
}

static void beam_task(void *context, ptrdiff_t n, int worker) {
    const struct search *it = context;
    const ptrdiff_t T = it->batch->T, C = it->options->classes;
    struct arena arena = arena_over(it->rows + (size_t)worker * it->row_bytes);
    struct beam beam;
    lay_out(&beam, &arena, it->options, T);
    begin(&beam, n);
    for (ptrdiff_t t = 0; t < length_of(it->batch, n); t++) {
        read_step(it, &beam, ctc_element(it->real, it->logits, (n * T + t) * C));
        take_step(&beam);
    }
    write_best(it, &beam, n);
}

/* ---- a call ---- */

static clstm_status check_search(const clstm_runtime *runtime, const clstm_batch *batch,
                                 const clstm_ctc_beam_options *options) {
    clstm_status status = check_runtime(runtime);
    if (!status) status = check_batch(batch);
    if (!status) status = check_size(options->classes);
    if (!status) status = check_size(options->width);
    if (!status) status = check_size(options->best);
    if (!status && (options->blank < 0 || options->blank >= options->classes)) status = CLSTM_BAD_INDEX;
    if (!status && (batch->pieces || !(options->prune >= 0 && options->prune <= 1))) status = CLSTM_BAD_OPTION;
    if (!status && times(times(batch->N, batch->T), options->classes) > PTRDIFF_MAX / 8) status = CLSTM_TOO_LARGE;
    if (!status && times(times(batch->N, batch->T), options->best) > PTRDIFF_MAX / 8) status = CLSTM_TOO_LARGE;
    return status;
}

/* The caller's function is called by the thread that calls. */
static int threads_for(const clstm_runtime *runtime, const clstm_batch *batch, const clstm_ctc_beam_options *options) {
    if (options->extend) return 1;
    return runtime->threads < batch->N ? runtime->threads : (int)batch->N;
}

static size_t row_bytes(const clstm_batch *batch, const clstm_ctc_beam_options *options, int *overflow) {
    struct arena arena = {0};
    struct beam beam;
    lay_out(&beam, &arena, options, batch->T);
    return arena_bytes(&arena, overflow);
}

clstm_status clstm_ctc_beam_size(const clstm_runtime *runtime, const clstm_batch *batch,
                                 const clstm_ctc_beam_options *options, size_t *bytes) {
    const clstm_status status = check_search(runtime, batch, options);
    if (status) return status;
    int overflow = 0;
    struct arena arena = {0};
    arena_take(&arena, threads_for(runtime, batch, options), row_bytes(batch, options, &overflow));
    const size_t found = arena_bytes(&arena, &overflow);
    if (overflow) return CLSTM_TOO_LARGE;
    *bytes = found;
    return CLSTM_OK;
}

clstm_status clstm_ctc_beam(const clstm_runtime *runtime, clstm_dtype dtype, const clstm_batch *batch,
                            const clstm_ctc_beam_options *options, const void *logits, int64_t *labels,
                            ptrdiff_t *label_lengths, double *score, void *scratch) {
    size_t bytes;
    clstm_status status = clstm_ctc_beam_size(runtime, batch, options, &bytes);
    if (!status) status = check_dtype(dtype);
    if (status) return status;
    int overflow = 0;
    struct search it = {.isa = runtime->isa,
                        .real = ctc_real_of(dtype),
                        .batch = batch,
                        .options = options,
                        .logits = logits,
                        .labels = labels,
                        .label_lengths = label_lengths,
                        .score = score,
                        .rows = scratch,
                        .row_bytes = row_bytes(batch, options, &overflow)};
    clstm_parallel(threads_for(runtime, batch, options), batch->N, beam_task, &it);
    return CLSTM_OK;
}

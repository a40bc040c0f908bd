/* One instance of the kernels. The including file has set the target instruction set and defined
 *   REAL_BITS (32 or 64), VECTOR_BYTES, INSTANCE (the name of the table),
 *   PRODUCT_ROWS x PRODUCT_VECTORS (a full tile), chosen so that sums, weights and a broadcast fit the registers of the
 *   instruction set. */
#include "kernels.h"
#include "simd.h"

#include "activations.h"
#include "tile.h"
#include "pack.h"
#include "product.h"
#include "narrow.h"
#include "fused.h"
#include "../cells/lstm.h"
#include "../cells/gru.h"
#include "../cells/rnn.h"
#include "losses.h"
#include "updates.h"
#include "random.h"

static int (*const describe[CLSTM_CELL_COUNT])(const clstm_stack *, struct cell *) = {
    [CLSTM_LSTM] = describe_lstm, [CLSTM_GRU] = describe_gru, [CLSTM_RNN] = describe_rnn};

const struct kernels INSTANCE = {
    .lanes = V,
    .product_rows = PRODUCT_ROWS,
    .product_vectors = PRODUCT_VECTORS,
    .pack_gates = pack_gates,
    .pack_rows = pack_rows,
    .pack_columns = pack_columns,
    .pack_piece = pack_piece,
    .pack_narrow = pack_narrow,
    .add_transposed = add_transposed,
    .add_rows = add_rows,
    .product = product_kernel,
    .narrow_product = narrow_product_kernel,
    .fused = fused_kernel,
    .describe = describe,
    .random_mask = random_mask,
    .add_normal = add_normal,
    .activate = activate_kernel,
    .squared_error = squared_error_kernel,
    .softmax_error = softmax_error_kernel,
    .sum_of_squares = sum_of_squares_kernel,
    .scale = scale_kernel,
    .sgd = sgd_kernel,
    .adam = adam_kernel,
};

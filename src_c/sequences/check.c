#include "check.h"

clstm_status check_runtime(const clstm_runtime *runtime) {
    if (runtime->threads < 1) return CLSTM_BAD_SIZE;
    if ((int)runtime->isa < 0 || runtime->isa >= CLSTM_ISA_COUNT || !clstm_isa_available(runtime->isa))
        return CLSTM_BAD_OPTION;
    if ((int)runtime->backend < CLSTM_AUTO || runtime->backend > CLSTM_BLAS) return CLSTM_BAD_OPTION;
    if (runtime->backend == CLSTM_BLAS && (!runtime->blas.sgemm || !runtime->blas.dgemm)) return CLSTM_BAD_OPTION;
    return CLSTM_OK;
}

clstm_status check_dtype(clstm_dtype dtype) {
    return dtype == CLSTM_F32 || dtype == CLSTM_F64 ? CLSTM_OK : CLSTM_BAD_OPTION;
}

clstm_status check_size(ptrdiff_t size) {
    return size < 1 ? CLSTM_BAD_SIZE : size > CLSTM_LARGEST_SIZE ? CLSTM_TOO_LARGE : CLSTM_OK;
}

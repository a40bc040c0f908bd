/* Checks that several entry points share. Each returns CLSTM_OK or the first thing that is wrong. */
#ifndef CLSTM_CHECK_H
#define CLSTM_CHECK_H

#include "../clstm.h"

/* Sizes above this would overflow before arena_take could notice. */
#define CLSTM_LARGEST_SIZE (PTRDIFF_MAX / 1024)

clstm_status check_runtime(const clstm_runtime *runtime);
clstm_status check_dtype(clstm_dtype dtype);
clstm_status check_size(ptrdiff_t size);

#endif

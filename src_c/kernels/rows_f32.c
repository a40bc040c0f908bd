#define REAL_BITS 32
#include "rows_body.h"

#define REAL_BITS 64
#include "rows_body.h"

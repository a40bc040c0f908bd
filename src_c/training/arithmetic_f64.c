#define REAL_BITS 64
#include "arithmetic_body.h"

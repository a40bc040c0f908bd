#define REAL_BITS 32
#include "arithmetic_body.h"

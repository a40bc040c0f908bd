#define REAL_BITS 32
#include "stack_body.h"

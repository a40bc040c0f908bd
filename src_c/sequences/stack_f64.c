#define REAL_BITS 64
#include "stack_body.h"

#define REAL_BITS 32
#include "step_body.h"

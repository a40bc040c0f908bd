#define REAL_BITS 64
#include "step_body.h"

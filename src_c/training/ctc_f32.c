#define REAL_BITS 32
#include "ctc_body.h"

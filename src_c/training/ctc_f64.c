#define REAL_BITS 64
#include "ctc_body.h"

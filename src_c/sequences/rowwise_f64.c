#define REAL_BITS 64
#include "rowwise_body.h"

#define REAL_BITS 32
#include "rowwise_body.h"

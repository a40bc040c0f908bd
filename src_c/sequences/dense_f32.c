#define REAL_BITS 32
#include "dense_body.h"

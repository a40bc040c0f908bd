#define REAL_BITS 64
#include "dense_body.h"

#define REAL_BITS 64
#include "dropout_body.h"

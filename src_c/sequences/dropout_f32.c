#define REAL_BITS 32
#include "dropout_body.h"

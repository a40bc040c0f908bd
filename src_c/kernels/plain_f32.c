#define REAL_BITS 32
#include "plain_body.h"

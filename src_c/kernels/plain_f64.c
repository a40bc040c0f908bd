#define REAL_BITS 64
#include "plain_body.h"

#define REAL_BITS 32
#include "stream_body.h"

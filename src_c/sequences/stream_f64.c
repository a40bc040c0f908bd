#define REAL_BITS 64
#include "stream_body.h"

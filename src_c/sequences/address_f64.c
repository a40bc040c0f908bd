#define REAL_BITS 64
#include "address_body.h"

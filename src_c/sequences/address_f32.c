#define REAL_BITS 32
#include "address_body.h"

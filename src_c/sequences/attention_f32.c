#define REAL_BITS 32
#include "attention_body.h"

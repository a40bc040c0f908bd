#define REAL_BITS 64
#include "attention_body.h"

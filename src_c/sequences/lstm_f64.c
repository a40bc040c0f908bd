#define REAL_BITS 64
#include "lstm_body.h"

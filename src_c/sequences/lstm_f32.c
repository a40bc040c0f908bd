#define REAL_BITS 32
#include "lstm_body.h"

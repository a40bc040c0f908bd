#include "../clstm.h"

const char *clstm_status_message(clstm_status status) {
    switch (status) {
    case CLSTM_OK: return "no error";
    case CLSTM_BAD_SIZE: return "a size is below its least value";
    case CLSTM_TOO_LARGE: return "the sizes are too large for the integers that hold them";
    case CLSTM_BAD_LENGTH: return "a sequence length is negative or greater than the number of steps";
    case CLSTM_BAD_INDEX: return "an index is out of range";
    case CLSTM_BAD_OPTION: return "a dtype, backend, instruction set or mode does not exist here";
    case CLSTM_IN_USE: return "another thread is working on the same stream";
    case CLSTM_STATUS_COUNT: break;
    }
    return "unknown status";
}

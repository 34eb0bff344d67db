#include "tests/integration/program.h"

namespace initrt::testing {

const char* program() { return INITRT_PROGRAM; }

const char* mpirun() { return INITRT_MPIRUN; }

}  // namespace initrt::testing

#include "tests/support/source_path.h"

namespace initrt::testing {

std::string source_path(std::string_view name) { return INITRT_SOURCE_DIR "/" + std::string(name); }

}  // namespace initrt::testing

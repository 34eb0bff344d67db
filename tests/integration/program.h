// The program that integration tests start, and what starts several ranks of it.
#pragma once

namespace initrt::testing {

/// The path of initrt, or of initrt on the CUDA emulator: the one whose library the test links.
[[nodiscard]] const char* program();

/// The path of mpirun.
[[nodiscard]] const char* mpirun();

}  // namespace initrt::testing

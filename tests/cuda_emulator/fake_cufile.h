// What a test asks of the fake libcufile that it is linked with.
#pragma once

#include <cstdint>
#include <limits>

namespace fake_cufile {

inline constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

/// What goes wrong. Reads are counted from 0, over all files.
struct Faults {
  bool driver_fails = false;      ///< does not open
  bool stays_compatible = false;  ///< compatibility mode cannot be switched off
  bool refuses_memory = false;
  bool refuses_files = false;
  std::uint64_t failing_read = kNever;
  std::uint64_t short_read = kNever;  ///< brings one byte
  std::uint64_t wrong_read = kNever;  ///< brings other bytes
};

/// Forgets all counts; the driver must be closed.
void reset(const Faults& faults = {});

struct Counts {
  std::uint64_t opened = 0;                         ///< how often the driver was
  std::int64_t drivers = 0, memory = 0, files = 0;  ///< open or registered now
  std::uint64_t reads = 0, bytes = 0;               ///< brought
  std::uint64_t unaligned = 0;                      ///< reads that a drive could not do directly
};
[[nodiscard]] Counts counts();

}  // namespace fake_cufile

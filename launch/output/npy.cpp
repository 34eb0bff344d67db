#include "launch/output/npy.h"

#include <fmt/format.h>

namespace initrt {

NpyWriter::NpyWriter(std::string path, std::uint64_t rows, std::uint64_t columns)
    : file_(std::move(path)) {
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  constexpr std::size_t kBefore = 10;  // magic, version, length of the header
  header.resize((kBefore + header.size() + 1 + 63) / 64 * 64 - kBefore - 1, ' ');
  header += '\n';
  const auto length = static_cast<std::uint16_t>(header.size());
  std::string start = "\x93NUMPY\x01";
  start += '\0';
  start += static_cast<char>(length & 0xff);
  start += static_cast<char>(length >> 8);
  file_.write(start + header);
}

}  // namespace initrt

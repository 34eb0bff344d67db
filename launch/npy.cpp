#include "launch/npy.h"

#include <cerrno>
#include <cstring>

#include "sharding/error.h"

namespace initrt {

NpyWriter::NpyWriter(std::string path, std::uint64_t rows, std::uint64_t columns)
    : path_(std::move(path)), part_(path_ + ".part"), file_(std::fopen(part_.c_str(), "wb")) {
  if (!file_) fail_with_errno();
  std::string header = fmt::format(
      "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  constexpr std::size_t kBefore = 10;  // magic, version, length of the header
  header.resize((kBefore + header.size() + 1 + 63) / 64 * 64 - kBefore - 1, ' ');
  header += '\n';
  const auto length = static_cast<std::uint16_t>(header.size());
  std::string start = "\x93NUMPY\x01";
  start += '\0';
  start += static_cast<char>(length & 0xff);
  start += static_cast<char>(length >> 8);
  start += header;
  if (std::fwrite(start.data(), 1, start.size(), file_.get()) != start.size()) fail_with_errno();
}

NpyWriter::~NpyWriter() {
  if (file_) std::remove(part_.c_str());
}

void NpyWriter::fail_with_errno() const {
  fail("{}: cannot be written: {}", path_, std::strerror(errno));
}

void NpyWriter::row(std::span<const float> values) {
  if (std::fwrite(values.data(), sizeof(float), values.size(), file_.get()) != values.size()) {
    fail_with_errno();
  }
}

void NpyWriter::close() {
  if (std::fflush(file_.get()) != 0) fail_with_errno();
  file_.reset();
  if (std::rename(part_.c_str(), path_.c_str()) != 0) fail_with_errno();
}

}  // namespace initrt

#include "sharding/checkpoint/torch/windowed_reader.h"

#include <algorithm>

#include "sharding/error.h"

namespace initrt {

std::span<const std::byte> WindowedReader::view(std::uint64_t offset, std::uint64_t bytes) {
  if (offset < begin_ || offset > end_ || bytes > end_ - offset) {
    fail("{}: truncated: {} bytes at byte {} are needed, but what is read of it ends at byte {}",
         path_, bytes, offset, end_);
  }
  const std::uint64_t window_end = window_begin_ + window_.size();
  if (offset < window_begin_ || offset > window_end || bytes > window_end - offset) {
    window_ = files_.read(path_, offset, std::min(std::max(bytes, least_), end_ - offset));
    window_begin_ = offset;
  }
  return std::span<const std::byte>(window_).subspan(offset - window_begin_, bytes);
}

}  // namespace initrt

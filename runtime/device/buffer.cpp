#include "runtime/device/buffer.h"

#include <utility>

#include "sharding/checked.h"

namespace initrt {

std::uint64_t bytes_of(std::span<const BufferPart> parts) {
  std::uint64_t sum = 0;
  for (const BufferPart& part : parts) sum = checked_sum(name(part.category), {sum, part.bytes});
  return sum;
}

std::string describe(std::span<const BufferPart> parts) {
  std::string text;
  for (const BufferPart& part : parts) {
    text += fmt::format("{}{} bytes for {}", text.empty() ? "" : " and ", part.bytes,
                        name(part.category));
  }
  return text;
}

Buffer::Buffer(Ledger& ledger, std::span<const BufferPart> parts, std::byte* data, Release release)
    : data_(data, std::move(release)), bytes_(initrt::bytes_of(parts)) {
  for (const BufferPart& part : parts) entries_.emplace_back(ledger, part.category, part.bytes);
}

Buffer::Buffer(Buffer&& other) noexcept
    : entries_(std::exchange(other.entries_, {})),
      data_(std::move(other.data_)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  Buffer old(std::move(other));  // released here, not when `other` goes
  std::swap(entries_, old.entries_);
  std::swap(data_, old.data_);
  std::swap(bytes_, old.bytes_);
  return *this;
}

}  // namespace initrt

// A block's dynamic shared memory: bounds that AddressSanitizer knows, and contents that no kernel
// could have wanted.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "poison.h"

namespace cuda_emulator {

class SharedMemory {
 public:
  ~SharedMemory() { forget(); }
  SharedMemory() = default;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  void resize(std::size_t bytes) {
    if (bytes > capacity_) {
      forget();
      capacity_ = (bytes + kAlignment - 1) / kAlignment * kAlignment;
      memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, capacity_)));
    }
    bytes_ = bytes;
    if (memory_ == nullptr) return;
    allow(memory_.get(), bytes);
    forbid(memory_.get() + bytes, capacity_ - bytes);
  }

  void fill() {
    if (bytes_ > 0) std::memset(memory_.get(), kPoison, bytes_);
  }

  [[nodiscard]] void* get() const { return memory_.get(); }

 private:
  static constexpr std::size_t kAlignment = 1024;
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  void forget() {
    if (memory_ != nullptr) allow(memory_.get(), capacity_);
  }

  std::unique_ptr<std::byte, Free> memory_;
  std::size_t capacity_ = 0, bytes_ = 0;
};

}  // namespace cuda_emulator

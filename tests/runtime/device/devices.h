// Every device that this program can run on, for tests of what all of them must do: the CPU's by
// instruction set, and CUDA's, which the CUDA emulator or a GPU runs.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#if __has_include("cuda_emulator/control.h")
#include "cuda_emulator/control.h"
#define INITRT_ON_CUDA_EMULATOR
#endif
#include "runtime/device/cuda/gpus.h"
#include "runtime/device/ledger.h"
#include "tests/runtime/device/cpu_support.h"

namespace initrt::test {

struct DeviceKind {
  std::string name;
  /// @param threads that compute, where that is to be chosen
  std::function<std::unique_ptr<Device>(unsigned threads)> make;
};
inline void PrintTo(const DeviceKind& kind, std::ostream* out) { *out << kind.name; }

inline std::vector<DeviceKind> all_devices() {
  std::vector<DeviceKind> kinds;
  for (const InstructionSet set : supported_sets()) {
    kinds.push_back({"cpu_" + std::string(name(set)),
                     [set](unsigned threads) { return make_cpu_device(set, threads); }});
  }
  kinds.push_back({"cuda", [](unsigned) { return cuda::make_device(0); }});
  return kinds;
}

/// Values in a device's memory between guards that nothing may write to.
template <class T>
class Placed {
 public:
  [[nodiscard]] T* get() const { return reinterpret_cast<T*>(memory_.data() + before_); }

 private:
  friend class OnDevice;
  Buffer memory_;
  std::size_t before_ = 0;           // bytes
  std::vector<std::byte> at_first_;  // all of the memory
  std::size_t count_ = 0, room_ = 0;
};

/// A device with the scratch that its ops need, and what tests place in its memory.
class OnDevice {
 public:
  explicit OnDevice(std::unique_ptr<Device> device) : device_(std::move(device)) {
    make_scratch(DType::F32, 512, 64);
  }

  Device* operator->() const { return device_.get(); }
  [[nodiscard]] Device& operator*() const { return *device_; }

  /// Scratch for ops of up to so many rows, with products of inputs of so many columns.
  void make_scratch(DType dtype, std::uint64_t rows, std::uint64_t columns,
                    WeightFormats formats = {}) {
    const std::uint64_t most = std::max(rows, rows_);
    const DeviceNeeds needs = device_->needs({dtype, most, columns, formats});
    if (most == rows_ && needs.scratch_bytes <= scratch_.bytes()) return;
    rows_ = most;
    device_->synchronize();
    scratch_ = allocate(*device_, ledger_, MemoryCategory::Scratch, needs.scratch_bytes);
    pinned_ = device_->allocate_host(ledger_, MemoryCategory::Pinned, needs.pinned_bytes);
    device_->set_scratch(scratch_.span(), pinned_.span(), rows_);
    row_tile_ = needs.row_tile;
  }

  /// @param misaligned bytes by which they miss the alignment of 256
  /// @param room values behind them that may be written to
  template <class T>
  Placed<T> put(const std::vector<T>& values, std::size_t misaligned = 0, std::size_t room = 0) {
    Placed<T> placed;
    placed.before_ = kGuard + misaligned;
    placed.count_ = values.size();
    placed.room_ = room;
    const std::size_t bytes = (values.size() + room) * sizeof(T);
    placed.at_first_.assign(placed.before_ + bytes + kGuard, kFill);
    if (!values.empty()) {
      std::memcpy(placed.at_first_.data() + placed.before_, values.data(),
                  values.size() * sizeof(T));
    }
    placed.memory_ = allocate(*device_, ledger_, MemoryCategory::Scratch, placed.at_first_.size());
    device_->write(placed.at_first_, placed.memory_.data());
    return placed;
  }

  /// [rows, columns] of undefined contents, with room up to the next multiple of the row tile.
  Placed<float> put_rows(std::size_t rows, std::size_t columns) {
    return put(std::vector<float>(rows * columns), 0,
               ((rows + row_tile_ - 1) / row_tile_ * row_tile_ - rows) * columns);
  }
  /// These rows, with such room.
  Placed<float> put_rows(const std::vector<float>& values, std::size_t columns) {
    const std::size_t rows = values.size() / columns;
    return put(values, 0, ((rows + row_tile_ - 1) / row_tile_ * row_tile_ - rows) * columns);
  }

  /// What is there once the device has done what has been asked for. The guards are checked.
  template <class T>
  std::vector<T> get(const Placed<T>& placed) {
    const Buffer host =
        device_->allocate_host(ledger_, MemoryCategory::Pinned, placed.at_first_.size());
    device_->read(placed.memory_.data(), host.span());
    device_->synchronize();
    std::vector<T> values(placed.count_);
    if (!values.empty()) {
      std::memcpy(values.data(), host.data() + placed.before_, values.size() * sizeof(T));
    }
    const auto same = [&](std::size_t begin, std::size_t end) {
      return std::equal(host.data() + begin, host.data() + end, placed.at_first_.data() + begin);
    };
    const std::size_t behind = placed.before_ + (placed.count_ + placed.room_) * sizeof(T);
    EXPECT_TRUE(same(0, placed.before_) && same(behind, placed.at_first_.size()))
        << "written outside of the output";
    return values;
  }

 private:
  static constexpr std::size_t kGuard = 256;
  static constexpr std::byte kFill{0xff};

  Ledger ledger_;
  const std::unique_ptr<Device> device_;
  Buffer scratch_, pinned_;
  std::uint64_t rows_ = 0, row_tile_ = 1;
};

/// A parameter's rows in blocks that lie apart, as a unit cut among ranks has them.
struct BlocksOfRows {
  /// @param block rows of each, but for the last
  BlocksOfRows(OnDevice& device, const std::vector<std::byte>& dense, std::size_t row_bytes,
               std::size_t block) {
    const std::size_t rows = dense.size() / row_bytes;
    const std::size_t stride = (block * row_bytes + 511) / 256 * 256;
    std::vector<std::byte> apart((rows + block - 1) / block * stride, std::byte{0xff});
    for (std::size_t row = 0; row < rows; ++row) {
      std::memcpy(apart.data() + row / block * stride + row % block * row_bytes,
                  dense.data() + row * row_bytes, row_bytes);
    }
    placed = device.put(apart);
    blocks = {placed.get(), block, stride};
  }

  Placed<std::byte> placed;
  RowBlocks blocks;
};

/// A test of every device.
class DeviceTest : public testing::TestWithParam<DeviceKind>, protected Random {
 protected:
#ifdef INITRT_ON_CUDA_EMULATOR
  void SetUp() override { cuda_emulator::reset(); }
#endif

  /// @param threads of a device that has any
  static OnDevice device(unsigned threads = 2) { return OnDevice(GetParam().make(threads)); }
};

inline std::string device_name(const testing::TestParamInfo<DeviceKind>& kind) {
  return kind.param.name;
}

}  // namespace initrt::test

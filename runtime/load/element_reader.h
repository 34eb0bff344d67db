// Elements of a checkpoint's tensors in any order, converted: what commands read that work through
// a checkpoint tensor by tensor.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "runtime/device/host_memory.h"
#include "runtime/storage/file_reader.h"
#include "sharding/checkpoint/names/names.h"

namespace initrt {

/// Memory stays at one block, and what is given for the elements. Not thread-safe.
class ElementReader {
 public:
  /// @param catalog must outlive this
  /// @param on_read called before each read of a file, since much may be read; may be empty
  /// @throws Error where a file cannot be opened or has changed
  explicit ElementReader(const Catalog& catalog, std::function<void()> on_read = {});

  /// How many of a tensor's elements to read at once, as `to`: 8 MiB of them, which need not be
  /// held for long; four times that where a file has the columns one after the other, since each
  /// read of some rows then goes through all of them. Whole rows of what is stored quantized, and
  /// of its columns what is of one run, or an even part of that, so that none is read twice.
  [[nodiscard]] std::uint64_t elements_at_once(const Binding& binding, DType to) const;

  /// Writes canonical elements [begin, end) of a tensor to `out`, which has room for them.
  /// @throws Error where they cannot be read or converted to `to`
  void read(const Tensor& tensor, const Binding& binding, std::uint64_t begin, std::uint64_t end,
            DType to, std::span<std::byte> out);

 private:
  void read_quantized(const Tensor& tensor, const Binding& binding, std::uint64_t begin,
                      std::uint64_t end, DType to, std::span<std::byte> out);
  struct AsStored;
  struct PartOfRun;
  void make_rows(const AsStored& weight, std::uint64_t first, std::uint64_t rows, DType to,
                 std::byte* out);
  void read_rows(const AsStored& weight, const PartOfRun& part, DType to);
  void read_columns(const AsStored& weight, const PartOfRun& part, DType to);

  const Catalog& catalog_;
  const std::function<void()> on_read_;
  Ledger ledger_;
  Buffer block_;
  // Of quantized weights: rows, where not all of them are asked for, and those as they are stored,
  // where it is some of them or their columns that are asked for.
  std::vector<std::byte> rows_, stored_rows_;
  ReadStatistics statistics_;
  std::vector<std::unique_ptr<FileReader>> files_;
};

}  // namespace initrt

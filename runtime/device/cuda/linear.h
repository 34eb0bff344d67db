// Matrix products by cuBLASLt, whose results do not depend on how many rows there are: every
// product is of blocks of kRowTile rows, by the one algorithm that was chosen for such a block,
// without splitting sums. Several blocks at once are a batch, where that has the same bits:
// cuBLASLt does not promise it, so it is tried for each shape (batch_check.h).
#pragma once

#include <cublasLt.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "runtime/device/cuda/handles.h"
#include "runtime/device/ops.h"

namespace initrt::cuda {

/// What cuBLASLt tells of an algorithm, for people: "id 21, tile 20, stages 8, ...".
[[nodiscard]] std::string describe(const cublasLtMatmulAlgo_t& algorithm);

class Linear {
 public:
  /// @param tf32, note, note_own as in DeviceOptions
  Linear(bool tf32, std::function<void(const std::string&)> note,
         std::function<void(const std::string&)> note_own);

  /// The most blocks of any product to come; 1 at first.
  void set_most_tiles(std::uint64_t tiles) {
    if (tiles > most_tiles_) plans_.clear();  // of which batches more has to be known
    most_tiles_ = tiles;
  }

  /// out[r, o] = sum_k in[r, k] * weight[o, k] for `tiles` blocks of kRowTile rows.
  /// @param in [tiles * kRowTile, in_columns] in the weights' dtype
  /// @param in_stride elements from one row of `in` to the next
  /// @param weights dense; the algorithm is chosen by their whole_columns, so that it does not go
  ///        by how many ranks share the matrix
  /// @param out rows `out_stride` elements apart
  /// @param workspace kWorkspaceBytes, used by nothing else on `stream` at the time
  /// @throws Error where cuBLASLt has no algorithm for the shape, naming it
  void run(cudaStream_t stream, const void* in, std::uint64_t in_stride,
           const LinearWeights& weights, float* out, std::uint64_t tiles, std::uint64_t out_stride,
           std::span<std::byte> workspace);

 private:
  template <auto Destroy, class Handle>
  using Owner = std::unique_ptr<std::remove_pointer_t<Handle>, HandleDeleter<Destroy>>;

  /// What an algorithm is chosen by: nothing that goes by rows, and only out_columns by ranks.
  struct Shape {
    DType dtype;
    std::uint64_t in_columns, in_stride, whole_columns, out_columns, out_stride;
    std::uint32_t weight_alignment, in_alignment, out_alignment;  ///< bytes
    auto operator<=>(const Shape&) const = default;
  };

  struct Plan {
    Owner<cublasLtMatmulDescDestroy, cublasLtMatmulDesc_t> operation;
    Owner<cublasLtMatrixLayoutDestroy, cublasLtMatrixLayout_t> weight, in, out;
    cublasLtMatmulAlgo_t algorithm{};
    std::uint64_t tiles_at_once = 1;  ///< more than one where the algorithm takes batches
  };

  [[nodiscard]] Plan make_plan(const Shape& shape, cudaStream_t stream,
                               std::span<std::byte> workspace) const;
  void choose_algorithm(const Shape& shape, Plan& plan) const;
  /// How many blocks at once the plan is to take: as many as were seen to have the bits of each by
  /// itself, or one, which is told.
  [[nodiscard]] std::uint64_t tiles_at_once(const Shape& shape, const Plan& plan,
                                            cudaStream_t stream,
                                            std::span<std::byte> workspace) const;
  [[nodiscard]] bool takes_batches(const Shape& shape, const Plan& plan, std::uint64_t tiles) const;
  void tell(const std::function<void(const std::string&)>& note, const Shape& shape,
            const Plan& plan, std::string_view why) const;
  /// One call of cuBLASLt, of `tiles` blocks.
  void multiply(const Shape& shape, const Plan& plan, cudaStream_t stream, const std::byte* in,
                const std::byte* weight, float* out, std::uint64_t tiles,
                std::span<std::byte> workspace) const;

  const bool tf32_;
  const std::function<void(const std::string&)> note_, note_own_;
  std::uint64_t most_tiles_ = 1;
  Owner<cublasLtDestroy, cublasLtHandle_t> handle_;
  std::map<Shape, Plan> plans_;
};

}  // namespace initrt::cuda

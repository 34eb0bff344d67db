#include "runtime/device/cuda/linear.h"

#include <algorithm>
#include <array>
#include <bit>

#include "runtime/device/cuda/batch_check.h"
#include "runtime/device/cuda/needs.h"
#include "sharding/error.h"

namespace initrt::cuda {
namespace {

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    fail("cuda: cublasLt: {}: {}", what, cublasLtGetStatusString(status));
  }
}

cudaDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::F32:
      return CUDA_R_32F;
    case DType::BF16:
      return CUDA_R_16BF;
    case DType::F16:
      return CUDA_R_16F;
    default:
      fail("cuda linear: dtype {} is not supported, expected F32, BF16 or F16", name(dtype));
  }
}

/// Of an address, and of all that lie steps of so many bytes apart from it, as far as it matters:
/// up to the widest access of a thread.
std::uint32_t alignment_of(const void* address, std::uint64_t step = 0) {
  const std::uint64_t bits = reinterpret_cast<std::uintptr_t>(address) | step | 16u;
  return 1u << std::countr_zero(bits);
}

template <class Value>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute, Value value) {
  check(cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value),
        "describing a product");
}

template <class Value>
void set(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, Value value) {
  check(cublasLtMatrixLayoutSetAttribute(layout, attribute, &value, sizeof value),
        "describing a matrix");
}

template <class Value>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
         Value value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
        "stating a preference");
}

cublasLtMatrixLayout_t make_layout(cudaDataType_t type, std::uint64_t rows, std::uint64_t columns,
                                   std::uint64_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, type, rows, columns, static_cast<std::int64_t>(stride)),
        "describing a matrix");
  return layout;
}

template <class Value>
Value attribute_of(const cublasLtMatmulAlgo_t& algorithm,
                   cublasLtMatmulAlgoConfigAttributes_t attribute) {
  Value value{};
  std::size_t written = 0;
  check(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, sizeof value, &written),
        "asking what an algorithm is");
  return value;
}

/// Whether each sum is made by one block of threads, from its first term to its last, as far as
/// cuBLASLt tells.
bool sums_are_whole(const cublasLtMatmulAlgo_t& algorithm) {
  const auto splits = attribute_of<std::int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
  return (splits == 0 || splits == 1) &&
         attribute_of<std::uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) ==
             CUBLASLT_REDUCTION_SCHEME_NONE;
}

/// `count` blocks of rows, and the same weights for each: a step of 0.
struct Blocks {
  std::uint64_t count, in_step, out_step;  ///< steps in elements

  void describe(cublasLtMatrixLayout_t weight, cublasLtMatrixLayout_t in,
                cublasLtMatrixLayout_t out) const {
    for (const auto& [layout, step] :
         {std::pair{weight, std::uint64_t{0}}, {in, in_step}, {out, out_step}}) {
      set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<std::int32_t>(count));
      set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, static_cast<std::int64_t>(step));
    }
  }
};

}  // namespace

std::string describe(const cublasLtMatmulAlgo_t& algorithm) {
  const auto whole = [&](cublasLtMatmulAlgoConfigAttributes_t attribute) {
    return attribute_of<std::uint32_t>(algorithm, attribute);
  };
  const auto half = [&](cublasLtMatmulAlgoConfigAttributes_t attribute) {
    return attribute_of<std::uint16_t>(algorithm, attribute);
  };
  return fmt::format(
      "id {}, tile {}, stages {}, inner shape {}, cluster shape {}, custom option {}, swizzling "
      "{}, "
      "split {}, reduction {}",
      attribute_of<std::int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_ID),
      whole(CUBLASLT_ALGO_CONFIG_TILE_ID), whole(CUBLASLT_ALGO_CONFIG_STAGES_ID),
      half(CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID), half(CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID),
      whole(CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION), whole(CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING),
      attribute_of<std::int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM),
      whole(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME));
}

Linear::Linear(bool tf32, std::function<void(const std::string&)> note,
               std::function<void(const std::string&)> note_own)
    : tf32_(tf32), note_(std::move(note)), note_own_(std::move(note_own)) {
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "starting");
  handle_.reset(handle);
}

// cuBLAS's matrices are column-major: the row-major [out, in] weights are an [in, out] matrix,
// which is transposed; inputs are [in, rows], and outputs [out, rows].
Linear::Plan Linear::make_plan(const Shape& shape, cudaStream_t stream,
                               std::span<std::byte> workspace) const {
  const cudaDataType_t type = data_type(shape.dtype);
  Plan plan;
  cublasLtMatmulDesc_t operation = nullptr;
  const cublasComputeType_t compute =
      tf32_ && shape.dtype == DType::F32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  check(cublasLtMatmulDescCreate(&operation, compute, CUDA_R_32F), "describing a product");
  plan.operation.reset(operation);
  set(operation, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  const auto describe = [&](std::uint64_t out_columns, std::uint64_t out_stride) {
    plan.weight.reset(make_layout(type, shape.in_columns, out_columns, shape.in_columns));
    plan.out.reset(make_layout(CUDA_R_32F, out_columns, kRowTile, out_stride));
  };
  plan.in.reset(make_layout(type, shape.in_columns, kRowTile, shape.in_stride));
  describe(shape.whole_columns, std::max(shape.whole_columns, shape.out_stride));
  choose_algorithm(shape, plan);
  if (shape.out_columns != shape.whole_columns) {
    describe(shape.out_columns, shape.out_stride);
    if (!takes_batches(shape, plan, 1)) {
      tell(note_, shape, plan, "is for the whole matrix and does not take a part of it");
      choose_algorithm(shape, plan);
    }
  }
  if (most_tiles_ > 1) plan.tiles_at_once = tiles_at_once(shape, plan, stream, workspace);
  return plan;
}

std::uint64_t Linear::tiles_at_once(const Shape& shape, const Plan& plan, cudaStream_t stream,
                                    std::span<std::byte> workspace) const {
  const BatchShape batches{shape.dtype, shape.in_columns * shape.out_columns,
                           kRowTile * shape.in_stride, kRowTile * shape.out_stride, most_tiles_};
  const std::uint64_t most = blocks_to_try(batches);
  if (!takes_batches(shape, plan, most)) {
    tell(note_, shape, plan, "does not take several at once");
    return 1;
  }
  const BatchTrial found =
      try_batches(stream, batches, [&](const BatchOperands& at, std::uint64_t tiles) {
        multiply(shape, plan, stream, at.in, at.weight, at.out, tiles, workspace);
      });
  switch (found) {
    case BatchTrial::Same:
      return most;
    case BatchTrial::Differs:
      tell(note_, shape, plan, "does not have the same bits for several at once");
      break;
    case BatchTrial::NoMemory:
      tell(note_own_, shape, plan,
           "could not be tried with several at once, for want of this GPU's memory");
      break;
  }
  return 1;
}

void Linear::tell(const std::function<void(const std::string&)>& note, const Shape& shape,
                  const Plan& plan, std::string_view why) const {
  if (!note) return;
  note(fmt::format(
      "products with a {} matrix [{}, {}] take one call for each {} rows: the algorithm ({}) {}",
      name(shape.dtype), shape.out_columns, shape.in_columns, kRowTile, describe(plan.algorithm),
      why));
}

void Linear::choose_algorithm(const Shape& shape, Plan& plan) const {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "stating a preference");
  const Owner<cublasLtMatmulPreferenceDestroy, cublasLtMatmulPreference_t> preference(made);
  set(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
  set(made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      std::uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, shape.weight_alignment);
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, shape.in_alignment);
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, shape.out_alignment);
  set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, shape.out_alignment);

  std::array<cublasLtMatmulHeuristicResult_t, 16> found{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle_.get(), plan.operation.get(), plan.weight.get(), plan.in.get(), plan.out.get(),
      plan.out.get(), made, static_cast<int>(found.size()), found.data(), &count);
  if (status != CUBLAS_STATUS_NOT_SUPPORTED) check(status, "looking for an algorithm");
  const auto end = found.begin() + count;
  const auto chosen = std::find_if(found.begin(), end, [](const auto& result) {
    return result.state == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= kWorkspaceBytes &&
           sums_are_whole(result.algo);
  });
  if (chosen == end) {
    fail("cuda: cublasLt has no algorithm that keeps sums whole for a {} matrix [{}, {}]",
         name(shape.dtype), shape.out_columns, shape.in_columns);
  }
  plan.algorithm = chosen->algo;
}

// Whether the algorithm that was chosen for one block takes several at once, as a batch: the most,
// for which it may want the largest workspace.
bool Linear::takes_batches(const Shape& shape, const Plan& plan, std::uint64_t tiles) const {
  const Blocks most{tiles, kRowTile * shape.in_stride, kRowTile * shape.out_stride};
  most.describe(plan.weight.get(), plan.in.get(), plan.out.get());
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status =
      cublasLtMatmulAlgoCheck(handle_.get(), plan.operation.get(), plan.weight.get(), plan.in.get(),
                              plan.out.get(), plan.out.get(), &plan.algorithm, &result);
  return status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= kWorkspaceBytes;
}

void Linear::multiply(const Shape& shape, const Plan& plan, cudaStream_t stream,
                      const std::byte* in, const std::byte* weight, float* out, std::uint64_t tiles,
                      std::span<std::byte> workspace) const {
  const Blocks blocks{tiles, kRowTile * shape.in_stride, kRowTile * shape.out_stride};
  blocks.describe(plan.weight.get(), plan.in.get(), plan.out.get());
  const float one = 1.0f, zero = 0.0f;
  check(cublasLtMatmul(handle_.get(), plan.operation.get(), &one, weight, plan.weight.get(), in,
                       plan.in.get(), &zero, out, plan.out.get(), out, plan.out.get(),
                       &plan.algorithm, workspace.data(), workspace.size(), stream),
        "a product");
}

void Linear::run(cudaStream_t stream, const void* in, std::uint64_t in_stride,
                 const LinearWeights& weights, float* out, std::uint64_t tiles,
                 std::uint64_t out_stride, std::span<std::byte> workspace) {
  const std::uint64_t in_row = bytes_of(weights.dtype, in_stride);
  const std::uint64_t in_step = kRowTile * in_row;
  const Shape shape{weights.dtype,
                    weights.in_columns,
                    in_stride,
                    weights.whole_columns,
                    weights.out_columns,
                    out_stride,
                    alignment_of(weights.weight.base),
                    alignment_of(in, in_row),
                    alignment_of(out, out_stride * sizeof(float))};
  auto found = plans_.find(shape);
  if (found == plans_.end()) {
    found = plans_.emplace(shape, make_plan(shape, stream, workspace)).first;
  }
  const Plan& plan = found->second;

  const auto* from = static_cast<const std::byte*>(in);
  while (tiles > 0) {
    const std::uint64_t some = std::min(tiles, plan.tiles_at_once);
    multiply(shape, plan, stream, from, weights.weight.base, out, some, workspace);
    from += some * in_step;
    out += some * kRowTile * out_stride;
    tiles -= some;
  }
}

}  // namespace initrt::cuda

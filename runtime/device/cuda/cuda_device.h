// The Device of the CUDA backend: one GPU, one stream for all that is asked for.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

#include "runtime/device/cuda/event_times.h"
#include "runtime/device/cuda/gpus.h"
#include "runtime/device/cuda/handles.h"
#include "runtime/device/cuda/linear.h"
#include "runtime/device/cuda/needs.h"
#include "runtime/device/cuda/pinned_ring.h"
#include "runtime/device/cuda/recorded_ops.h"

namespace initrt::cuda {

class CudaDevice final : public Device {
 public:
  CudaDevice(unsigned gpu, const DeviceOptions& options);

  [[nodiscard]] cudaStream_t stream() const { return stream_.get(); }
  /// Makes the GPU the calling thread's.
  void use() const;
  [[nodiscard]] GpuMemory memory() const;

  std::string name() const override { return name_; }
  DeviceNeeds needs(const ProductSizes& products) const override { return cuda::needs(products); }
  bool is_discrete() const override { return true; }

  Buffer allocate(Ledger& ledger, std::span<const BufferPart> parts) override;
  Buffer allocate_host(Ledger& ledger, MemoryCategory category, std::uint64_t bytes) override;
  void write(std::span<const std::byte> from, std::byte* to) override;
  void upload(std::span<const std::byte> from, std::byte* to) override;
  void store(std::span<const std::byte> from, std::byte* to) override;
  void read(const std::byte* from, std::span<std::byte> to) override;
  std::shared_ptr<Download> start_download(const std::byte* from, std::span<std::byte> to) override;
  void copy(std::span<const CopyPiece> pieces) override;
  FenceHandle fence() override { return std::make_shared<CudaFence>(stream()); }
  void after(const FenceHandle& fence) override { run_after(stream(), fence); }
  StampHandle stamp() override { return stamp(stream()); }
  /// A point of another of the device's streams.
  [[nodiscard]] StampHandle stamp(cudaStream_t stream);
  void synchronize() override;
  void set_watch(std::function<void()> watch) override { watch_ = std::move(watch); }
  void repeat(std::uint64_t key, const std::function<void()>& ops) override {
    recorded_.run(key, stream(), ops);
  }
  bool record(std::uint64_t key, const std::function<void()>& ops) override {
    return recorded_.record(key, stream(), ops);
  }
  void replay(std::uint64_t key) override { recorded_.replay(key, stream()); }
  /// Whether what is asked for is recorded, by repeat() or record().
  [[nodiscard]] bool is_recording() const { return recorded_.is_capturing(); }
  /// Gives the recordings back; those by record() are gone.
  void forget_recorded() { recorded_.forget(); }
  std::vector<std::unique_ptr<Uploader>> make_uploaders(Ledger& ledger,
                                                        const StagingRing& ring) override;
  void set_scratch(std::span<std::byte> scratch, std::span<std::byte> pinned,
                   std::uint64_t rows) override;
  void set_rows(std::span<const RowInfo> rows, std::span<const std::uint32_t> kept) override;

  void to_float(const std::byte* in, DType dtype, float* out, std::uint64_t elements) override;
  void decode_rows(const std::byte* in, WeightFormat format, DType dtype, float* out,
                   std::uint64_t elements) override;
  void norm(NormKind kind, const float* in, const NormWeights& weights, float epsilon, float* out,
            std::uint64_t rows, std::uint64_t columns) override;
  void linear(const float* in, const LinearWeights& weights, float* out, std::uint64_t rows,
              std::uint64_t out_stride) override;
  void linear_of_each(const float* in, std::span<const LinearProduct> products,
                      std::uint64_t rows) override;
  void rotary(float* x, std::uint64_t rows, std::uint32_t heads, std::uint32_t head_size,
              std::uint32_t dimensions, const float* table) override;
  void store_kv(const float* k, const float* v, const AttentionShape& shape,
                const KvView& cache) override;
  void attention(const float* q, const AttentionShape& shape, const KvView& cache,
                 float* out) override;
  void convolve(float* x, const ConvolutionWeights& weights, std::uint64_t columns,
                float* states) override;
  void delta_rule(const DeltaRows& rows, const DeltaShape& shape, float* states) override;
  void state_space(const StateSpaceRows& rows, const StateSpaceShape& shape,
                   float* states) override;
  void gate(const Gating& gating, const float* gate, const float* up, float* out,
            std::uint64_t elements) override;
  void gate_rows(const float* gate, float* x, std::uint64_t rows, std::uint64_t columns) override;
  void add(const float* x, float* into, std::uint64_t elements) override;
  void scale(float* x, float factor, std::uint64_t elements) override;
  void scale_by(const RowBlocks& factor, float* x, std::uint64_t elements) override;
  void softcap(float* x, float cap, std::uint64_t rows, std::uint64_t columns,
               std::uint64_t stride) override;
  void add_positions(const RowBlocks& table, DType dtype, float* into,
                     std::uint64_t columns) override;
  void route(const float* scores, std::uint64_t rows, const Routing& routing,
             const RouteVectors& vectors, std::span<ExpertChoice> out) override;
  void keep_rows(float* x, std::uint64_t columns) override;
  void take_rows(const float* in, std::span<const std::uint32_t> rows,
                 std::span<const float> weights, std::uint64_t columns, float* out) override;
  void add_rows(const float* x, std::span<const std::uint32_t> rows, std::span<const float> weights,
                std::uint64_t columns, float* into) override;
  bool samples() const override { return true; }
  void sample(const float* logits, std::uint64_t rows, std::uint64_t vocabulary,
              const SamplerOptions& options, std::span<const double> draws,
              std::span<Sampled> out) override;

 private:
  /// A copy of `values` in pinned memory, which kernels read where it is.
  template <class T>
  const T* pinned(std::span<const T> values) {
    const std::span<std::byte> memory = ring_.take(values.size_bytes());
    std::memcpy(memory.data(), values.data(), values.size_bytes());
    return reinterpret_cast<const T*>(memory.data());
  }
  /// Where the ring has them; `weights` may be null.
  struct WeightedRows {
    const std::uint32_t* rows;
    const float* weights;
  };
  WeightedRows pinned(std::span<const std::uint32_t> rows, std::span<const float> weights);
  template <class T>
  [[nodiscard]] T* scratch(std::uint64_t offset) const {
    return reinterpret_cast<T*>(scratch_.data() + offset);
  }
  [[nodiscard]] const RowInfo* rows() const { return scratch<RowInfo>(division_.rows); }
  /// Waits with an eye on the watch.
  void wait_for(cudaEvent_t event) const;
  /// How a product takes its inputs.
  struct InputForm {
    enum class Kind : std::uint8_t { Dense, LaneOrder, Bytes };
    Kind kind = Kind::Dense;
    DType dtype = DType::F32;
    float threshold = 0.0f;  ///< of Bytes

    bool operator==(const InputForm&) const = default;
  };
  [[nodiscard]] static InputForm input_form(const LinearWeights& weights);
  /// Where they are, or in scratch.
  const std::byte* product_inputs(const float* in, const InputForm& form, std::uint64_t rows,
                                  std::uint64_t columns);
  void multiply_plain(const LinearProduct& product, const std::byte* inputs, std::uint64_t rows);
  void check_rows(std::uint64_t rows, const char* op) const;
  void check_cache(const KvView& cache, const char* op) const;

  const int gpu_;
  const bool direct_;  ///< whether uploaders look for GPUDirect Storage
  std::string name_;
  std::function<void()> watch_;
  std::uint64_t used_at_start_ = 0;
  Stream stream_;
  Stream downloads_, stores_;
  Stream clock_stream_;
  ClockBaseHandle clock_;
  Event done_, stored_;
  std::optional<Linear> linear_;  // made once the GPU is this thread's
  RecordedOps recorded_;
  PinnedRing ring_;
  std::span<std::byte> scratch_;
  Scratch division_;
  std::uint64_t most_rows_ = 0;
  // Of set_rows(), in scratch_: how many rows and kept ones, and how long a context they need.
  std::uint64_t rows_ = 0, kept_ = 0, context_ = 0;
};

}  // namespace initrt::cuda

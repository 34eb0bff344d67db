// All of a device: its memory in stream order, the ops of a forward pass, uploaders and, on some,
// the choice of tokens. cpu/ and cuda/ implement it; nothing above it knows which one runs. What
// needs one of these alone takes that interface.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/device/memory.h"
#include "runtime/device/ops.h"
#include "runtime/device/sampler.h"
#include "runtime/device/uploader.h"
#include "sharding/memory_plan.h"

namespace initrt {

/// One thread uses it; uploaders, downloads and store() may be used beside it.
class Device : public DeviceMemory, public DeviceOps, public DeviceSampler, public UploaderFactory {
 public:
  /// E.g. "cpu avx512_bf16, 2 threads".
  [[nodiscard]] virtual std::string name() const = 0;

  /// What planning has to know, for products of such sizes.
  /// @throws Error for weights that the device cannot compute with
  [[nodiscard]] virtual DeviceNeeds needs(const ProductSizes& products) const = 0;

  // Not every device chooses tokens.
  [[nodiscard]] bool samples() const override { return false; }
  void sample(const float* logits, std::uint64_t rows, std::uint64_t vocabulary,
              const SamplerOptions& options, std::span<const double> draws,
              std::span<Sampled> out) override;
};

}  // namespace initrt

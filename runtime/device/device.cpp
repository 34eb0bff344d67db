#include "runtime/device/device.h"

#include "sharding/error.h"

namespace initrt {

void DeviceStream::replay(std::uint64_t key) { fail("no ops are recorded by the key {:x}", key); }

void Device::sample(const float* /*logits*/, std::uint64_t rows, std::uint64_t vocabulary,
                    const SamplerOptions& /*options*/, std::span<const double> /*draws*/,
                    std::span<Sampled> /*out*/) {
  fail("{} does not choose tokens: asked for those of {} rows of {} logits", name(), rows,
       vocabulary);
}

}  // namespace initrt

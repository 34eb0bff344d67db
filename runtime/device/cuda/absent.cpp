// What there is of the CUDA backend in a program that was built without.
#include "runtime/device/cuda/gpus.h"
#include "sharding/error.h"

namespace initrt::cuda {

bool is_built() { return false; }

void set_environment() {}

std::vector<Gpu> visible_gpus() { return {}; }

std::unique_ptr<Device> make_device(unsigned, const DeviceOptions&) {
  fail("this initrt was built without CUDA: build it with -DINITRT_CUDA=ON");
}

GpuMemory memory_of(const Device&) { return {}; }

}  // namespace initrt::cuda

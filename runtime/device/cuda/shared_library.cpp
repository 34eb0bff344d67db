#include "runtime/device/cuda/shared_library.h"

#include <dlfcn.h>

#include <utility>

#include "sharding/error.h"

namespace initrt::cuda {

SharedLibrary::SharedLibrary(std::string name, const char* otherwise, const char* advice)
    : name_(std::move(name)) {
  constexpr int kFlags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
  handle_ = ::dlopen(name_.c_str(), kFlags);
  if (handle_ != nullptr) return;
  const std::string why = ::dlerror();
  handle_ = ::dlopen(otherwise, kFlags);
  if (handle_ == nullptr) fail("cannot open {} ({}): {}", name_, why, advice);
}

void* SharedLibrary::find(const char* function) const {
  void* const found = ::dlsym(handle_, function);
  if (found == nullptr) fail("{} has no function {}: another version is needed", name_, function);
  return found;
}

}  // namespace initrt::cuda

#include "runtime/device/cuda/shared_library.h"

#include <dlfcn.h>

#include <utility>

#include "sharding/error.h"

namespace initrt::cuda {

SharedLibrary::SharedLibrary(std::string name, const char* otherwise) : name_(std::move(name)) {
  constexpr int kFlags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
  handle_ = ::dlopen(name_.c_str(), kFlags);
  if (handle_ != nullptr) return;
  why_ = ::dlerror();
  handle_ = ::dlopen(otherwise, kFlags);
}

SharedLibrary::SharedLibrary(std::string name, const char* otherwise, const char* advice)
    : SharedLibrary(std::move(name), otherwise) {
  if (handle_ == nullptr) fail("cannot open {} ({}): {}", name_, why_, advice);
}

std::optional<SharedLibrary> SharedLibrary::if_there(std::string name, const char* otherwise) {
  SharedLibrary library(std::move(name), otherwise);
  if (library.handle_ == nullptr) return std::nullopt;
  return library;
}

void* SharedLibrary::look_for(const char* function) const { return ::dlsym(handle_, function); }

void SharedLibrary::fail_to_find(const char* function) const {
  fail("{} has no function {}: another version is needed", name_, function);
}

}  // namespace initrt::cuda

// A libcufile for tests: reads by pread(2) and writes to the emulator's memory. Its name is the
// real library's, so that a program that is linked with it, and looks for that one, finds this one.
#include "fake_cufile.h"

#include <cuda_runtime.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>

namespace {

using fake_cufile::Counts;
using fake_cufile::Faults;

// Values of NVIDIA's CUfileOpError.
[[maybe_unused]] constexpr int kSuccess = 0, kNotInitialized = 5001, kNotSupported = 5008,
                               kInvalidValue = 5022, kAlreadyRegistered = 5023,
                               kNotRegistered = 5024, kAlreadyOpen = 5026, kMemoryLimit = 5016;

struct Status {
  int error, cuda_error;
};

struct Description {
  int type;
  union {
    int descriptor;
    void* pointer;
  } handle;
  const void* operations;
};

struct File {
  int descriptor;
};

class Library {
 public:
  static Library& get() {
    static Library* const instance = new Library;
    return *instance;
  }

  std::mutex mutex;
  Faults faults;
  Counts counts;
  bool staged_compatible = true, compatible = true;
  std::map<const void*, std::size_t> memory;
};

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};

}  // namespace

namespace fake_cufile {

void reset(const Faults& faults) {
  Library& library = Library::get();
  const std::lock_guard lock(library.mutex);
  library.faults = faults;
  library.counts = {};
  library.memory.clear();
  library.staged_compatible = library.compatible = true;
}

Counts counts() {
  Library& library = Library::get();
  const std::lock_guard lock(library.mutex);
  return library.counts;
}

}  // namespace fake_cufile

extern "C" {

Status cuFileDriverOpen() {
  Library& library = Library::get();
  const std::lock_guard lock(library.mutex);
  if (library.faults.driver_fails) return {kNotInitialized, 0};
  if (library.counts.drivers++ == 0) library.compatible = library.staged_compatible;
  ++library.counts.opened;
  return {kSuccess, 0};
}

Status cuFileDriverClose_v2() {
  Library& library = Library::get();
  const std::lock_guard lock(library.mutex);
  if (library.counts.drivers == 0) return {kNotInitialized, 0};
  --library.counts.drivers;
  return {kSuccess, 0};
}

#ifdef FAKE_CUFILE_OLD
// Only cufile.json could switch compatibility mode off, which this one is as if it had.
Status cuFileDriverGetProperties(void* properties) {
  Library& library = Library::get();
  const std::lock_guard lock(library.mutex);
  // After two counts and two sizes: which file systems there are, and how it is set up.
  static_cast<unsigned*>(properties)[6] = 1u << 4;
  static_cast<unsigned*>(properties)[7] = library.faults.stays_compatible ? 1u << 1 : 0;
  return {kSuccess, 0};
}
#else
Status cuFileDriverGetProperties(void*) { return {kNotInitialized, 0}; }

Status cuFileSetParameterBool(int parameter, bool value) {
  Library& library = Library::get();
  const std::lock_guard lock(library.mutex);
  if (library.counts.drivers > 0) return {kAlreadyOpen, 0};
  if (parameter != 1) return {parameter == 2 ? kSuccess : kInvalidValue, 0};
  library.staged_compatible = value || library.faults.stays_compatible;
  return {kSuccess, 0};
}

Status cuFileGetParameterBool(int parameter, bool* value) {
  Library& library = Library::get();
  const std::lock_guard lock(library.mutex);
  *value = parameter == 1 && library.compatible;
  return {kSuccess, 0};
}
#endif

Status cuFileHandleRegister(void** handle, Description* description) {
  Library& library = Library::get();
  const std::lock_guard lock(library.mutex);
  if (library.counts.drivers == 0) return {kNotInitialized, 0};
  if (description->type != 1 || description->operations != nullptr) return {kInvalidValue, 0};
  if (library.faults.refuses_files) return {kNotSupported, 0};
  *handle = new File{description->handle.descriptor};
  ++library.counts.files;
  return {kSuccess, 0};
}

void cuFileHandleDeregister(void* handle) {
  Library& library = Library::get();
  const std::lock_guard lock(library.mutex);
  delete static_cast<File*>(handle);
  --library.counts.files;
}

Status cuFileBufRegister(const void* memory, std::size_t bytes, int flags) {
  Library& library = Library::get();
  const std::lock_guard lock(library.mutex);
  if (library.counts.drivers == 0) return {kNotInitialized, 0};
  if (library.faults.refuses_memory) return {kMemoryLimit, 0};
  if (flags != 0) return {kInvalidValue, 0};
  if (!library.memory.emplace(memory, bytes).second) return {kAlreadyRegistered, 0};
  ++library.counts.memory;
  return {kSuccess, 0};
}

Status cuFileBufDeregister(const void* memory) {
  Library& library = Library::get();
  const std::lock_guard lock(library.mutex);
  if (library.memory.erase(memory) == 0) return {kNotRegistered, 0};
  --library.counts.memory;
  return {kSuccess, 0};
}

ssize_t cuFileRead(void* handle, void* memory, std::size_t bytes, off_t offset, off_t at) {
  constexpr std::size_t kUnit = 4096;
  Library& library = Library::get();
  std::uint64_t number = 0;
  Faults faults;
  {
    const std::lock_guard lock(library.mutex);
    const auto found = library.memory.find(memory);
    if (found == library.memory.end()) return -kNotRegistered;
    const auto first = static_cast<std::size_t>(at);
    if (first > found->second || bytes > found->second - first) return -kInvalidValue;
    if ((bytes | first | static_cast<std::size_t>(offset)) % kUnit != 0) ++library.counts.unaligned;
    number = library.counts.reads++;
    faults = library.faults;
  }
  if (number == faults.failing_read) {
    errno = EIO;
    return -1;
  }
  const std::size_t rounded = (bytes + kUnit - 1) / kUnit * kUnit;
  const std::unique_ptr<std::byte, Free> content(
      static_cast<std::byte*>(std::aligned_alloc(kUnit, rounded)));
  ssize_t got = ::pread(static_cast<File*>(handle)->descriptor, content.get(), bytes, offset);
  if (got < 0) return -1;
  if (number == faults.short_read) got = std::min<ssize_t>(got, 1);
  if (number == faults.wrong_read) {
    for (ssize_t i = 0; i < got; ++i) content.get()[i] ^= std::byte{1};
  }
  const auto brought = static_cast<std::size_t>(got);
  if (cudaMemcpy(static_cast<std::byte*>(memory) + at, content.get(), brought,
                 cudaMemcpyHostToDevice) != cudaSuccess) {
    return -kInvalidValue;
  }
  const std::lock_guard lock(library.mutex);
  library.counts.bytes += brought;
  return got;
}

}  // extern "C"

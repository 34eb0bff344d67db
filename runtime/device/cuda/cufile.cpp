#include "runtime/device/cuda/cufile.h"

#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "runtime/device/cuda/shared_library.h"

namespace initrt::cuda {
namespace {

// From NVIDIA's cuFile API reference: types as they go over the library's boundary.

/// CUfileError_t: both 0 on success.
struct Status {
  int error = 0;       ///< CUfileOpError
  int cuda_error = 0;  ///< CUresult

  [[nodiscard]] bool good() const { return error == 0; }
};
static_assert(sizeof(Status) == 8);

/// CUfileDescr_t.
struct Description {
  int type = 1;  ///< CU_FILE_HANDLE_TYPE_OPAQUE_FD
  union {
    int descriptor;
    void* pointer;
  } handle = {};
  const void* operations = nullptr;  ///< of file systems in user space
};
static_assert(sizeof(Description) == 24);

/// CUfileDrvProps_t, which has grown over the versions: with room for more.
struct Properties {
  unsigned major = 0, minor = 0;
  std::size_t poll_bytes = 0, most_bytes = 0;
  unsigned file_systems = 0;
  unsigned control = 0;
  std::array<unsigned, 64> others{};
};

/// CU_FILE_ALLOW_COMPAT_MODE, a bit of Properties::control.
constexpr unsigned kCompatibilityBit = 1u << 1;

/// CUFILE_PARAM_PROPERTIES_ALLOW_COMPAT_MODE and CUFILE_PARAM_FORCE_COMPAT_MODE.
constexpr std::array kCompatibilityParameters = {1, 2};

template <class Function>
bool find(const SharedLibrary& library, const char* name, Function*& function) {
  function = library.find<Function>(name);
  return function != nullptr;
}

/// Whether the machine has been set up for it. Where it has not, the library would print lines of
/// its own and leave a log file in the working directory, only to say so.
bool worth_a_try() {
  return ::access("/proc/driver/nvidia-fs", F_OK) == 0 ||
         std::getenv("CUFILE_USE_PCIP2PDMA") != nullptr;  // which needs no nvidia-fs
}

}  // namespace

struct CuFileApi {
  Status (*open_driver)() = nullptr;
  Status (*close_driver)() = nullptr;
  Status (*get_properties)(Properties*) = nullptr;
  Status (*register_file)(void** handle, Description*) = nullptr;
  void (*deregister_file)(void* handle) = nullptr;
  Status (*register_memory)(const void*, std::size_t bytes, int flags) = nullptr;
  Status (*deregister_memory)(const void*) = nullptr;
  ssize_t (*read)(void* handle, void* memory, std::size_t bytes, off_t offset, off_t at) = nullptr;
  Status (*set_flag)(int parameter, bool value) = nullptr;   ///< null before version 1.14
  Status (*get_flag)(int parameter, bool* value) = nullptr;  ///< likewise

  /// Null where there is no library, or one that is not known.
  static std::unique_ptr<const CuFileApi> load() {
    const auto library = SharedLibrary::if_there("libcufile.so.0", "libcufile.so");
    if (!library) return nullptr;
    auto api = std::make_unique<CuFileApi>();
    static_cast<void>(find(*library, "cuFileSetParameterBool", api->set_flag));
    static_cast<void>(find(*library, "cuFileGetParameterBool", api->get_flag));
    const bool whole = find(*library, "cuFileDriverOpen", api->open_driver) &&
                       (find(*library, "cuFileDriverClose_v2", api->close_driver) ||
                        find(*library, "cuFileDriverClose", api->close_driver)) &&
                       find(*library, "cuFileDriverGetProperties", api->get_properties) &&
                       find(*library, "cuFileHandleRegister", api->register_file) &&
                       find(*library, "cuFileHandleDeregister", api->deregister_file) &&
                       find(*library, "cuFileBufRegister", api->register_memory) &&
                       find(*library, "cuFileBufDeregister", api->deregister_memory) &&
                       find(*library, "cuFileRead", api->read);
    if (!whole) return nullptr;
    return api;
  }

  /// Of the driver, once it is open: whether what it cannot read directly is an error.
  [[nodiscard]] bool reads_directly() const {
    if (get_flag != nullptr) {
      for (const int parameter : kCompatibilityParameters) {
        bool value = true;
        if (!get_flag(parameter, &value).good() || value) return false;
      }
      return true;
    }
    Properties properties;
    return get_properties(&properties).good() && (properties.control & kCompatibilityBit) == 0;
  }

  /// Opens the driver without compatibility mode; where this cannot switch that off, it must have
  /// been by cufile.json or CUFILE_ALLOW_COMPAT_MODE.
  [[nodiscard]] bool open() const {
    if (set_flag != nullptr) {
      // Refused where the driver is open already: then what it was opened with counts.
      for (const int parameter : kCompatibilityParameters) {
        static_cast<void>(set_flag(parameter, false));
      }
    }
    if (!open_driver().good()) return false;
    if (reads_directly()) return true;
    static_cast<void>(close_driver());
    return false;
  }
};

std::unique_ptr<CuFile> CuFile::open(std::span<std::byte> memory) {
  if (memory.empty() || !worth_a_try()) return nullptr;
  std::unique_ptr<const CuFileApi> api = CuFileApi::load();
  if (!api || !api->open()) return nullptr;
  if (!api->register_memory(memory.data(), memory.size(), 0).good()) {
    static_cast<void>(api->close_driver());
    return nullptr;
  }
  return std::unique_ptr<CuFile>(new CuFile(std::move(api), memory));
}

CuFile::CuFile(std::unique_ptr<const CuFileApi> api, std::span<std::byte> memory)
    : api_(std::move(api)), memory_(memory) {}

CuFile::~CuFile() {
  for (const auto& [descriptor, file] : files_) {
    if (file.handle != nullptr) api_->deregister_file(file.handle);
  }
  static_cast<void>(api_->deregister_memory(memory_.data()));
  static_cast<void>(api_->close_driver());
}

CuFile::Use CuFile::use_of(int descriptor) {
  const std::lock_guard lock(mutex_);
  const auto [found, is_new] = files_.try_emplace(descriptor);
  File& file = found->second;
  if (!is_new) return file.use;
  Description description;
  description.handle.descriptor = descriptor;
  if (!api_->register_file(&file.handle, &description).good()) file.handle = nullptr;
  return file.handle != nullptr ? Use::Test : Use::No;
}

void CuFile::settle(int descriptor, bool works) {
  const std::lock_guard lock(mutex_);
  files_.at(descriptor).use = works ? Use::Yes : Use::No;
}

std::uint64_t CuFile::read(int descriptor, std::uint64_t offset, std::uint64_t bytes,
                           std::uint64_t at) {
  void* handle = nullptr;
  {
    const std::lock_guard lock(mutex_);
    handle = files_.at(descriptor).handle;
  }
  const ssize_t got =
      api_->read(handle, memory_.data(), bytes, static_cast<off_t>(offset), static_cast<off_t>(at));
  return got > 0 ? static_cast<std::uint64_t>(got) : 0;
}

}  // namespace initrt::cuda

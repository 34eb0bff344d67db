// A library that is opened when it is first used: the program starts without it, and what it keeps
// in memory (cuBLASLt: 94 MB, its relocations alone) is not there where nobody computes on GPUs.
#pragma once

#include <optional>
#include <string>

namespace initrt::cuda {

class SharedLibrary {
 public:
  /// @param name as the dynamic linker looks for it, e.g. "libnccl.so.2"
  /// @param otherwise the path, or other name, to try where it finds none
  /// @param advice what a person can do who has it nowhere
  /// @throws Error where there is none
  SharedLibrary(std::string name, const char* otherwise, const char* advice);

  /// The same, but nothing where there is none.
  [[nodiscard]] static std::optional<SharedLibrary> if_there(std::string name,
                                                             const char* otherwise);

  /// Null where the library has no such function.
  template <class Function>
  [[nodiscard]] Function* find(const char* function) const {
    return reinterpret_cast<Function*>(look_for(function));
  }

  /// @throws Error where the library has no such function
  template <class Function>
  [[nodiscard]] Function& get(const char* function) const {
    auto* const found = find<Function>(function);
    if (found == nullptr) fail_to_find(function);
    return *found;
  }

 private:
  SharedLibrary(std::string name, const char* otherwise);

  [[nodiscard]] void* look_for(const char* function) const;
  [[noreturn]] void fail_to_find(const char* function) const;

  std::string name_;
  void* handle_ = nullptr;  // for good: libraries of CUDA's have threads of their own
  std::string why_;         // there is none under its name
};

/// The function of this name in what `library()` returns, which is looked for once.
#define INITRT_FUNCTION_OF(library, function)                                          \
  ([]() -> decltype(function)& {                                                       \
    static decltype(function)& found = (library)().get<decltype(function)>(#function); \
    return found;                                                                      \
  }())

}  // namespace initrt::cuda

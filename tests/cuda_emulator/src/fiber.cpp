// Switching between fibers, told to AddressSanitizer. To ThreadSanitizer all fibers of a stream are
// its thread: as threads they would have a place in every vector clock, and each switch would go
// through these, hundreds of times as slow. The stacks it shows of kernels are right at their top
// alone; and since it keeps those of all fibers of a stream on one, with room for 65536 calls, 1024
// threads may be 64 calls deep.
#include "fiber.h"

#include <cstdlib>
#include <utility>

#include "poison.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>

// With this check each fiber would have a second stack, which only a fiber that returns gives back:
// tests with thousands of them took gigabytes. Variables that outlive their function are found in
// tests without the emulator. ASAN_OPTIONS still decides.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "detect_stack_use_after_return=0"; }
#endif

namespace cuda_emulator {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kStackBytes = 256 << 10;
#else
constexpr std::size_t kStackBytes = 64 << 10;
#endif

void leave([[maybe_unused]] void** save, [[maybe_unused]] const void* bottom,
           [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(save, bottom, bytes);
#endif
}

void arrive([[maybe_unused]] void* saved, [[maybe_unused]] const void** left_bottom,
            [[maybe_unused]] std::size_t* left_bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(saved, left_bottom, left_bytes);
#endif
}

boost::context::protected_fixedsize_stack stacks() {
  return boost::context::protected_fixedsize_stack(kStackBytes);
}

}  // namespace

Fiber::Fiber(std::function<void(Fiber&)> body)
    : body_(std::move(body)), stack_(stacks().allocate()) {
  bottom_ = static_cast<const char*>(stack_.sp) - stack_.size;
  bytes_ = stack_.size;
  self_ = boost::context::detail::make_fcontext(stack_.sp, stack_.size, &Fiber::enter);
}

Fiber::~Fiber() {
  allow(bottom_, bytes_);
  stacks().deallocate(stack_);
}

void Fiber::enter(boost::context::detail::transfer_t caller) {
  auto& self = *static_cast<Fiber*>(caller.data);
  self.caller_ = caller.fctx;
  arrive(nullptr, &self.from_->bottom_, &self.from_->bytes_);
  self.body_(self);
  std::abort();  // it returned
}

void Fiber::resume(Context& from) {
  from_ = &from;
  leave(&from.fake_stack_, bottom_, bytes_);
  self_ = boost::context::detail::jump_fcontext(self_, this).fctx;
  arrive(from.fake_stack_, nullptr, nullptr);
}

void Fiber::suspend() {
  leave(&fake_stack_, from_->bottom_, from_->bytes_);
  caller_ = boost::context::detail::jump_fcontext(caller_, nullptr).fctx;
  arrive(fake_stack_, &from_->bottom_, &from_->bytes_);
}

}  // namespace cuda_emulator

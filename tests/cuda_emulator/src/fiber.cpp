// Switching between fibers, told to AddressSanitizer and ThreadSanitizer.
#include "fiber.h"

#include <boost/context/protected_fixedsize_stack.hpp>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace cuda_emulator {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kStackBytes = 256 << 10;
#else
constexpr std::size_t kStackBytes = 64 << 10;
#endif

void* current_tsan_fiber() {
#if defined(__SANITIZE_THREAD__)
  return __tsan_get_current_fiber();
#else
  return nullptr;
#endif
}

void* make_tsan_fiber() {
#if defined(__SANITIZE_THREAD__)
  return __tsan_create_fiber(0);
#else
  return nullptr;
#endif
}

void switch_tsan([[maybe_unused]] void* fiber) {
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(fiber, 0);
#endif
}

/// @param save null: the stack that is left will not run again
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

/// Notes where the stack of a fiber lies.
class Stack {
 public:
  Stack(const void** bottom, std::size_t* bytes)
      : stacks_(kStackBytes), bottom_(bottom), bytes_(bytes) {}
  boost::context::stack_context allocate() {
    boost::context::stack_context stack = stacks_.allocate();
    *bottom_ = static_cast<const char*>(stack.sp) - stack.size;
    *bytes_ = stack.size;
    return stack;
  }
  void deallocate(boost::context::stack_context& stack) { stacks_.deallocate(stack); }

 private:
  boost::context::protected_fixedsize_stack stacks_;
  const void** bottom_;
  std::size_t* bytes_;
};

}  // namespace

Context::Context() : tsan_(current_tsan_fiber()) {}
Context::~Context() = default;

Fiber::Fiber(std::function<void(Fiber&)> body)
    : Context(make_tsan_fiber()), body_(std::move(body)) {
  self_ = boost::context::fiber(
      std::allocator_arg, Stack(&bottom_, &bytes_),
      [this](boost::context::fiber&& caller) { return enter(std::move(caller)); });
}

Fiber::~Fiber() {
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(tsan_);
#endif
}

boost::context::fiber Fiber::enter(boost::context::fiber&& caller) {
  arrive(nullptr, &from_->bottom_, &from_->bytes_);
  caller_ = std::move(caller);
  body_(*this);
  ended_ = true;
  leave(nullptr, from_->bottom_, from_->bytes_);
  switch_tsan(from_->tsan_);
  return std::move(caller_);
}

void Fiber::resume(Context& from) {
  from_ = &from;
  leave(&from.fake_stack_, bottom_, bytes_);
  switch_tsan(tsan_);
  self_ = std::move(self_).resume();
  arrive(from.fake_stack_, nullptr, nullptr);
}

void Fiber::suspend() {
  leave(&fake_stack_, from_->bottom_, from_->bytes_);
  switch_tsan(from_->tsan_);
  caller_ = std::move(caller_).resume();
  arrive(fake_stack_, &from_->bottom_, &from_->bytes_);
}

}  // namespace cuda_emulator

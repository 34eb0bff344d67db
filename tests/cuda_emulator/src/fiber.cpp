// Switching between fibers, told to AddressSanitizer and ThreadSanitizer.
#include "fiber.h"

#include <cstdlib>
#include <utility>

#include "poison.h"

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

void destroy_tsan_fiber([[maybe_unused]] void* fiber) {
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(fiber);
#endif
}

void switch_tsan([[maybe_unused]] void* fiber) {
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(fiber, 0);
#endif
}

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

Context::Context() : tsan_(current_tsan_fiber()) {}

Fiber::Fiber(std::function<void(Fiber&)> body)
    : Context(make_tsan_fiber()), body_(std::move(body)), stack_(stacks().allocate()) {
  bottom_ = static_cast<const char*>(stack_.sp) - stack_.size;
  bytes_ = stack_.size;
  self_ = boost::context::detail::make_fcontext(stack_.sp, stack_.size, &Fiber::enter);
}

Fiber::~Fiber() {
  allow(bottom_, bytes_);
  stacks().deallocate(stack_);
  destroy_tsan_fiber(tsan_);
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
  switch_tsan(tsan_);
  self_ = boost::context::detail::jump_fcontext(self_, this).fctx;
  arrive(from.fake_stack_, nullptr, nullptr);
}

void Fiber::suspend() {
  leave(&fake_stack_, from_->bottom_, from_->bytes_);
  switch_tsan(from_->tsan_);
  caller_ = boost::context::detail::jump_fcontext(caller_, nullptr).fctx;
  arrive(fake_stack_, &from_->bottom_, &from_->bytes_);
}

}  // namespace cuda_emulator

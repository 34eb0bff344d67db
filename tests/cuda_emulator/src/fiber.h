// Fibers that AddressSanitizer knows of: one for each thread of a block that waits for others.
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstddef>
#include <functional>

namespace cuda_emulator {

/// A place to switch from and to: the stack that an OS thread came with, or a fiber's.
class Context {
 public:
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

 protected:
  friend class Fiber;

  const void* bottom_ = nullptr;  // of its stack, once it has been switched from
  std::size_t bytes_ = 0;
  void* fake_stack_ = nullptr;  // AddressSanitizer's, while it is not running
};

/// Runs `body` on a stack of its own, from resume() to suspend() and so on. The body never returns:
/// its stack goes with the fiber, as it is.
class Fiber : public Context {
 public:
  explicit Fiber(std::function<void(Fiber&)> body);
  ~Fiber();

  /// From `from`, until this one suspends.
  void resume(Context& from);

  /// From this one, back to who resumed it.
  void suspend();

 private:
  static void enter(boost::context::detail::transfer_t caller);

  std::function<void(Fiber&)> body_;
  boost::context::stack_context stack_;
  boost::context::detail::fcontext_t self_ = nullptr, caller_ = nullptr;
  Context* from_ = nullptr;
};

}  // namespace cuda_emulator

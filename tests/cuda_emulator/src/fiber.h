// Fibers that the sanitizers know of: one for each thread of a block that waits for others.
#pragma once

#include <boost/context/fiber.hpp>
#include <cstddef>
#include <functional>
#include <memory>

namespace cuda_emulator {

/// A place to switch from and to: the stack that an OS thread came with, or a fiber's.
class Context {
 public:
  /// The context that is running.
  Context();
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

 protected:
  friend class Fiber;
  explicit Context(void* tsan_fiber) : tsan_(tsan_fiber) {}
  const void* bottom_ = nullptr;  // of its stack, once it has been switched from
  std::size_t bytes_ = 0;
  void* fake_stack_ = nullptr;  // AddressSanitizer's, while it is not running
  void* tsan_ = nullptr;
};

/// Runs `body` on a stack of its own, from resume() to suspend() and so on. It must have returned
/// when the fiber is destroyed, or never have started.
class Fiber : public Context {
 public:
  explicit Fiber(std::function<void(Fiber&)> body);
  ~Fiber();

  /// From `from`, until this one suspends or its body returns.
  void resume(Context& from);

  /// From this one, back to who resumed it.
  void suspend();

  [[nodiscard]] bool ended() const { return ended_; }

 private:
  boost::context::fiber enter(boost::context::fiber&& caller);
  void entered();

  std::function<void(Fiber&)> body_;
  boost::context::fiber self_, caller_;
  Context* from_ = nullptr;
  bool ended_ = false;
};

}  // namespace cuda_emulator

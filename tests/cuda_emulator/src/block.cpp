// The threads of a block: they run one at a time, each until it ends or waits for others. One fiber
// runs thread after thread as long as none waits, so that a block without barriers needs no more.
#include "block.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "cuda_emulator/device_code.h"
#include "fiber.h"
#include "shared_memory.h"
#include "thread_state.h"

namespace cuda_emulator {
namespace {

class BlockRunner {
 public:
  void run(const KernelShape& shape, const std::function<void()>& body, Random& random);
  int meet_block(BlockOp op, int predicate, const Place& place);
  std::uint64_t meet_warp(const WarpRequest& request);
  void* shared() { return shared_memory_.get(); }

 private:
  struct Worker {
    explicit Worker(BlockRunner& runner) : fiber([this, &runner](Fiber&) { runner.work(*this); }) {}
    Fiber fiber;
  };

  /// Lanes that wait, and those that have ended, as masks.
  struct Warp {
    unsigned waiting = 0, ended = 0;
  };

  void run_block(Random& random);
  void work(Worker& worker);
  void end_thread(ThreadState& thread);
  void wait(ThreadState& thread);
  bool try_block();
  bool try_warp(unsigned warp, unsigned mask);
  std::span<ThreadState> lanes(unsigned warp);
  Warp& warp_of(const ThreadState& thread) { return warps_[thread.number / 32]; }
  void make_ready(ThreadState& thread);

  Context main_;
  const KernelShape* shape_ = nullptr;
  const std::function<void()>* body_ = nullptr;
  SharedMemory shared_memory_;
  std::vector<ThreadState> threads_;
  std::vector<Warp> warps_;
  std::vector<unsigned> order_;  // of the threads' starts
  std::size_t started_ = 0, first_ = 0, ended_ = 0;
  std::size_t at_barrier_ = 0, at_warp_ = 0;  // threads that wait
  std::vector<ThreadState*> ready_;
  ThreadState* current_ = nullptr;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Worker*> idle_;
};

unsigned lane_of(const ThreadState& thread) { return 1u << thread.number % 32; }

BlockRunner& runner() {
  static thread_local BlockRunner instance;
  return instance;
}

void BlockRunner::run(const KernelShape& shape, const std::function<void()>& body, Random& random) {
  shape_ = &shape;
  body_ = &body;
  blockDim = shape.block;
  gridDim = shape.grid;
  const std::size_t count = std::size_t{shape.block.x} * shape.block.y * shape.block.z;
  threads_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto n = static_cast<unsigned>(i);
    threads_[i].number = n;
    threads_[i].place_in_block = {n % shape.block.x, n / shape.block.x % shape.block.y,
                                  n / shape.block.x / shape.block.y};
  }
  order_.resize(count);
  std::iota(order_.begin(), order_.end(), 0u);
  for (std::size_t i = count; random.on() && i > 1; --i)
    std::swap(order_[i - 1], order_[random.below(i)]);
  shared_memory_.resize(shape.shared_bytes);

  // The blocks' order: from a random one on, every step-th, where step has no factor in common
  // with their number.
  const std::uint64_t blocks = std::uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z;
  std::uint64_t block = random.below(blocks);
  std::uint64_t step = random.on() ? 1 + random.below(blocks) : 1;
  while (std::gcd(step, blocks) != 1) ++step;
  for (std::uint64_t i = 0; i < blocks; ++i) {
    blockIdx = {static_cast<unsigned>(block % shape.grid.x),
                static_cast<unsigned>(block / shape.grid.x % shape.grid.y),
                static_cast<unsigned>(block / shape.grid.x / shape.grid.y)};
    run_block(random);
    block = (block + step) % blocks;
  }
}

void BlockRunner::run_block(Random& random) {
  shared_memory_.fill();
  warps_.assign((threads_.size() + 31) / 32, {});
  // Lanes that a last warp does not have are as those that have ended.
  if (const std::size_t last = threads_.size() % 32; last != 0) warps_.back().ended = ~0u << last;
  for (ThreadState& thread : threads_) thread.state = ThreadState::Running;
  started_ = ended_ = 0;
  first_ = random.below(threads_.size());
  while (ended_ < threads_.size()) {
    const bool may_start = started_ < threads_.size();
    if (!ready_.empty() && (!may_start || random.below(2) == 0)) {
      std::swap(ready_[random.below(ready_.size())], ready_.back());
      ThreadState& thread = *ready_.back();
      ready_.pop_back();
      current_ = &thread;
      threadIdx = thread.place_in_block;
      thread.fiber->resume(main_);
    } else if (may_start) {
      if (idle_.empty()) {
        workers_.push_back(std::make_unique<Worker>(*this));
        idle_.push_back(workers_.back().get());
      }
      Worker& worker = *idle_.back();
      idle_.pop_back();
      worker.fiber.resume(main_);
    } else {
      abort_divergent(*shape_, threads_);
    }
  }
}

void BlockRunner::work(Worker& worker) {
  for (;;) {
    while (started_ < threads_.size()) {
      ThreadState& thread = threads_[order_[(first_ + started_++) % threads_.size()]];
      thread.fiber = &worker.fiber;
      current_ = &thread;
      threadIdx = thread.place_in_block;
      (*body_)();
      end_thread(thread);
    }
    idle_.push_back(&worker);
    worker.fiber.suspend();
  }
}

// Others may have waited for this thread alone.
void BlockRunner::end_thread(ThreadState& thread) {
  thread.state = ThreadState::Ended;
  warp_of(thread).ended |= lane_of(thread);
  ++ended_;
  if (at_barrier_ > 0) try_block();
  if (at_warp_ == 0) return;
  const unsigned warp = thread.number / 32;
  for (const ThreadState& lane : lanes(warp))
    if (lane.state == ThreadState::AtWarp && try_warp(warp, lane.request.mask)) break;
}

void BlockRunner::wait(ThreadState& thread) {
  thread.fiber->suspend();
  current_ = &thread;
}

void BlockRunner::make_ready(ThreadState& thread) {
  thread.state = ThreadState::Running;
  if (&thread != current_) ready_.push_back(&thread);
}

int BlockRunner::meet_block(BlockOp op, int predicate, const Place& place) {
  ThreadState& self = *current_;
  self.state = ThreadState::AtBlock;
  self.block_op = op;
  self.predicate = predicate;
  self.place = place;
  ++at_barrier_;
  if (!try_block()) wait(self);
  return self.block_result;
}

// Lets those at the barrier go on where all that have not ended are there.
bool BlockRunner::try_block() {
  if (at_barrier_ + ended_ < threads_.size()) return false;
  const ThreadState* first = nullptr;
  int holding = 0;
  for (const ThreadState& thread : threads_) {
    if (thread.state != ThreadState::AtBlock) continue;
    if (first == nullptr) first = &thread;
    if (thread.block_op != first->block_op || !same_place(thread.place, first->place))
      abort_divergent(*shape_, threads_);
    holding += thread.predicate != 0;
  }
  const auto meeting = static_cast<int>(at_barrier_);
  at_barrier_ = 0;
  for (ThreadState& thread : threads_) {
    if (thread.state != ThreadState::AtBlock) continue;
    switch (thread.block_op) {
      case BlockOp::Barrier:
      case BlockOp::Count:
        thread.block_result = holding;
        break;
      case BlockOp::Or:
        thread.block_result = holding > 0;
        break;
      case BlockOp::And:
        thread.block_result = holding == meeting;
        break;
    }
    make_ready(thread);
  }
  return true;
}

std::span<ThreadState> BlockRunner::lanes(unsigned warp) {
  const std::size_t from = std::size_t{warp} * 32;
  return std::span(threads_).subspan(from, std::min<std::size_t>(32, threads_.size() - from));
}

std::uint64_t BlockRunner::meet_warp(const WarpRequest& request) {
  ThreadState& self = *current_;
  self.state = ThreadState::AtWarp;
  self.request = request;
  self.place = request.place;
  if ((request.mask >> (self.number % 32) & 1) == 0)
    abort_thread(*shape_, self, "is not in the mask of its own warp operation");
  ++at_warp_;
  warp_of(self).waiting |= lane_of(self);
  if (!try_warp(self.number / 32, request.mask)) wait(self);
  return self.warp_result;
}

// Lets the lanes of `mask` go on where all of them that have not ended are at the same operation.
bool BlockRunner::try_warp(unsigned warp, unsigned mask) {
  const unsigned meeting = mask & ~warps_[warp].ended;
  if (meeting == 0 || (meeting & ~warps_[warp].waiting) != 0) return false;
  const std::span<ThreadState> all = lanes(warp);
  const ThreadState* first = nullptr;
  std::uint64_t ballot = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if ((meeting >> i & 1) == 0) continue;
    if (first == nullptr) first = &all[i];
    if (!same_request(all[i].request, first->request)) abort_divergent(*shape_, threads_);
    if (all[i].request.value != 0) ballot |= std::uint64_t{1} << i;
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if ((meeting >> i & 1) == 0) continue;
    const std::size_t from = source_lane(all[i].request, i);
    if (!is_shuffle(all[i].request.op)) {
      all[i].warp_result = ballot;
    } else if (from < all.size() && (meeting >> from & 1) != 0) {
      all[i].warp_result = all[from].request.value;
    } else {
      abort_thread(*shape_, all[i], "shuffles from a lane that is not there");
    }
  }
  warps_[warp].waiting &= ~meeting;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if ((meeting >> i & 1) == 0) continue;
    --at_warp_;
    make_ready(all[i]);
  }
  return true;
}

}  // namespace

void run_kernel(const KernelShape& shape, const std::function<void()>& thread, Random& random) {
  runner().run(shape, thread, random);
}

int meet_block(BlockOp op, int predicate, const Place& place) {
  return runner().meet_block(op, predicate, place);
}

std::uint64_t meet_warp(WarpOp op, unsigned mask, std::uint64_t value, int operand, int width,
                        const Place& place) {
  return runner().meet_warp({op, mask, value, operand, width, place});
}

void* dynamic_shared() { return runner().shared(); }

}  // namespace cuda_emulator

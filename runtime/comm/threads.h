// A world of ranks that are threads of one process: what the tests run the pipeline and the gathers
// with, under ThreadSanitizer too.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/comm/queued.h"

namespace initrt {

/// What the ranks of one in-process world share.
class ThreadWorld {
 public:
  explicit ThreadWorld(std::uint32_t size) : size_(size) {}
  [[nodiscard]] std::uint32_t size() const { return size_; }

 private:
  friend class ThreadCommunicator;
  struct Posted {
    std::vector<TransferHandle> by_rank;  // empty handle: not posted yet
    std::vector<bool> copied;
    std::uint32_t done = 0;
  };
  const std::uint32_t size_;
  std::mutex mutex_;
  std::map<std::uint64_t, Posted> posted_;  // by Transfer::sequence
  std::string failure_;
};

class ThreadCommunicator final : public QueuedCommunicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadWorld> world, std::uint32_t rank);
  ~ThreadCommunicator() override;

  [[nodiscard]] std::uint32_t rank() const override { return rank_; }
  [[nodiscard]] std::uint32_t size() const override { return world_->size(); }
  void note_progress(Stage, std::uint32_t) override {}
  void fail_world(const std::string& message) override;

 protected:
  void begin(const TransferHandle& transfer) override;
  bool test(const TransferHandle& transfer) override;
  void poll() override;
  // The other ranks must not read this one's memory any more.
  void on_failure(const std::string& message) override { fail_world(message); }
  void on_ready_failure(const std::string& message) override { fail_world(message); }

 private:
  void copy_in(const ThreadWorld::Posted& posted, Transfer& transfer) const;
  void check_world() const;  // holding the world's mutex

  const std::shared_ptr<ThreadWorld> world_;
  const std::uint32_t rank_;
};

}  // namespace initrt

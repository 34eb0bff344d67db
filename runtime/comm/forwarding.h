// What a communicator is that does one thing in another way: everything else goes to the one below.
#pragma once

#include <utility>

#include "runtime/comm/communicator.h"

namespace initrt {

class ForwardingCommunicator : public Communicator {
 public:
  /// @param base outlives this
  explicit ForwardingCommunicator(Communicator& base) : base_(base) {}

  [[nodiscard]] std::uint32_t rank() const override { return base_.rank(); }
  [[nodiscard]] std::uint32_t size() const override { return base_.size(); }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    base_.all_gather(mine, all);
  }
  void send_receive(PartsToSend out, PartsToReceive in) override { base_.send_receive(out, in); }
  void broadcast(std::vector<std::byte>& data, std::uint32_t root) override {
    base_.broadcast(data, root);
  }
  TransferHandle start_all_gather(std::function<bool()> ready, std::span<const std::byte> chunk,
                                  std::span<std::byte> whole) override {
    return base_.start_all_gather(std::move(ready), chunk, whole);
  }
  Interval wait(const TransferHandle& transfer) override { return base_.wait(transfer); }
  void check() override { base_.check(); }
  void note_progress(Stage stage, std::uint32_t unit) override { base_.note_progress(stage, unit); }
  void fail_world(const std::string& message) override { base_.fail_world(message); }

 protected:
  [[nodiscard]] Communicator& base() const { return base_; }

 private:
  Communicator& base_;
};

}  // namespace initrt

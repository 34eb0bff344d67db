// Results on their way out past a fault: each line's writing is a place where one may happen.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

#include "launch/output/answers.h"
#include "runtime/faults/fault.h"

namespace initrt {

class FaultyOutput final : public ResultOutput {
 public:
  /// `base` and `fault` outlive this. @param path what `base` writes to
  FaultyOutput(ResultOutput& base, std::string path, FaultInjector& fault)
      : base_(base), path_(std::move(path)), fault_(fault) {}

  void write(std::string_view line) override {
    std::error_code none;  // standard output has no size: nothing is to happen to it
    const std::uintmax_t bytes = std::filesystem::file_size(path_, none);
    fault_.arrive_next(FaultStage::Writing);
    if (!none) fault_.on_file(path_, bytes);
    base_.write(line);
  }
  void keep(std::uint32_t index, std::string_view line) override { base_.keep(index, line); }
  void settle(bool none_wait) override { base_.settle(none_wait); }

 private:
  ResultOutput& base_;
  const std::string path_;
  FaultInjector& fault_;
};

}  // namespace initrt

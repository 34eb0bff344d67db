#include "runtime/faults/fault.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr const char* kVariable = "INITRT_TEST_FAULT";
constexpr std::uint64_t kHalfALine = 5;  // bytes

template <class Value>
struct Name {
  std::string_view text;
  Value value;
};

constexpr std::array kKinds = std::to_array<Name<FaultKind>>({
    {"killed", FaultKind::Killed},
    {"stall", FaultKind::Stall},
    {"hold", FaultKind::Hold},
    {"memory", FaultKind::Memory},
    {"eio", FaultKind::Eio},
    {"short", FaultKind::Short},
    {"truncated", FaultKind::Truncated},
    {"replaced", FaultKind::Replaced},
    {"rewritten", FaultKind::Rewritten},
    {"full", FaultKind::Full},
});

constexpr std::array kStages = std::to_array<Name<FaultStage>>({
    {"start", FaultStage::Start},
    {"headers", FaultStage::Headers},
    {"plan", FaultStage::Plan},
    {"load", FaultStage::Load},
    {"gather", FaultStage::Gather},
    {"exchange", FaultStage::Exchange},
    {"decode", FaultStage::Decode},
    {"writing", FaultStage::Writing},
});

template <class Value>
std::optional<Value> value_of(std::span<const Name<Value>> names, std::string_view text) {
  const auto found = std::ranges::find(names, text, &Name<Value>::text);
  return found == names.end() ? std::nullopt : std::optional(found->value);
}

std::optional<std::uint32_t> number_of(std::string_view digits) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
  if (error != std::errc() || end != digits.end()) return {};
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Whether there is something at the stage for it to happen to.
bool has(FaultStage stage, FaultKind kind) {
  switch (kind) {
    case FaultKind::Killed:
    case FaultKind::Stall:
    case FaultKind::Hold:
    case FaultKind::Memory:
      return true;
    case FaultKind::Eio:
    case FaultKind::Short:
      return stage == FaultStage::Headers || stage == FaultStage::Load;
    case FaultKind::Truncated:
    case FaultKind::Replaced:
    case FaultKind::Rewritten:
      return stage == FaultStage::Headers || stage == FaultStage::Plan || stage == FaultStage::Load;
    case FaultKind::Full:
      return stage == FaultStage::Writing;
  }
  return false;
}

void limit_address_space() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  struct rlimit limit {};
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  setrlimit(RLIMIT_AS, &limit);
}

void limit_file_size(std::uint64_t bytes) {
  struct rlimit limit {};
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = bytes;
  setrlimit(RLIMIT_FSIZE, &limit);
}

void replace(const std::string& path) {
  const std::string other = path + ".other";
  std::filesystem::copy_file(path, other);
  std::filesystem::rename(other, path);
}

void rewrite_first_byte(const std::string& path) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto first = static_cast<char>(file.get());
  file.seekp(0);
  file.put(first);
}

thread_local bool file_is_next = false;  // of this thread, which has arrived

std::optional<FaultInjector>& injector() {
  static std::optional<FaultInjector> of_process;
  return of_process;
}

}  // namespace

Fault parse_fault(std::string_view text) {
  const std::size_t at = std::min(text.find('@'), text.size());
  const std::vector<std::string_view> place =
      split(text.substr(std::min(at + 1, text.size())), ':');
  const auto kind = value_of<FaultKind>(kKinds, text.substr(0, at));
  const auto part = [&](std::size_t i) { return i < place.size() ? place[i] : std::string_view(); };
  const auto rank = number_of(part(0));
  const auto stage = value_of<FaultStage>(kStages, part(1));
  const auto unit = number_of(part(2));
  const auto time = place.size() > 3 ? number_of(part(3)) : 1;
  if (!kind || !rank || !stage || !unit || !time || *time == 0 || place.size() > 4) {
    fail("{} is \"{}\", expected WHAT@RANK:STAGE:UNIT, perhaps :TIME (runtime/faults/fault.h)",
         kVariable, text);
  }
  if (!has(*stage, *kind)) {
    fail("{} is \"{}\": nothing is {} there (runtime/faults/fault.h)", kVariable, text,
         text.substr(0, at));
  }
  return {*kind, *rank, *stage, *unit, *time};
}

FaultInjector::FaultInjector(const Fault& fault, std::function<bool()> asked_to_stop)
    : fault_(fault), asked_to_stop_(std::move(asked_to_stop)), left_(fault.time) {}

void FaultInjector::arrive(FaultStage stage, std::uint32_t unit) {
  file_is_next = false;
  if (stage != fault_.stage || unit != fault_.unit || left_.fetch_sub(1) != 1) return;
  std::fprintf(stderr, "test fault: rank %u, process %d\n", fault_.rank, getpid());
  if (fault_.kind <= FaultKind::Memory) {
    strike_process();
  } else {
    file_is_next = true;
  }
}

void FaultInjector::arrive_next(FaultStage stage) {
  if (stage == fault_.stage) arrive(stage, passed_.fetch_add(1));
}

void FaultInjector::strike_process() const {
  if (fault_.kind == FaultKind::Killed) std::raise(SIGKILL);
  if (fault_.kind == FaultKind::Memory) return limit_address_space();
  while (fault_.kind == FaultKind::Stall || !asked_to_stop_()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

ReadFault FaultInjector::on_file(const std::string& path, std::uint64_t offset) {
  if (!std::exchange(file_is_next, false)) return ReadFault::None;
  switch (fault_.kind) {
    case FaultKind::Eio:
      return ReadFault::Eio;
    case FaultKind::Short:
      return ReadFault::Short;
    case FaultKind::Truncated:
      std::filesystem::resize_file(path, offset);
      break;
    case FaultKind::Replaced:
      replace(path);
      break;
    case FaultKind::Rewritten:
      rewrite_first_byte(path);
      break;
    case FaultKind::Full:
      limit_file_size(offset + kHalfALine);
      break;
    default:
      break;
  }
  return ReadFault::None;
}

void arm_fault(std::uint32_t rank, std::uint32_t ranks, std::function<bool()> asked_to_stop) {
  const char* const text = std::getenv(kVariable);
  if (text == nullptr) return;
  const Fault fault = parse_fault(text);
  if (fault.rank >= ranks) fail("{} names rank {} of {}", kVariable, fault.rank, ranks);
  if (fault.rank == rank) injector().emplace(fault, std::move(asked_to_stop));
}

FaultInjector* armed_fault() { return injector() ? &*injector() : nullptr; }

}  // namespace initrt

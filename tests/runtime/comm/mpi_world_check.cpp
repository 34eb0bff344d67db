// A program for mpirun: the checks of the communicators over real MPI, and the ways in which a rank
// can fail, one by name.
//
//   mpirun -np N mpi_world_check collectives|mapped|latency [spin]
//   mpirun -np N mpi_world_check large BYTES            one all-gather of chunks of that size
//   mpirun -np N mpi_world_check throw|throw-alike|not-ready|unwind|kill|kill-mapped|stall RANK
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <string>

#include "runtime/comm/mpi.h"
#include "tests/runtime/comm/mapped_checks.h"

namespace initrt {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::byte>;

struct Check {
  MpiCommunicator& comm;
  std::uint32_t number;  ///< RANK or BYTES
  bool spin;
};

void all_gather_one(Communicator& comm) {
  const Bytes mine(64);
  Bytes all(mine.size() * comm.size());
  comm.all_gather(mine, all);
}

// For who measures how long the others take to end.
void say_failing() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  std::printf(
      "failing at %lld ms\n",
      static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()));
  std::fflush(stdout);
}

void collectives(const Check& check) { collective_checks::every_collective(check.comm); }

void mapped(const Check& check) {
  const std::uint32_t size = check.comm.size();
  mapped_checks::units_appear_as_published(check.comm, mapped_checks::uneven_cut(size, {}));
  mapped_checks::units_appear_as_published(
      check.comm, mapped_checks::uneven_cut(size, {false, true, false, true, true, false}));
  mapped_checks::with_mapped(check.comm, check.spin, [](Communicator& comm) {
    collective_checks::every_collective(comm);
    collective_checks::small_all_gathers_in_step(comm, 5000, 50);
  });
}

void measure(Communicator& comm, const char* what, std::size_t bytes, int rounds, bool spin) {
  const Bytes mine(bytes);
  Bytes all(bytes * comm.size());
  for (int i = 0; i < rounds / 10; ++i) comm.all_gather(mine, all);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i) comm.all_gather(mine, all);
  const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
  if (comm.rank() != 0) return;
  std::printf("%s, %u ranks, spin %s: %.1f us per all-gather of %zu bytes\n", what, comm.size(),
              spin ? "true" : "false", time.count() / rounds, bytes);
}

// How late the end of an all-gather is seen by who has waited for the last rank to come.
void measure_wait(const Check& check, std::chrono::microseconds late) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRounds = 500;
  const Bytes mine(8);
  Bytes all(mine.size() * check.comm.size());
  std::vector<double> waits;
  for (int i = 0; i < kRounds; ++i) {
    check.comm.all_gather(mine, all);
    const Clock::time_point start = Clock::now();
    if (check.comm.rank() == check.comm.size() - 1) {
      while (Clock::now() - start < late) {
      }
    }
    check.comm.all_gather(mine, all);
    waits.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start - late).count());
  }
  if (check.comm.rank() != 0) return;
  std::sort(waits.begin(), waits.end());
  std::printf(
      "mpi, spin %s: the last rank comes %lld us late, its 8 bytes are seen %.1f us (median), "
      "%.1f us (90%%) later\n",
      check.spin ? "true" : "false", static_cast<long long>(late.count()), waits[kRounds / 2],
      waits[kRounds * 9 / 10]);
}

void latency(const Check& check) {
  measure(check.comm, "mpi", 8, 5000, check.spin);
  for (const auto late : {200us, 1000us, 3000us}) measure_wait(check, late);
  measure(check.comm, "mpi", 4u << 20, 100, check.spin);
  mapped_checks::with_mapped(check.comm, check.spin, [&](Communicator& comm) {
    measure(comm, "mapped", 64, 5000, check.spin);
  });
}

void large(const Check& check) {
  const std::size_t bytes = check.number;
  Bytes all(bytes * check.comm.size());
  const std::span<std::byte> mine = std::span(all).subspan(check.comm.rank() * bytes, bytes);
  std::fill(mine.begin(), mine.end(), static_cast<std::byte>(check.comm.rank() + 1));
  check.comm.wait(check.comm.start_all_gather({}, mine, all));
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] != static_cast<std::byte>(i / bytes + 1)) fail("byte {} is not its rank's", i);
  }
}

void throw_error(const Check& check) {
  all_gather_one(check.comm);
  if (check.comm.rank() == check.number) {
    say_failing();
    fail("cannot read its part");
  }
  while (true) all_gather_one(check.comm);
}

// Rank 0 comes to it last.
void throw_alike(const Check& check) {
  all_gather_one(check.comm);
  if (check.comm.rank() == 0) std::this_thread::sleep_for(20ms);
  if (check.comm.rank() == check.number) say_failing();
  fail("there is no such model");
}

void not_ready(const Check& check) {
  const bool bad = check.comm.rank() == check.number;
  const Bytes mine(1 << 20);
  Bytes before(mine.size() * check.comm.size()), all(before.size());
  // The rank that fails has this one under way, which another rank is slow to join.
  const auto late = [&, start = std::chrono::steady_clock::now()] {
    return bad || std::chrono::steady_clock::now() - start > 20s;
  };
  const TransferHandle begun = check.comm.start_all_gather(late, mine, before);
  const auto throws = [&]() -> bool {
    say_failing();
    fail("finds no such block");
  };
  const TransferHandle transfer = bad ? check.comm.start_all_gather(throws, mine, all)
                                      : check.comm.start_all_gather({}, mine, all);
  check.comm.wait(begun);
  check.comm.wait(transfer);
}

// The rank that fails leaves memory behind that another rank still sends to.
void unwind(const Check& check) {
  const Bytes mine(1 << 20);
  const bool bad = check.comm.rank() == check.number;
  Bytes all(mine.size() * check.comm.size());
  const auto stopped = [&]() -> bool { fail("loading was stopped"); };
  Bytes begun(all.size());
  check.comm.wait(check.comm.start_all_gather({}, mine, begun));
  const TransferHandle transfer =
      check.comm.start_all_gather(bad ? std::function<bool()>(stopped) : nullptr, mine, all);
  if (bad) {
    say_failing();
    std::this_thread::sleep_for(100ms);
    fail("met a wrong token");
  }
  check.comm.wait(transfer);
}

void kill_one(const Check& check) {
  for (std::uint64_t round = 0;; ++round) {
    all_gather_one(check.comm);
    if (round == 50 && check.comm.rank() == check.number) {
      say_failing();
      kill(getpid(), SIGKILL);
    }
  }
}

void kill_one_mapped(const Check& check) {
  mapped_checks::with_mapped(check.comm, check.spin, [&](Communicator& comm) {
    for (std::uint64_t round = 0;; ++round) {
      all_gather_one(comm);
      if (round == 50 && comm.rank() == check.number) {
        say_failing();
        kill(getpid(), SIGKILL);
      }
    }
  });
}

// One rank stays away: after two seconds without progress the job ends.
void stall(const Check& check) {
  check.comm.set_timeout(2s);
  for (std::uint32_t unit = 0; unit < 3; ++unit) {
    check.comm.note_progress(check.comm.rank() == 0 ? Stage::Generate : Stage::Load, unit);
    all_gather_one(check.comm);
  }
  if (check.comm.rank() == check.number) {
    say_failing();
    std::this_thread::sleep_for(10min);
  }
  all_gather_one(check.comm);
}

int start(int argc, char** argv) {
  const std::map<std::string, void (*)(const Check&)> checks{{"collectives", collectives},
                                                             {"mapped", mapped},
                                                             {"latency", latency},
                                                             {"large", large},
                                                             {"throw", throw_error},
                                                             {"throw-alike", throw_alike},
                                                             {"not-ready", not_ready},
                                                             {"unwind", unwind},
                                                             {"kill", kill_one},
                                                             {"kill-mapped", kill_one_mapped},
                                                             {"stall", stall}};
  const auto check = checks.find(argc > 1 ? argv[1] : "");
  if (check == checks.end()) {
    std::fprintf(stderr, "which check? see the top of mpi_world_check.cpp\n");
    return 2;
  }
  const std::string argument = argc > 2 ? argv[2] : "";
  const bool spin = argument == "spin";
  const auto number =
      spin || argument.empty() ? 0 : static_cast<std::uint32_t>(std::stoul(argument));
  const MpiSession session;
  MpiCommunicator comm(session, spin, 60s);
  try {
    check->second({comm, number, spin});
  } catch (const std::exception& error) {
    comm.fail_world(error.what());
  }
  return 0;
}

}  // namespace
}  // namespace initrt

int main(int argc, char** argv) {
  try {
    return initrt::start(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "initrt: %s\n", error.what());
    return 1;
  }
}

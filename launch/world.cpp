#include "launch/world.h"

#include <cstdio>

#include "launch/progress.h"
#include "runtime/comm/self.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::chrono::seconds kDefaultTimeout{300};

}  // namespace

World::World() {
  switch (detect_launcher()) {
    case Launcher::SlurmWithoutPmi:
      initrt::fail(
          "this is one of several Slurm tasks, but they cannot find each other: start with "
          "srun --mpi=pmix (srun --mpi=list shows what there is), or with mpirun");
    case Launcher::None:
      comm_ = std::make_unique<SelfCommunicator>();
      return;
    case Launcher::Mpi:
      session_ = std::make_unique<MpiSession>();
      // Whether ranks have cores to spare for waiting is not known yet; sleeping between polls
      // costs little while headers are read.
      auto mpi = std::make_unique<MpiCommunicator>(*session_, false, kDefaultTimeout);
      mpi->before_last_line(end_all_progress);
      mpi_ = mpi.get();
      comm_ = std::move(mpi);
  }
}

void World::set_timeout(std::chrono::seconds timeout) {
  if (mpi_ != nullptr) mpi_->set_timeout(timeout);
}

void World::fail(const std::string& message) {
  if (failed_) return;
  failed_ = true;
  if (mpi_ != nullptr) mpi_->fail_world(message);
  std::fflush(stdout);
  end_all_progress();
  std::fprintf(stderr, "initrt: %s\n", one_line(message).c_str());
}

}  // namespace initrt

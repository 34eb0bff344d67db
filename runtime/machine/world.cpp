#include "runtime/machine/world.h"

#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "runtime/comm/self.h"
#include "runtime/device/cuda/gpus.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::chrono::seconds kDefaultTimeout{300};

}  // namespace

World::World(WorldOptions options) : options_(std::move(options)) {
  cuda::set_environment();
  switch (detect_launcher()) {
    case Launcher::SlurmWithoutPmi:
      initrt::fail(
          "this is one of several Slurm tasks, but they cannot find each other: start with "
          "srun --mpi=pmix (srun --mpi=list shows what there is), or with mpirun");
    case Launcher::None:
      make_self();
      return;
    case Launcher::Mpi:
      session_ = std::make_unique<MpiSession>();
      // Whether ranks have cores to wait on is known once they are placed: see set_spin().
      auto mpi = std::make_unique<MpiCommunicator>(*session_, false, kDefaultTimeout);
      if (options_.before_last_line != nullptr) mpi->before_last_line(options_.before_last_line);
      mpi_ = mpi.get();
      comm_ = std::move(mpi);
  }
}

// What has stalled may hold on to anything, so nothing is unwound.
void World::end_alone(LogLevel level, const std::string& message, int status) const {
  if (options_.before_last_line != nullptr) options_.before_last_line();
  const std::string line = log_line(level, "", message);
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  std::_Exit(status);
}

void World::stop(const std::string& message, int status) {
  if (mpi_ != nullptr) mpi_->end_world(message, status);
  end_alone(LogLevel::Note, message, status);
}

void World::make_self() {
  auto self = std::make_unique<SelfCommunicator>([this](const std::string& message) {
    end_alone(LogLevel::Error, message + loaded_text(bytes_of_ranks().front()), 1);
  });
  self_ = self.get();
  comm_ = std::move(self);
}

void World::set_timeout(std::chrono::seconds timeout) {
  if (mpi_ != nullptr) mpi_->set_timeout(timeout);
  if (self_ != nullptr) self_->set_timeout(timeout);
}

void World::note_bytes(BytesDone bytes) {
  if (mpi_ != nullptr) return mpi_->note_bytes(bytes);
  const std::lock_guard lock(bytes_mutex_);
  own_bytes_ = bytes;
}

std::vector<BytesDone> World::bytes_of_ranks() const {
  if (mpi_ != nullptr) return mpi_->bytes_of_ranks();
  const std::lock_guard lock(bytes_mutex_);
  return {own_bytes_};
}

void World::end_watch() {
  if (mpi_ != nullptr) mpi_->set_timeout(std::chrono::hours(24 * 365));
}

void World::note_reader_waits() {
  comm().note_progress(Stage::Output, 0);
  comm().check();
}

void World::set_spin(bool spin) {
  if (mpi_ != nullptr) mpi_->set_spin(spin);
}

void World::fail(const std::string& message) {
  if (failed_) return;
  failed_ = true;
  if (mpi_ != nullptr) mpi_->fail_world(message);
  if (options_.on_failure) options_.on_failure(message);
}

}  // namespace initrt

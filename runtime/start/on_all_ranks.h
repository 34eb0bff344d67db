// Files are read by one rank: the others work on a record of what it read.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/faults/faulty_files.h"
#include "runtime/storage/recorded_files.h"

namespace initrt {

/// Runs `prepare(Files&)` on every rank, the files being read by rank 0 alone. Collective.
/// @returns what `prepare` does
template <class Prepare>
auto prepare_on_all_ranks(Communicator& comm, const Prepare& prepare) {
  const auto local = make_local_files([&comm] {  // a person who still types has not stalled the run
    comm.note_progress(Stage::Start, 0);
    comm.check();
  });
  if (comm.size() == 1) return prepare(static_cast<Files&>(*local));
  std::vector<std::byte> log;
  if (comm.rank() == 0) {
    RecordingFiles recording(*local);
    auto result = prepare(static_cast<Files&>(recording));
    log = recording.log();
    comm.broadcast(log, 0);
    return result;
  }
  comm.broadcast(log, 0);
  ReplayFiles replay(std::move(log));
  return prepare(static_cast<Files&>(replay));
}

}  // namespace initrt

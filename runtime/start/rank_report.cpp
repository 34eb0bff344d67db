#include "runtime/start/rank_report.h"

#include <span>

namespace initrt {

void RankReport::add(const GenerateStatistics& statistics) {
  first_token_seconds = statistics.first_token_seconds;
  seconds = statistics.seconds;
  tokens = statistics.tokens;
  decode_seconds = statistics.decode_seconds;
  decode_tokens = statistics.decode_tokens;
  sweeps = statistics.sweeps;
}

std::vector<RankReport> gather_reports(Communicator& comm, const RankReport& mine) {
  std::vector<RankReport> all(comm.size());
  comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

}  // namespace initrt

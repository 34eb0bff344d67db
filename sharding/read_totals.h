// What each rank reads in all, without keeping its plan: units that are alike but for where they
// lie in the files, such as the experts of a model, are planned once.
#pragma once

#include <cstdint>
#include <vector>

#include "sharding/read_source.h"
#include "sharding/reads.h"

namespace initrt {

struct ReadTotals {
  std::uint64_t bytes = 0;
  std::uint64_t reads = 0;
  std::vector<bool> files;  ///< which files of the catalog are touched
};

class ReadCounter {
 public:
  /// References of `source` outlive this.
  ReadCounter(const ReadSource& source, const ReadLimits& limits);

  [[nodiscard]] ReadTotals of_rank(std::uint32_t rank) const;

 private:
  /// Units with the same plans on every rank, apart from where these begin.
  struct Kind {
    std::uint32_t unit = 0;                  ///< one of them
    std::uint64_t units = 0;                 ///< how many
    std::vector<std::uint32_t> first_files;  ///< in which they begin, each once
  };

  const ReadSource source_;
  const ReadLimits limits_;
  std::vector<Kind> kinds_;
};

}  // namespace initrt

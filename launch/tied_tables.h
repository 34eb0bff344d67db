// Whether a checkpoint's embedding and head are one table, which its config and its tensors may say
// differently.
#pragma once

#include "launch/prepare.h"

namespace initrt {

/// Whether both are the same bytes of a file, though the config does not say that they are tied:
/// PyTorch saves a tied table under both names and once.
[[nodiscard]] bool has_shared_tables(const OpenModel& model);

/// Whether the checkpoint has a head of its own, though the config says that it is the embedding:
/// the values decide, as in transformers. Of large tables, 16 places of 4 KiB are compared.
[[nodiscard]] bool has_own_head(Files& files, const OpenModel& model);

}  // namespace initrt

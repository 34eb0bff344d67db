// Whether a checkpoint's embedding and head are one table, which its config and its tensors may say
// differently.
#pragma once

#include <functional>
#include <string>

#include "runtime/start/open_model.h"

namespace initrt {

/// Whether both are the same bytes of a file, though the config does not say that they are tied:
/// PyTorch saves a tied table under both names and once.
[[nodiscard]] bool has_shared_tables(const OpenModel& model);

/// What to say of a checkpoint that has a head of its own, though the config says that it is the
/// embedding; "" for others. The values decide, and both tables are used, as transformers 5 does;
/// transformers 4 drops the head without a word.
///
/// Tables that are stored twice are compared whole, by rank 0 alone and in bounded memory, up to
/// the first difference. Few checkpoints pay for it, since most hold such a table once:
/// safetensors' writer drops the second, PyTorch's shares its bytes. A part of the table that
/// differs would else be a model's wrong answer that nobody sees.
/// @param alive called again and again while tables are read; may be empty
[[nodiscard]] std::string own_head(Files& files, const OpenModel& model,
                                   const std::function<void()>& alive);

}  // namespace initrt

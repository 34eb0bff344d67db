// What a person should know of the checkpoint that is read.
#pragma once

#include "sharding/checkpoint/catalog.h"
#include "sharding/notices.h"

namespace initrt {

/// Says which of several checkpoints this is, and what of its files is left out or is not there.
inline void note_choice(const Catalog& catalog, const Notices& notices) {
  notices.say(catalog.choice);
  for (const std::string& note : catalog.notes) notices.say(note);
  notices.say(describe_absent(catalog));
}

}  // namespace initrt

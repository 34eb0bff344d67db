// What a collective, or a group of sends and receives, comes down to: transfers between two ranks.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "rendezvous.h"

namespace cuda_emulator {

enum class TransferKind : std::uint32_t { AllGather, SendReceive };

struct Transfer {
  TransferKind kind = TransferKind::SendReceive;
  bool sends = false;
  int peer = 0;
  std::byte* memory = nullptr;  ///< only read where it sends
  std::size_t bytes = 0;
};

/// Makes progress with all of them until all are done or `stopped`. Of those to or from one peer,
/// each begins when the one before it is done. Ends the process where a peer's differ from them.
void run(Rendezvous& ranks, int rank, const std::vector<Transfer>& transfers,
         const std::function<bool()>& stopped);

}  // namespace cuda_emulator

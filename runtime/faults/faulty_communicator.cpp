#include "runtime/faults/faulty_communicator.h"

namespace initrt {

// Noted before anything happens: what watches for progress is to name this place.
void FaultyCommunicator::note_progress(Stage stage, std::uint32_t unit) {
  ForwardingCommunicator::note_progress(stage, unit);
  switch (stage) {
    case Stage::Start:
      return fault_.arrive(FaultStage::Start, unit);
    case Stage::Load:
      return fault_.arrive(FaultStage::Load, unit);
    case Stage::Generate:
      return fault_.arrive(FaultStage::Decode, unit);
    case Stage::Output:
    case Stage::Finish:
      return;
  }
}

void FaultyCommunicator::broadcast(std::vector<std::byte>& data, std::uint32_t root) {
  if (root != rank()) fault_.arrive_next(FaultStage::Headers);
  ForwardingCommunicator::broadcast(data, root);
}

TransferHandle FaultyCommunicator::start_all_gather(std::function<bool()> ready,
                                                    std::span<const std::byte> chunk,
                                                    std::span<std::byte> whole) {
  TransferHandle begun = ForwardingCommunicator::start_all_gather(std::move(ready), chunk, whole);
  fault_.arrive_next(FaultStage::Gather);
  return begun;
}

void FaultyCommunicator::send_receive(PartsToSend out, PartsToReceive in) {
  fault_.arrive_next(FaultStage::Exchange);
  ForwardingCommunicator::send_receive(out, in);
}

}  // namespace initrt

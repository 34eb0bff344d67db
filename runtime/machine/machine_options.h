// What a run asks of the machines that its ranks are on.
#pragma once

#include <cstdint>
#include <string>

namespace initrt {

struct MachineOptions {
  std::string device = "auto";        ///< "auto", "cpu" or "cuda"
  std::uint64_t threads = 0;          ///< compute threads of each rank; 0: its share of the cores
  bool share_gpu = false;             ///< several ranks may compute on one GPU
  bool tf32 = false;                  ///< 32-bit products on GPUs may round their inputs to TF32
  std::string gpu_direct = "auto";    ///< files straight into GPUs, where they can be: or "off"
  std::string communicator = "auto";  ///< name() of a Transport
};

}  // namespace initrt

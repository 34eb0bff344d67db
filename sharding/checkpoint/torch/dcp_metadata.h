// The .metadata file of a PyTorch Distributed Checkpoint: which tensors there are, in which chunks
// they were saved, and where each chunk lies. It is a pickle, which is read and never run.
// Source: torch/distributed/checkpoint/metadata.py and filesystem.py.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sharding/checkpoint/files.h"
#include "sharding/dtype.h"

namespace initrt {

/// A box of a tensor, saved by one rank as an archive of its own (torch_file.h, read_torch_item()).
struct DcpChunk {
  std::vector<std::uint64_t> offsets, sizes;  ///< per dimension of the tensor, in elements
  std::string file;                           ///< a plain name, beside the .metadata
  std::uint64_t offset = 0, bytes = 0;        ///< of the archive in that file
};

struct DcpTensor {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::uint64_t> shape;
  std::vector<DcpChunk> chunks;  ///< inside the tensor; empty ones are left out
};

struct DcpMetadata {
  std::vector<DcpTensor> tensors;   ///< in the order of the file
  std::vector<std::string> others;  ///< names of what is no tensor, saved as bytes
};

/// Reads and checks the .metadata file at `path`.
/// @throws Error naming the path, the tensor and the byte for anything that is not such a file, and
/// for chunks that were transformed (compressed, say) as they were saved.
[[nodiscard]] DcpMetadata read_dcp_metadata(Files& files, const std::string& path);

}  // namespace initrt

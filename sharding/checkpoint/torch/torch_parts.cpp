#include "sharding/checkpoint/torch/torch_parts.h"

namespace initrt {
namespace {

// Whether the elements follow one another in row-major order. Strides of dimensions that are one
// element long say nothing.
bool is_dense(const TorchTensor& tensor) {
  std::uint64_t step = 1;
  for (std::size_t d = tensor.shape.size(); d-- > 0;) {
    if (tensor.shape[d] == 0) return true;
    if (tensor.shape[d] > 1 && tensor.strides[d] != step) return false;
    step *= tensor.shape[d];
  }
  return true;
}

}  // namespace

TensorPart part_of(const TorchTensor& tensor, std::uint32_t file) {
  TensorPart part;
  part.file = file;
  part.offset = tensor.offset;
  if (!is_dense(tensor)) part.strides = tensor.strides;
  return part;
}

FileHeader read_torch_header(Files& files, const std::string& path) {
  TorchFile torch = read_torch_file(files, path);
  FileHeader header;
  header.file_bytes = torch.file_bytes;
  header.metadata = nlohmann::json::object();
  for (TorchTensor& tensor : torch.tensors) {
    TensorPart part = part_of(tensor, 0);
    header.tensors.push_back(
        {std::move(tensor.name), tensor.dtype, std::move(tensor.shape), {std::move(part)}});
  }
  return header;
}

}  // namespace initrt

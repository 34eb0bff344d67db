// PyTorch Distributed Checkpoints, what FSDP training jobs leave behind: `.metadata` says which
// file holds which box of which tensor; each box is a small PyTorch file of its own inside a
// *.distcp file (torch.distributed.checkpoint, FileSystemWriter).
#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/model_config.h"
#include "sharding/checkpoint/foreign_file.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/torch/dcp_metadata.h"
#include "sharding/checkpoint/torch/torch_parts.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kMetadata = ".metadata";
// Accelerate's folder for the first model of a training job, inside of the job's own.
constexpr std::string_view kAccelerate = "pytorch_model_fsdp_0";

// The directory that holds .metadata, of a path to it, to that file or to one that has it inside.
std::string checkpoint_directory(Files& files, std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (!is_directory(files, path)) return directory_of(path);
  if (is_file(files, join_path(path, kMetadata))) return path;
  return join_path(path, kAccelerate);
}

// Archives lie apart, so that to read them all takes no longer than their files are long.
void check_apart(const DcpMetadata& metadata, const std::string& path) {
  std::vector<const DcpChunk*> chunks;
  for (const DcpTensor& tensor : metadata.tensors) {
    for (const DcpChunk& chunk : tensor.chunks) chunks.push_back(&chunk);
  }
  std::sort(chunks.begin(), chunks.end(), [](const DcpChunk* a, const DcpChunk* b) {
    return std::tie(a->file, a->offset) < std::tie(b->file, b->offset);
  });
  for (std::size_t i = 1; i < chunks.size(); ++i) {
    const DcpChunk &before = *chunks[i - 1], &chunk = *chunks[i];
    if (chunk.file != before.file || chunk.offset - before.offset >= before.bytes) continue;
    fail("{}: the chunks at bytes {} and {} of {} overlap", path, before.offset, chunk.offset,
         quote(chunk.file));
  }
}

class Reader {
 public:
  Reader(Files& files, std::string directory, Catalog& catalog)
      : files_(files), directory_(std::move(directory)), catalog_(catalog) {}

  TensorEntry read(DcpTensor tensor) {
    TensorEntry entry{std::move(tensor.name), tensor.dtype, std::move(tensor.shape), {}};
    for (DcpChunk& chunk : tensor.chunks) {
      TensorPart part = read_chunk(entry, chunk);
      if (tensor.chunks.size() > 1 || chunk.sizes != entry.shape) {
        part.begin = std::move(chunk.offsets);
        part.shape = std::move(chunk.sizes);
      }
      entry.parts.push_back(std::move(part));
    }
    return entry;
  }

 private:
  TensorPart read_chunk(const TensorEntry& tensor, const DcpChunk& chunk) {
    const std::uint32_t file = file_of(chunk.file);
    const std::string& path = catalog_.files[file].path;
    const TorchTensor item = read_torch_item(files_, path, chunk.offset, chunk.bytes);
    if (item.dtype != tensor.dtype || item.shape != chunk.sizes) {
      fail("{}: byte {}: {} {}, but {} says that it is {} {} of tensor {}", path, chunk.offset,
           name(item.dtype), shape_text(item.shape), kMetadata, name(tensor.dtype),
           shape_text(chunk.sizes), quote(tensor.name));
    }
    return part_of(item, file);
  }

  std::uint32_t file_of(const std::string& name) {
    const auto [found, fresh] =
        index_.emplace(name, static_cast<std::uint32_t>(catalog_.files.size()));
    if (fresh) {
      const std::string path = join_path(directory_, name);
      catalog_.files.push_back({path, file_bytes(files_, path)});
    }
    return found->second;
  }

  Files& files_;
  const std::string directory_;
  Catalog& catalog_;
  std::unordered_map<std::string, std::uint32_t> index_;  // file name -> index in the catalog
};

}  // namespace

bool detect_dcp(Files& files, const std::string& path) {
  if (!is_directory(files, path)) return name_of(path) == kMetadata;
  return is_file(files, join_path(checkpoint_directory(files, path), kMetadata));
}

Catalog open_dcp(Files& files, const std::string& path) {
  const std::string directory = checkpoint_directory(files, path);
  const std::string metadata_path = join_path(directory, kMetadata);
  refuse_foreign(files, metadata_path);
  DcpMetadata metadata = read_dcp_metadata(files, metadata_path);
  check_apart(metadata, metadata_path);
  Catalog catalog;
  catalog.format = "dcp";
  catalog.path = path;
  catalog.metadata = nlohmann::json::object();
  Reader reader(files, directory, catalog);
  for (DcpTensor& tensor : metadata.tensors) {
    TensorEntry entry = reader.read(std::move(tensor));
    if (!entry.parts.empty()) {
      catalog.tensors.push_back(std::move(entry));
    } else if (entry.elements() > 0) {  // of an empty tensor nothing is stored
      fail("{}: tensor {} is stored nowhere", metadata_path, quote(entry.name));
    }
  }
  catalog.finish(SharedBytes::Allowed);
  catalog.config = read_model_config(files, directory, catalog);
  if (catalog.config.is_null() && name_of(directory) == kAccelerate) {
    catalog.config = read_model_config(files, directory_of(directory), catalog);
  }
  return catalog;
}

}  // namespace initrt

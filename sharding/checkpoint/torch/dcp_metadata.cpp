#include "sharding/checkpoint/torch/dcp_metadata.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_set>
#include <utility>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/torch/pickle.h"
#include "sharding/checkpoint/torch/torch_globals.h"
#include "sharding/checkpoint/weight_map.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Kind = PickleValue::Kind;

constexpr std::uint64_t kPiece = 1 << 20;     // bytes asked from Files at once
constexpr std::size_t kMaxName = 4096;        // of a tensor: it is compared for each of its chunks
constexpr std::size_t kMaxValues = 1u << 24;  // a chunk is about 30
constexpr std::size_t kMaxFileName = 255;
// What is shared in a pickle is read again wherever it is: these bound the time that takes.
constexpr std::size_t kMaxFields = 64;
constexpr std::uint64_t kMaxChunks = 1u << 22;

// Classes of torch.distributed.checkpoint.metadata.
constexpr std::string_view kMetadata = "torch.distributed.checkpoint.metadata.Metadata";
constexpr std::string_view kTensor = "torch.distributed.checkpoint.metadata.TensorStorageMetadata";
constexpr std::string_view kBytes = "torch.distributed.checkpoint.metadata.BytesStorageMetadata";
constexpr std::string_view kChunk = "torch.distributed.checkpoint.metadata.ChunkStorageMetadata";
constexpr std::string_view kIndex = "torch.distributed.checkpoint.metadata.MetadataIndex";
constexpr std::string_view kStored = "torch.distributed.checkpoint.filesystem._StorageInfo";
constexpr std::string_view kLayout = "torch.serialization._get_layout";

constexpr std::string_view kGlobals[] = {
    kMetadata,
    kTensor,
    kBytes,
    kChunk,
    kIndex,
    kStored,
    "torch.distributed.checkpoint.metadata.StorageMeta",
    "torch.distributed.checkpoint.metadata.TensorProperties",
    "torch.distributed.checkpoint.metadata._MEM_FORMAT_ENCODING",
    // Where those two were before PyTorch 2.3.
    "torch.distributed._shard.sharded_tensor.metadata.TensorProperties",
    "torch.distributed._shard.sharded_tensor.metadata.MEM_FORMAT_ENCODING",
    // The directory it was saved to.
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
};

std::span<const std::string_view> dcp_globals() {
  static const std::vector<std::string_view> all = with_torch_globals(kGlobals);
  return all;
}

/// Where a chunk lies, until a tensor takes it.
struct Stored {
  PickleRef info = 0;
  bool taken = false;
};

class MetadataReader {
 public:
  explicit MetadataReader(const Pickle& pickle) : pickle_(pickle) {}

  DcpMetadata read() {
    expect_class(pickle_.root, kMetadata, "the file");
    index_storage(field(pickle_.root, "storage_data"));
    const std::span<const PickleRef> entries =
        dictionary(field(pickle_.root, "state_dict_metadata"), "state_dict_metadata");
    DcpMetadata metadata;
    std::unordered_set<std::string_view> names;
    for (std::size_t i = 0; i < entries.size(); i += 2) {
      const std::string_view name = tensor_name(entries[i]);
      if (!names.insert(name).second) wrong(entries[i], "{} appears twice", quote(name));
      if (pickle_.is_call(entries[i + 1], kBytes)) {
        metadata.others.emplace_back(name);
      } else {
        metadata.tensors.push_back(read_tensor(name, entries[i + 1]));
      }
    }
    return metadata;
  }

 private:
  /// A chunk by its tensor's name and its offsets.
  using Key = std::pair<std::string_view, std::vector<std::uint64_t>>;

  template <class... Args>
  [[noreturn]] void wrong(PickleRef ref, fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: byte {}: {}", pickle_.where, pickle_[ref].byte,
         fmt::format(format, std::forward<Args>(args)...));
  }

  void expect_class(PickleRef ref, std::string_view expected, std::string_view what) const {
    const PickleObject* object = pickle_.object(ref);
    if (object == nullptr) pickle_.wrong_kind(ref, what, expected);
    const std::string_view found = pickle_.text(object->global);
    if (found != expected) wrong(ref, "{} is a {}, expected {}", what, found, expected);
  }

  [[nodiscard]] std::span<const PickleRef> dictionary(PickleRef ref, std::string_view what) const {
    if (pickle_[ref].kind != Kind::Dict) pickle_.wrong_kind(ref, what, "a dict");
    return pickle_.items(ref);
  }

  /// A field of an object, or nothing: one that is None may have been left out.
  [[nodiscard]] std::optional<PickleRef> find_field(PickleRef ref, std::string_view name) const {
    const PickleObject& object = *pickle_.object(ref);
    if (!object.has_state) wrong(ref, "{} has no fields", pickle_.text(object.global));
    const std::span<const PickleRef> fields = dictionary(object.state, "the fields of an object");
    if (fields.size() > 2 * kMaxFields) {
      wrong(ref, "{} has more than {} fields", pickle_.text(object.global), kMaxFields);
    }
    std::optional<PickleRef> found;
    for (std::size_t i = 0; i < fields.size(); i += 2) {
      if (pickle_.text(fields[i]) != name) continue;
      if (found) wrong(ref, "the field {} appears twice", name);
      found = fields[i + 1];
    }
    if (found && pickle_[*found].kind == Kind::None) return std::nullopt;
    return found;
  }

  [[nodiscard]] PickleRef field(PickleRef ref, std::string_view name) const {
    const std::optional<PickleRef> found = find_field(ref, name);
    if (!found) wrong(ref, "{} has no {}", pickle_.text(pickle_.object(ref)->global), name);
    return *found;
  }

  [[nodiscard]] std::string_view tensor_name(PickleRef ref) const {
    const std::string_view name = pickle_.string(ref, "the name of a tensor");
    if (name.size() > kMaxName) {
      wrong(ref, "the name of a tensor has {} bytes, at most {} are read", name.size(), kMaxName);
    }
    return name;
  }

  void index_storage(PickleRef storage_data) {
    const std::span<const PickleRef> entries = dictionary(storage_data, "storage_data");
    for (std::size_t i = 0; i < entries.size(); i += 2) {
      const PickleRef index = entries[i];
      expect_class(index, kIndex, "a key of storage_data");
      expect_class(entries[i + 1], kStored, "a value of storage_data");
      const std::optional<PickleRef> offset = find_field(index, "offset");
      if (!offset) continue;  // not a tensor's
      Key key{tensor_name(field(index, "fqn")), pickle_.naturals(*offset, "the offset of a chunk")};
      const auto [found, fresh] = storage_.emplace(std::move(key), Stored{entries[i + 1]});
      if (!fresh) {
        wrong(index, "the chunk of {} at [{}] is stored twice", quote(found->first.first),
              fmt::join(found->first.second, ", "));
      }
    }
  }

  DcpTensor read_tensor(std::string_view name, PickleRef ref) {
    const std::string who = "tensor " + quote(name);
    expect_class(ref, kTensor, who);
    DcpTensor tensor;
    tensor.name = name;
    tensor.shape = pickle_.naturals(field(ref, "size"), "the size of " + who);
    tensor.dtype = read_dtype(field(ref, "properties"), who);
    const PickleRef chunks = field(ref, "chunks");
    if (pickle_[chunks].kind != Kind::List) {
      pickle_.wrong_kind(chunks, "the chunks of " + who, "a list");
    }
    for (const PickleRef chunk : pickle_.items(chunks)) read_chunk(chunk, who, tensor);
    return tensor;
  }

  /// TensorProperties pickle as (dtype, layout, requires_grad, memory format, pinned, ...).
  [[nodiscard]] DType read_dtype(PickleRef properties, const std::string& who) const {
    const PickleObject* object = pickle_.object(properties);
    if (object == nullptr || !object->has_state) {
      pickle_.wrong_kind(properties, "the properties of " + who, "TensorProperties");
    }
    const std::span<const PickleRef> fields =
        pickle_.tuple(object->state, "the properties of " + who);
    if (fields.size() < 2) wrong(properties, "the properties of {} lack its layout", who);
    const PickleObject* layout = pickle_.object(fields[1]);
    const bool strided = layout != nullptr && pickle_.text(layout->global) == kLayout &&
                         pickle_.items(layout->args).size() == 1 &&
                         pickle_.text(pickle_.items(layout->args)[0]) == "torch.strided";
    if (!strided) wrong(properties, "{}: its layout is not torch.strided", who);
    const TorchType* type = torch_type(pickle_.text(fields[0]));
    if (type == nullptr) pickle_.wrong_kind(fields[0], "the dtype of " + who, "a dtype of torch");
    if (!type->dtype) wrong(fields[0], "{}: {} is not supported", who, type->global);
    return *type->dtype;
  }

  void read_chunk(PickleRef ref, const std::string& who, DcpTensor& tensor) {
    expect_class(ref, kChunk, "a chunk of " + who);
    if (++chunks_ > kMaxChunks) wrong(ref, "more than {} chunks", kMaxChunks);
    DcpChunk chunk;
    chunk.offsets = pickle_.naturals(field(ref, "offsets"), "the offsets of a chunk of " + who);
    chunk.sizes = pickle_.naturals(field(ref, "sizes"), "the sizes of a chunk of " + who);
    bool inside =
        chunk.offsets.size() == tensor.shape.size() && chunk.sizes.size() == tensor.shape.size();
    for (std::size_t i = 0; inside && i < tensor.shape.size(); ++i) {
      inside = chunk.offsets[i] <= tensor.shape[i] &&
               chunk.sizes[i] <= tensor.shape[i] - chunk.offsets[i];
    }
    if (!inside) {
      wrong(ref, "{}: a chunk of [{}] at [{}] leaves its size [{}]", who,
            fmt::join(chunk.sizes, ", "), fmt::join(chunk.offsets, ", "),
            fmt::join(tensor.shape, ", "));
    }
    // Of a tensor with fewer rows than ranks, some ranks hold nothing, all at the same place.
    if (std::find(chunk.sizes.begin(), chunk.sizes.end(), 0u) != chunk.sizes.end()) return;
    const auto stored = storage_.find(Key{tensor.name, chunk.offsets});
    if (stored == storage_.end() || std::exchange(stored->second.taken, true)) {
      wrong(ref, "{}: its chunk at [{}] {}", who, fmt::join(chunk.offsets, ", "),
            stored == storage_.end() ? "is stored nowhere" : "is there twice");
    }
    place(chunk, stored->second.info, who);
    tensor.chunks.push_back(std::move(chunk));
  }

  void place(DcpChunk& chunk, PickleRef info, const std::string& who) const {
    if (const std::optional<PickleRef> transforms = find_field(info, "transform_descriptors")) {
      const Kind kind = pickle_[*transforms].kind;
      const std::span<const PickleRef> names = pickle_.items(*transforms);
      if ((kind != Kind::List && kind != Kind::Tuple) || !names.empty()) {
        wrong(info, "{}: a chunk was saved through {}, which is not supported", who,
              names.empty() ? "a transform" : quote(pickle_.text(names[0])));
      }
    }
    const PickleRef file = field(info, "relative_path");
    chunk.file = file_name(file);
    chunk.offset = pickle_.natural(field(info, "offset"), "the offset of an archive");
    chunk.bytes = pickle_.natural(field(info, "length"), "the length of an archive");
  }

  /// The name of a file in the same directory, and nothing else.
  [[nodiscard]] std::string_view file_name(PickleRef ref) const {
    const std::string_view name = pickle_.string(ref, "relative_path");
    if (name.size() > kMaxFileName || !is_plain_file_name(name)) {
      wrong(ref, "relative_path is {}, expected the plain name of a file", quote(name));
    }
    return name;
  }

  const Pickle& pickle_;
  std::map<Key, Stored> storage_;
  std::uint64_t chunks_ = 0;
};

}  // namespace

DcpMetadata read_dcp_metadata(Files& files, const std::string& path) {
  const std::uint64_t bytes = file_bytes(files, path);
  WindowedReader reader(files, path, 0, bytes, kPiece);
  const Pickle pickle = read_pickle(reader, 0, bytes, path, dcp_globals(), {.values = kMaxValues});
  if (pickle.bytes != bytes) {
    fail("{}: {} bytes follow the pickle's end at byte {}", path, bytes - pickle.bytes,
         pickle.bytes);
  }
  return MetadataReader(pickle).read();
}

}  // namespace initrt

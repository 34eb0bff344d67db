#include "sharding/checkpoint/torch/torch_legacy.h"

#include <algorithm>
#include <unordered_set>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/torch/torch_globals.h"
#include "sharding/checkpoint/torch/torch_tensors.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Kind = PickleValue::Kind;
using namespace std::string_view_literals;

// 0x1950a86a20f9469cfc6c as a pickle has it: LONG1, ten bytes, little-endian.
constexpr std::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv;
constexpr std::uint64_t kMagicPickle = 64;  // bytes in which it ends: 15, with a frame 24
constexpr std::int64_t kProtocol = 1001;
constexpr std::uint64_t kPiece = 64
                                 << 10;  // bytes asked from Files at once: pickles have no length

class LegacyReader {
 public:
  LegacyReader(Files& files, const std::string& path)
      : files_(files), path_(path), bytes_(file_bytes(files, path)) {}

  std::vector<TorchTensor> read() {
    WindowedReader reader(files_, path_, 0, bytes_, kPiece);
    const Pickle magic = next(reader);
    if (magic.text(magic.root) != kMagic) fail("{}: wrong magic number at byte 0", path_);
    check_protocol(next(reader));
    check_machine(next(reader));
    const Pickle object = next(reader);
    TorchStorages storages = find_storages(object);
    const Pickle keys = next(reader);
    place_storages(keys, storages);
    return state_dict_of(object, storages);
  }

 private:
  Pickle next(WindowedReader& reader) {
    Pickle pickle =
        read_pickle(reader, position_, bytes_,
                    fmt::format("{}: pickle at byte {}", path_, position_), torch_globals());
    position_ += pickle.bytes;
    return pickle;
  }

  static void check_protocol(const Pickle& protocol) {
    const PickleValue& version = protocol[protocol.root];
    if (version.kind != Kind::Int || version.integer != kProtocol) {
      fail("{}: not the protocol version {} of PyTorch's old format", protocol.where, kProtocol);
    }
  }

  static void check_machine(const Pickle& machine) {
    const std::span<const PickleRef> facts = machine.items(machine.root);
    const bool dictionary = machine[machine.root].kind == Kind::Dict;
    for (std::size_t i = 0; dictionary && i < facts.size(); i += 2) {
      if (machine.text(facts[i]) == "little_endian" && machine[facts[i + 1]].integer == 1) return;
    }
    fail("{}: the file does not say that it is little-endian, as it must be", machine.where);
  }

  void place_storages(const Pickle& keys, TorchStorages& storages) {
    if (keys[keys.root].kind != Kind::List) {
      keys.wrong_kind(keys.root, "the keys of the storages", "a list");
    }
    WindowedReader counts(files_, path_, position_, bytes_, sizeof(std::uint64_t));
    std::unordered_set<std::string> seen;
    for (const PickleRef ref : keys.items(keys.root)) {
      const std::string key(keys.string(ref, "the key of a storage"));
      const auto found = storages.find(key);
      if (found == storages.end() || !seen.insert(key).second) {
        fail("{}: byte {}: storage {} is {}", keys.where, keys[ref].byte, quote(key),
             found == storages.end() ? "no tensor's" : "there twice");
      }
      place(counts, quote(key), found->second);
    }
    if (seen.size() != storages.size()) {
      fail("{}: {} keys of storages, but tensors have {}", keys.where, seen.size(),
           storages.size());
    }
    if (position_ != bytes_) {
      fail("{}: {} bytes follow the last storage, which ends at byte {}", path_, bytes_ - position_,
           position_);
    }
  }

  /// Takes the storage that comes next: its number of elements, then its bytes.
  void place(WindowedReader& counts, const std::string& key, TorchStorage& storage) {
    const auto elements =
        little_endian<std::uint64_t>(counts.view(position_, sizeof(std::uint64_t)), 0);
    if (elements != storage.elements) {
      fail("{}: byte {}: storage {} has {} elements here and {} in the pickle", path_, position_,
           key, elements, storage.elements);
    }
    position_ += sizeof(std::uint64_t);
    if (storage.bytes > bytes_ - position_) {
      fail("{}: truncated: storage {} has {} bytes from byte {} on, but {} are left", path_, key,
           storage.bytes, position_, bytes_ - position_);
    }
    storage.offset = position_;
    position_ += storage.bytes;
  }

  Files& files_;
  const std::string& path_;
  std::uint64_t bytes_;
  std::uint64_t position_ = 0;
};

}  // namespace

bool looks_like_torch_legacy(Files& files, const std::string& path) {
  const std::uint64_t bytes = std::min(file_bytes(files, path), kMagicPickle);
  const std::vector<std::byte> begin = files.read(path, 0, bytes);
  const std::string_view text(reinterpret_cast<const char*>(begin.data()), begin.size());
  return text.starts_with('\x80') && text.find(kMagic) < kMagicPickle / 2;
}

std::vector<TorchTensor> read_torch_legacy(Files& files, const std::string& path) {
  return LegacyReader(files, path).read();
}

}  // namespace initrt

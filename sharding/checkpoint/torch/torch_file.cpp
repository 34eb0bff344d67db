#include "sharding/checkpoint/torch/torch_file.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/foreign_file.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/torch/torch_globals.h"
#include "sharding/checkpoint/torch/torch_legacy.h"
#include "sharding/checkpoint/torch/torch_tensors.h"
#include "sharding/checkpoint/torch/zip_directory.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kZipMagic = "PK\x03\x04";
constexpr std::string_view kPickle = "/data.pkl";
constexpr std::uint64_t kTarMagic = 257;  // where a tar archive says "ustar"

std::string begin_of(Files& files, const std::string& path, std::uint64_t most) {
  const std::vector<std::byte> begin = files.read(path, 0, std::min(file_bytes(files, path), most));
  return {reinterpret_cast<const char*>(begin.data()), begin.size()};
}

/// The one member DIRECTORY/data.pkl, or nullptr where there are none or several.
const ZipEntry* pickle_member(const ZipDirectory& zip) {
  const ZipEntry* found = nullptr;
  for (const ZipEntry& entry : zip.entries()) {
    const std::string_view name = entry.name;
    if (!name.ends_with(kPickle) || name.find('/') != name.size() - kPickle.size()) continue;
    if (found != nullptr) return nullptr;
    found = &entry;
  }
  return found;
}

/// A zip archive that torch.save wrote: its pickle, and where the storages lie.
struct Archive {
  Pickle pickle;
  TorchStorages storages;
};

class ArchiveReader {
 public:
  explicit ArchiveReader(WindowedReader& reader)
      : reader_(reader),
        where_(reader.begin() == 0
                   ? reader.path()
                   : fmt::format("{}: archive at byte {}", reader.path(), reader.begin())),
        zip_(reader) {}

  Archive read() {
    const ZipEntry* member = pickle_member(zip_);
    if (member == nullptr) {
      fail("{}: a zip archive without one */data.pkl, which torch.save would have written", where_);
    }
    const std::string prefix = member->name.substr(0, member->name.size() - kPickle.size() + 1);
    if (zip_.find(prefix + "constants.pkl") != nullptr) {
      fail("{}: a TorchScript archive, which is a program: save its state_dict() with torch.save",
           where_);
    }
    Archive archive;
    archive.pickle = read_member(*member);
    check_byte_order(prefix + "byteorder");
    archive.storages = find_storages(archive.pickle);
    place_storages(prefix + "data/", archive.storages);
    return archive;
  }

 private:
  Pickle read_member(const ZipEntry& member) {
    const ZipRange range = zip_.member_range(member);
    const PickleLimits limits;
    if (member.bytes > limits.bytes) {
      fail("{}: data.pkl has {} bytes, more than the {} that are read", where_, member.bytes,
           limits.bytes);
    }
    (void)reader_.view(range.begin, member.bytes);  // in one read
    Pickle pickle =
        read_pickle(reader_, range.begin, range.end, where_ + ": data.pkl", torch_globals());
    if (pickle.bytes != member.bytes) {
      fail("{}: {} bytes follow its end at byte {}", pickle.where, member.bytes - pickle.bytes,
           pickle.bytes);
    }
    return pickle;
  }

  void check_byte_order(const std::string& name) {
    const ZipEntry* member = zip_.find(name);
    if (member == nullptr) return;  // before version 2.1: little-endian
    const ZipRange range = zip_.member_range(*member);
    const std::span<const std::byte> text =
        reader_.view(range.begin, std::min<std::uint64_t>(member->bytes, 16));
    const std::string_view order(reinterpret_cast<const char*>(text.data()), text.size());
    if (order != "little") {
      fail("{}: its byteorder is {}, expected \"little\"", where_, quote(order));
    }
  }

  /// In the order of the file, so that neighbours are one read.
  void place_storages(const std::string& prefix, TorchStorages& storages) {
    std::vector<std::pair<const ZipEntry*, TorchStorage*>> members;
    for (auto& [key, storage] : storages) {
      const std::string name = prefix + key;
      const ZipEntry* member = zip_.find(name);
      if (member == nullptr) fail("{}: zip member {} is missing", where_, quote(name));
      if (storage.bytes > member->bytes) {
        fail("{}: a storage of {} bytes, but zip member {} has {}", where_, storage.bytes,
             quote(name), member->bytes);
      }
      members.emplace_back(member, &storage);
    }
    std::sort(members.begin(), members.end(),
              [](const auto& a, const auto& b) { return a.first->header < b.first->header; });
    for (const auto& [member, storage] : members) {
      storage->offset = zip_.member_range(*member).begin;
    }
  }

  WindowedReader& reader_;
  std::string where_;
  ZipDirectory zip_;
};

}  // namespace

bool looks_like_torch(Files& files, const std::string& path) {
  const std::optional<FileInfo> found = files.stat(path);
  if (!found || found->kind != FileInfo::Kind::Regular) return false;
  if (!begin_of(files, path, kZipMagic.size()).starts_with(kZipMagic)) {
    return looks_like_torch_legacy(files, path);
  }
  // The first member, so that this holds for a truncated file too: torch.save's is the pickle,
  // Lit-GPT's incremental_save's a storage.
  const std::string header = begin_of(files, path, 30 + 1024);
  if (header.size() < 30) return false;
  const auto name_bytes = little_endian<std::uint16_t>(std::as_bytes(std::span(header)), 26);
  const std::string_view name = std::string_view(header).substr(30, name_bytes);
  return name.ends_with(kPickle) || name.find("/data/") != std::string_view::npos;
}

TorchFile read_torch_file(Files& files, const std::string& path) {
  TorchFile file;
  file.file_bytes = file_bytes(files, path);
  const std::string begin = begin_of(files, path, kTarMagic + 5);
  if (begin.starts_with(kZipMagic)) {
    WindowedReader reader(files, path, 0, file.file_bytes);
    const Archive archive = ArchiveReader(reader).read();
    file.tensors = state_dict_of(archive.pickle, archive.storages);
  } else if (looks_like_torch_legacy(files, path)) {
    file.tensors = read_torch_legacy(files, path);
  } else if (begin.ends_with("ustar")) {
    fail("{}: a tar archive, as PyTorch wrote before version 0.2: save it again with torch.save",
         path);
  } else {
    refuse_foreign(files, path);
    if (begin.size() > 8 && begin[8] == '{') {
      fail(
          "{}: not what torch.save() writes but safetensors, by its first bytes: call it "
          ".safetensors",
          path);
    }
    fail("{}: begins neither like a zip archive nor like a pickle that torch.save wrote", path);
  }
  return file;
}

TorchTensor read_torch_item(Files& files, const std::string& path, std::uint64_t offset,
                            std::uint64_t bytes) {
  const std::uint64_t size = file_bytes(files, path);
  if (offset > size || bytes > size - offset) {
    fail("{}: truncated: an archive of {} bytes at byte {}, but the file has {}", path, bytes,
         offset, size);
  }
  WindowedReader reader(files, path, offset, offset + bytes);
  const Archive archive = ArchiveReader(reader).read();
  return tensor_of(archive.pickle, archive.pickle.root, "", archive.storages);
}

}  // namespace initrt

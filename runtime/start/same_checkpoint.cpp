#include "runtime/start/same_checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <span>

#include "runtime/values/hash.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kSamples = 64, kSampleBytes = 4096;

constexpr const char* kAdvice =
    "copy one node's checkpoint to all others, or name a path that they share";

/// What a rank tells the others of its seat. Of a fixed size: a name is cut to it.
struct Seat {
  std::array<char, 72> node{};  // ends with a zero
  std::uint64_t first = 0;      // whether it is
};

enum class Difference : std::uint32_t { None, Missing, Size, Bytes };

/// How a node's checkpoint differs from the first node's.
struct Finding {
  Difference difference = Difference::None;
  std::uint32_t at = 0;     // the file, or of bytes the sample
  std::uint64_t bytes = 0;  // that the file has there
};

template <class Value>
std::vector<Value> gather(Communicator& comm, const Value& mine) {
  std::vector<Value> all(comm.size());
  comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

// SplitMix64's n-th number: for positions that repeat as the layers of a model do in no order.
std::uint64_t scattered(std::uint64_t n) {
  std::uint64_t x = (n + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Indices of the tensors that are read, ascending.
std::set<std::uint32_t> used_tensors(const Bindings& bindings) {
  std::set<std::uint32_t> used;
  for (const Binding& binding : bindings.tensors) {
    for (const RowRun& run : binding.runs) used.insert(run.source);
    if (!binding.quantized) continue;
    for (const QuantComponent& component : binding.quantized->components) {
      used.insert(component.tensor);
    }
  }
  return used;
}

std::set<std::uint32_t> used_files(const Catalog& catalog, const Bindings& bindings) {
  std::set<std::uint32_t> files;
  for (const std::uint32_t tensor : used_tensors(bindings)) {
    for (const TensorPart& part : catalog.tensors[tensor].parts) files.insert(part.file);
  }
  return files;
}

// Sizes are asked for first: a file that has another one need not be read.
Finding compare_sizes(Files& files, const Catalog& catalog, const Bindings& bindings) {
  for (const std::uint32_t at : used_files(catalog, bindings)) {
    const CheckpointFile& file = catalog.files[at];
    const std::optional<FileInfo> here = files.stat(file.path);
    if (!here) return {Difference::Missing, at};
    if (here->bytes != file.bytes) return {Difference::Size, at, here->bytes};
  }
  return {};
}

std::vector<Hash> hash_samples(Communicator& comm, Files& files, const Catalog& catalog,
                               std::span<const TensorSample> samples) {
  std::vector<Hash> hashes;
  for (const TensorSample& sample : samples) {
    Hasher hasher;
    hasher.add(files.read(catalog.files[sample.file].path, sample.offset, sample.bytes));
    hashes.push_back(hasher.value());
    comm.note_progress(Stage::Start, 0);
    comm.check();
  }
  return hashes;
}

// Every rank has the hashes of `root`.
std::vector<Hash> share_hashes(Communicator& comm, std::uint32_t root, std::vector<Hash> hashes) {
  const std::span<const std::byte> own = std::as_bytes(std::span(hashes));
  std::vector<std::byte> bytes(own.begin(), own.end());
  comm.broadcast(bytes, root);
  hashes.resize(bytes.size() / sizeof(Hash));
  if (!bytes.empty()) std::memcpy(hashes.data(), bytes.data(), bytes.size());
  return hashes;
}

std::string describe(const Finding& finding, const Catalog& catalog,
                     std::span<const TensorSample> samples, const std::string& here,
                     const std::string& there) {
  const auto path = [&](std::uint32_t file) { return catalog.files[file].path; };
  switch (finding.difference) {
    case Difference::None:
      break;
    case Difference::Missing:
      return fmt::format("{}: not on all nodes: {} has it, {} does not", path(finding.at), there,
                         here);
    case Difference::Size:
      return fmt::format("{}: not the same file on all nodes: {} bytes on {}, {} on {}",
                         path(finding.at), catalog.files[finding.at].bytes, there, finding.bytes,
                         here);
    case Difference::Bytes:
      const TensorSample& sample = samples[finding.at];
      return fmt::format(
          "{}: not the same file on all nodes: of the {} bytes from byte {} on, of {}, {} and {} "
          "have "
          "different ones",
          path(sample.file), sample.bytes, sample.offset,
          quote(catalog.tensors[sample.tensor].name), there, here);
  }
  return "";
}

}  // namespace

std::vector<TensorSample> choose_samples(const Catalog& catalog, const Bindings& bindings) {
  struct Part {
    std::uint32_t file, tensor;
    std::uint64_t offset, bytes;
  };
  std::vector<Part> parts;
  for (const std::uint32_t index : used_tensors(bindings)) {
    const TensorEntry& tensor = catalog.tensors[index];
    for (const TensorPart& part : tensor.parts) {
      const std::uint64_t bytes = tensor.extent_bytes(part);
      if (bytes > 0) parts.push_back({part.file, index, part.offset, bytes});
    }
  }
  std::vector<TensorSample> samples;
  if (parts.empty()) return samples;
  for (std::uint64_t i = 0; i < kSamples; ++i) {
    // One of each 64th of the parts, and any place in it.
    const std::uint64_t count = parts.size();
    const Part& part = parts[(i * count + scattered(2 * i) % count) / kSamples];
    const std::uint64_t bytes = std::min(part.bytes, kSampleBytes);
    const std::uint64_t offset = part.offset + scattered(2 * i + 1) % (part.bytes - bytes + 1);
    const TensorSample sample{part.file, part.tensor, offset, bytes};
    if (std::ranges::find(samples, sample) == samples.end()) samples.push_back(sample);
  }
  return samples;
}

void check_same_checkpoint(Communicator& comm, Files& files, const Catalog& catalog,
                           const Bindings& bindings, const NodeSeat& seat) {
  Seat mine{{}, seat.first ? 1u : 0u};
  seat.node.copy(mine.node.data(), mine.node.size() - 1);
  const std::vector<Seat> seats = gather(comm, mine);
  const auto is_first = [](const Seat& other) { return other.first != 0; };
  if (std::ranges::count_if(seats, is_first) < 2) return;
  const auto root =
      static_cast<std::uint32_t>(std::ranges::find_if(seats, is_first) - seats.begin());

  // The root's own sizes are those that headers were read against.
  const std::vector<TensorSample> samples = choose_samples(catalog, bindings);
  Finding finding;
  std::vector<Hash> hashes;
  if (seat.first && comm.rank() != root) finding = compare_sizes(files, catalog, bindings);
  if (seat.first && finding.difference == Difference::None) {
    hashes = hash_samples(comm, files, catalog, samples);
  }
  const std::vector<Hash> expected = share_hashes(comm, root, hashes);
  if (const auto differs = std::ranges::mismatch(hashes, expected).in1; differs != hashes.end()) {
    finding = {Difference::Bytes, static_cast<std::uint32_t>(differs - hashes.begin())};
  }
  const std::vector<Finding> findings = gather(comm, finding);
  const auto who = [&](std::size_t rank) {
    return fmt::format("node {} (rank {})", seats[rank].node.data(), rank);
  };
  for (std::size_t rank = 0; rank < findings.size(); ++rank) {
    if (findings[rank].difference == Difference::None) continue;
    fail("{}: {}", describe(findings[rank], catalog, samples, who(rank), who(root)), kAdvice);
  }
}

}  // namespace initrt

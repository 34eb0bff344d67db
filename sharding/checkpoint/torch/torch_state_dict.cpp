// The walk over a state dict: dictionaries in dictionaries, with tensors at the ends.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/torch/torch_tensors.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Kind = PickleValue::Kind;

constexpr int kMaxDepth = 64;  // of dictionaries in dictionaries
// Bytes of names and shapes over the whole walk, for each byte of the pickle: containers that share
// their parts could otherwise make a small pickle endless. Real ones take about 2.
constexpr std::uint64_t kMaxWalkPerByte = 64;
constexpr std::uint64_t kMinWalk = 64 << 10;
constexpr std::uint64_t kMaxWalk = 256ull << 20;

class StateDict {
 public:
  StateDict(const Pickle& pickle, const TorchStorages& storages)
      : pickle_(pickle),
        storages_(storages),
        limit_(std::min(kMinWalk + kMaxWalkPerByte * pickle.bytes, kMaxWalk)) {}

  std::vector<TorchTensor> read() {
    if (pickle_[pickle_.root].kind != Kind::Dict &&
        !pickle_.is_call(pickle_.root, "collections.OrderedDict")) {
      throw NoModelFile(fmt::format(
          "{}: it holds {}, expected a dictionary of tensors", pickle_.where,
          is_tensor(pickle_, pickle_.root) ? "one tensor" : kind_name(pickle_[pickle_.root].kind)));
    }
    walk(pickle_.root, "", 1);
    std::unordered_set<std::string_view> names;
    for (const TorchTensor& tensor : tensors_) {
      if (!names.insert(tensor.name).second) {
        fail("{}: tensor {} appears twice", pickle_.where, quote(tensor.name));
      }
    }
    return std::move(tensors_);
  }

 private:
  void spend(std::uint64_t bytes) {
    walked_ += bytes;
    if (walked_ > limit_) {
      fail("{}: the names and shapes in it take more than {} bytes", pickle_.where, limit_);
    }
  }

  void walk(PickleRef ref, const std::string& name, int depth) {
    if (depth > kMaxDepth) {
      fail("{}: byte {}: nested more than {} deep, or inside itself", pickle_.where,
           pickle_[ref].byte, kMaxDepth);
    }
    const Kind kind = pickle_[ref].kind;
    if (kind == Kind::Dict || kind == Kind::Object) {
      walk_dictionary(ref, name, depth);
      return;
    }
    const std::span<const PickleRef> items = pickle_.items(ref);
    for (std::size_t i = 0; i < items.size(); ++i) enter(items[i], name, std::to_string(i), depth);
  }

  void walk_dictionary(PickleRef ref, const std::string& name, int depth) {
    std::unordered_set<std::string> keys;
    const auto entry = [&](PickleRef key, PickleRef value) {
      const auto [text, fresh] = keys.insert(key_text(key));
      if (!fresh) {
        fail("{}: byte {}: key {} appears twice", pickle_.where, pickle_[key].byte, quote(*text));
      }
      enter(value, name, *text, depth);
    };
    // Python 2 gives an OrderedDict its items as one list of pairs.
    if (const PickleObject* call = pickle_.object(ref)) {
      for (const PickleRef list : pickle_.items(call->args)) {
        spend(sizeof list);
        for (const PickleRef pair : pickle_.items(list)) {
          const std::span<const PickleRef> items = pickle_.items(pair);
          if (items.size() != 2) pickle_.wrong_kind(pair, "an item of an OrderedDict", "a pair");
          entry(items[0], items[1]);
        }
      }
    }
    const std::span<const PickleRef> items = pickle_.items(ref);
    for (std::size_t i = 0; i < items.size(); i += 2) entry(items[i], items[i + 1]);
  }

  [[nodiscard]] std::string key_text(PickleRef key) const {
    if (pickle_[key].kind == Kind::Int) return std::to_string(pickle_[key].integer);
    return std::string(pickle_.string(key, "a key of the dictionary"));
  }

  /// Takes the value where it is a tensor, walks it where it can hold some.
  void enter(PickleRef ref, const std::string& name, std::string_view key, int depth) {
    spend(16 + key.size());
    const bool tensor = is_tensor(pickle_, ref);
    const Kind kind = pickle_[ref].kind;
    const bool container = kind == Kind::Dict || kind == Kind::List || kind == Kind::Tuple ||
                           pickle_.is_call(ref, "collections.OrderedDict");
    if (!tensor && !container) return;
    std::string full = name.empty() ? std::string(key) : fmt::format("{}.{}", name, key);
    spend(full.size());
    if (container) {
      walk(ref, full, depth + 1);
      return;
    }
    tensors_.push_back(tensor_of(pickle_, ref, std::move(full), storages_));
    spend(sizeof(TorchTensor) + 16 * tensors_.back().shape.size());
  }

  const Pickle& pickle_;
  const TorchStorages& storages_;
  std::vector<TorchTensor> tensors_;
  std::uint64_t limit_, walked_ = 0;
};

}  // namespace

std::vector<TorchTensor> state_dict_of(const Pickle& pickle, const TorchStorages& storages) {
  return StateDict(pickle, storages).read();
}

}  // namespace initrt

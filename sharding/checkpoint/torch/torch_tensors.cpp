#include "sharding/checkpoint/torch/torch_tensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sharding/checked.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/torch/torch_globals.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Kind = PickleValue::Kind;

constexpr std::size_t kMaxKey = 255;  // of a storage; real ones have 20 digits at most

/// Calls that rebuild a tensor from a storage: (storage, offset, size, stride, ...).
struct Rebuild {
  std::string_view global;
  std::size_t least, most;  // arguments
  std::size_t dtype;        // which argument is the dtype; 0 where the storage's is
  std::size_t metadata;     // which one says that it is a negated or conjugated view
};
constexpr Rebuild kRebuilds[] = {
    {"torch._utils._rebuild_tensor", 4, 4, 0, 4},
    {"torch._utils._rebuild_tensor_v2", 6, 7, 0, 6},
    {"torch._utils._rebuild_tensor_v3", 7, 8, 6, 7},
};

/// Calls around those.
constexpr std::string_view kFromType = "torch._tensor._rebuild_from_type_v2";
constexpr std::string_view kParameters[] = {"torch._utils._rebuild_parameter",
                                            "torch._utils._rebuild_parameter_with_state"};

bool is_parameter(std::string_view global) {
  return std::find(std::begin(kParameters), std::end(kParameters), global) != std::end(kParameters);
}

const Rebuild* rebuild(std::string_view global) {
  const auto* found = std::find_if(std::begin(kRebuilds), std::end(kRebuilds),
                                   [&](const Rebuild& call) { return call.global == global; });
  return found == std::end(kRebuilds) ? nullptr : found;
}

struct StorageId {
  const TorchType* type;
  std::string key;
  std::uint64_t elements;
};

/// ('storage', class, key, location, elements), in older files with a view of it (or None) after.
StorageId storage_id(const Pickle& pickle, PickleRef ref) {
  const std::uint32_t byte = pickle[ref].byte;
  const std::span<const PickleRef> id =
      pickle.tuple(pickle.items(ref)[0], "the persistent id of a storage");
  if (id.empty() || pickle.text(id[0]) != "storage") {
    fail("{}: byte {}: a persistent id that is not a storage's", pickle.where, byte);
  }
  if (id.size() != 5 && id.size() != 6) {
    fail("{}: byte {}: the persistent id of a storage has {} parts, expected 5 or 6", pickle.where,
         byte, id.size());
  }
  if (id.size() == 6 && pickle[id[5]].kind != Kind::None) {
    fail("{}: byte {}: a storage that is a view of another one, which is not supported",
         pickle.where, byte);
  }
  const TorchType* type = torch_type(pickle.text(id[1]));
  if (type == nullptr) pickle.wrong_kind(id[1], "the class of a storage", "torch.*Storage");
  // torch.save gives text, Lit-GPT's incremental_save numbers.
  const PickleRef given = id[2];
  std::string key = pickle[given].kind == Kind::Int
                        ? std::to_string(pickle[given].integer)
                        : std::string(pickle.string(given, "the key of a storage"));
  if (key.size() > kMaxKey) {
    fail("{}: byte {}: the key of a storage has {} bytes, at most {} are expected", pickle.where,
         byte, key.size(), kMaxKey);
  }
  return {type, std::move(key), pickle.natural(id[4], "the elements of a storage")};
}

/// One call of the functions in kRebuilds, whatever is around it.
struct Call {
  const Rebuild* rebuild;
  std::span<const PickleRef> args;
};

class TensorReader {
 public:
  TensorReader(const Pickle& pickle, const TorchStorages& storages, std::string_view name)
      : pickle_(pickle), storages_(storages), name_(name) {}

  [[nodiscard]] TorchTensor read(PickleRef ref) const {
    const Call call = innermost(ref);
    if (pickle_[call.args[0]].kind != Kind::PersistentId) {
      wrong(call.args[0], "its storage is {}, expected a persistent id",
            kind_name(pickle_[call.args[0]].kind));
    }
    const StorageId id = storage_id(pickle_, call.args[0]);
    const TorchType& type = type_of(call, *id.type);
    if (call.args.size() > call.rebuild->metadata)
      check_metadata(call.args[call.rebuild->metadata]);
    TorchTensor tensor;
    tensor.dtype = *type.dtype;
    tensor.shape = pickle_.naturals(call.args[2], of("the shape"));
    tensor.strides = pickle_.naturals(call.args[3], of("the strides"));
    if (tensor.shape.size() != tensor.strides.size()) {
      wrong(ref, "{} dimensions, but {} strides", tensor.shape.size(), tensor.strides.size());
    }
    const std::uint64_t first = pickle_.natural(call.args[1], of("the offset"));
    const TorchStorage& storage = storages_.at(id.key);
    const std::uint64_t room = storage.bytes / type.bytes;
    if (first > room || extent(tensor) > room - first) {
      wrong(ref, "shape [{}], strides [{}] and offset {} leave its storage {} of {} elements",
            fmt::join(tensor.shape, ", "), fmt::join(tensor.strides, ", "), first, quote(id.key),
            room);
    }
    tensor.offset = storage.offset + first * type.bytes;
    return tensor;
  }

 private:
  template <class... Args>
  [[noreturn]] void wrong(PickleRef ref, fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: byte {}: {}: {}", pickle_.where, pickle_[ref].byte, who(),
         fmt::format(format, std::forward<Args>(args)...));
  }
  [[nodiscard]] std::string who() const {
    return name_.empty() ? "the tensor" : "tensor " + quote(name_);
  }
  [[nodiscard]] std::string of(std::string_view what) const {
    return fmt::format("{} of {}", what, who());
  }

  [[nodiscard]] PickleRef arg(PickleRef call, std::span<const PickleRef> args, std::size_t index,
                              Kind kind) const {
    if (index >= args.size()) wrong(call, "a call with {} arguments, expected more", args.size());
    if (pickle_[args[index]].kind != kind) {
      wrong(call, "argument {} is {}, expected {}", index, kind_name(pickle_[args[index]].kind),
            kind_name(kind));
    }
    return args[index];
  }

  /// A parameter is at most a call around a call around a call.
  [[nodiscard]] Call innermost(PickleRef ref) const {
    const PickleObject* object = pickle_.object(ref);
    if (object == nullptr) {
      wrong(ref, "{} is not a tensor", kind_name(pickle_[ref].kind));
    }
    std::string_view global = pickle_.text(object->global);
    std::span<const PickleRef> args = pickle_.items(object->args);
    for (int around = 0; around < 4; ++around) {
      if (const Rebuild* call = rebuild(global)) {
        if (args.size() < call->least || args.size() > call->most) {
          wrong(ref, "{} has {} arguments, expected {} to {}", global, args.size(), call->least,
                call->most);
        }
        return {call, args};
      }
      if (is_parameter(global)) {
        object = pickle_.object(arg(ref, args, 0, Kind::Object));
        global = pickle_.text(object->global);
        args = pickle_.items(object->args);
      } else if (global == kFromType) {
        const std::string_view subclass = pickle_.text(arg(ref, args, 1, Kind::Global));
        if (subclass != "torch.Tensor") wrong(ref, "a {}, expected torch.Tensor", subclass);
        global = pickle_.text(arg(ref, args, 0, Kind::Global));
        args = pickle_.items(arg(ref, args, 2, Kind::Tuple));
      } else {
        break;
      }
    }
    wrong(ref, "{} does not rebuild a tensor", global);
  }

  [[nodiscard]] const TorchType& type_of(const Call& call, const TorchType& storage) const {
    const TorchType* type = &storage;
    if (call.rebuild->dtype != 0) {
      const PickleRef dtype = call.args[call.rebuild->dtype];
      type = torch_type(pickle_.text(dtype));
      if (type == nullptr) pickle_.wrong_kind(dtype, of("the dtype"), "a dtype of torch");
    }
    if (!type->dtype) wrong(call.args[0], "{} is not supported", type->global);
    return *type;
  }

  /// {'neg': True}, {'conj': True}: the values are not those in the storage.
  void check_metadata(PickleRef ref) const {
    const Kind kind = pickle_[ref].kind;
    if (kind != Kind::None && (kind != Kind::Dict || !pickle_.items(ref).empty())) {
      wrong(ref, "a negated or conjugated view, or one with unknown metadata, is not supported");
    }
  }

  /// Elements from the first one to the end of the last one.
  [[nodiscard]] std::uint64_t extent(const TorchTensor& tensor) const {
    if (std::find(tensor.shape.begin(), tensor.shape.end(), 0u) != tensor.shape.end()) return 0;
    std::uint64_t elements = 1;
    const std::string what = pickle_.where + ": " + of("the extent");
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      elements = checked_sum(
          what, {elements, checked_product(what, {tensor.shape[i] - 1, tensor.strides[i]})});
    }
    return elements;
  }

  const Pickle& pickle_;
  const TorchStorages& storages_;
  std::string_view name_;
};

}  // namespace

bool is_tensor(const Pickle& pickle, PickleRef ref) {
  const PickleObject* call = pickle.object(ref);
  if (call == nullptr) return false;
  const std::string_view global = pickle.text(call->global);
  return rebuild(global) != nullptr || is_parameter(global) || global == kFromType;
}

TorchStorages find_storages(const Pickle& pickle) {
  TorchStorages storages;
  for (PickleRef ref = 0; ref < pickle.values().size(); ++ref) {
    if (pickle[ref].kind != Kind::PersistentId) continue;
    const StorageId id = storage_id(pickle, ref);
    const std::uint64_t bytes = checked_product(
        fmt::format("{}: storage {}", pickle.where, quote(id.key)), {id.elements, id.type->bytes});
    const auto [found, fresh] = storages.try_emplace(id.key, TorchStorage{id.elements, bytes, 0});
    if (!fresh && found->second.bytes != bytes) {
      fail("{}: byte {}: storage {} has {} bytes here and {} before", pickle.where,
           pickle[ref].byte, quote(id.key), bytes, found->second.bytes);
    }
  }
  return storages;
}

TorchTensor tensor_of(const Pickle& pickle, PickleRef ref, std::string name,
                      const TorchStorages& storages) {
  TorchTensor tensor = TensorReader(pickle, storages, name).read(ref);
  tensor.name = std::move(name);
  return tensor;
}

}  // namespace initrt

// A pickle with the names of a state dict, and the tensors in it.
#include "sharding/checkpoint/torch/pickle.h"

#include "sharding/checkpoint/torch/torch_globals.h"
#include "sharding/checkpoint/torch/torch_tensors.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sharding/memory_files.h"

using namespace initrt;

namespace {

void expect_invariants(const Pickle& pickle) {
  const std::size_t values = pickle.values().size();
  const auto check = [&](PickleRef ref) {
    if (ref >= values) fuzz::finding("a reference to no value");
  };
  check(pickle.root);
  for (PickleRef ref = 0; ref < values; ++ref) {
    using Kind = PickleValue::Kind;
    const Kind kind = pickle[ref].kind;
    if (pickle[ref].byte >= pickle.bytes) fuzz::finding("a value from outside the pickle");
    (void)pickle.text(ref);
    const std::span<const PickleRef> items = pickle.items(ref);
    for (const PickleRef item : items) check(item);
    if ((kind == Kind::Dict || kind == Kind::Object) && items.size() % 2 != 0) {
      fuzz::finding("a key without a value");
    }
    if (kind == Kind::PersistentId && items.size() != 1) fuzz::finding("the items of an id");
    if (const PickleObject* object = pickle.object(ref)) {
      check(object->global);
      check(object->args);
      check(object->state);
      if (pickle[object->global].kind != Kind::Global) fuzz::finding("a call of no global");
    }
  }
}

void expect_invariants(const TorchTensor& tensor, std::uint64_t longest) {
  if (tensor.strides.size() != tensor.shape.size()) fuzz::finding("the strides of a tensor");
  std::uint64_t last = tensor.offset;
  for (std::size_t d = 0; d < tensor.shape.size(); ++d) {
    if (tensor.shape[d] == 0) return;
    last += (tensor.shape[d] - 1) * tensor.strides[d] * bytes_of(tensor.dtype, 1);
  }
  if (last >= longest) fuzz::finding("a tensor outside of every storage");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string path = "m.pkl";
  testing::MemoryFiles files;
  files.content[path] = fuzz::text_of(data, bytes);
  return fuzz::one_input(path, [&] {
    WindowedReader reader(files, path, 0, bytes);
    const Pickle pickle = read_pickle(reader, 0, bytes, path, torch_globals());
    expect_invariants(pickle);
    const TorchStorages storages = find_storages(pickle);
    std::uint64_t longest = 0;
    for (const auto& [key, storage] : storages) longest = std::max(longest, storage.bytes);
    if (is_tensor(pickle, pickle.root)) {
      expect_invariants(tensor_of(pickle, pickle.root, "root", storages), longest);
    }
    for (const TorchTensor& tensor : state_dict_of(pickle, storages)) {
      expect_invariants(tensor, longest);
    }
  });
}

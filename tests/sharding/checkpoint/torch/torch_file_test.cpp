// PyTorch's files, archives and the older format, as they should be.
#include <gtest/gtest.h>

#include <optional>

#include "tests/sharding/checkpoint/torch/torch_files.h"

namespace initrt {
namespace {

using namespace testing;
using namespace std::string_literals;

using Numbers = std::vector<std::uint64_t>;

std::vector<std::string> names_of(const TorchFile& file) {
  std::vector<std::string> names;
  for (const TorchTensor& tensor : file.tensors) names.push_back(tensor.name);
  return names;
}

float value_at(const std::string& content, const TorchTensor& tensor, const Numbers& index) {
  std::uint64_t at = tensor.offset;
  for (std::size_t i = 0; i < index.size(); ++i) at += 4 * index[i] * tensor.strides[i];
  float value = 0;
  std::memcpy(&value, content.data() + at, sizeof value);
  return value;
}

TEST(TorchFile, ViewsOfAStorageAreTheirStrides) {
  const std::string value = py_dict({{py_string("whole"), matrix()},
                                     {py_string("transposed"), floats({6, 4}, {1, 6}).call()},
                                     {py_string("slice"), floats({2, 3}, {6, 1}, 8).call()},
                                     {py_string("expanded"), floats({5, 3}, {0, 1}, 21).call()},
                                     {py_string("scalar"), floats({}, {}, 23).call()},
                                     {py_string("empty"), floats({0, 4}, {4, 1}, 24).call()}});
  for (const std::string& content : {archive_of(value), legacy_of(value)}) {
    const TorchFile file = read_torch(content);
    EXPECT_EQ(file.file_bytes, content.size());
    ASSERT_EQ(names_of(file), (std::vector<std::string>{"whole", "transposed", "slice", "expanded",
                                                        "scalar", "empty"}));
    EXPECT_EQ(file.tensors[1].shape, (Numbers{6, 4}));
    EXPECT_EQ(file.tensors[1].strides, (Numbers{1, 6}));
    EXPECT_EQ(value_at(content, file.tensors[0], {1, 2}), 8);
    EXPECT_EQ(value_at(content, file.tensors[1], {2, 1}), 8);
    EXPECT_EQ(value_at(content, file.tensors[2], {1, 2}), 16);
    EXPECT_EQ(value_at(content, file.tensors[3], {4, 2}), 23);
    EXPECT_EQ(value_at(content, file.tensors[4], {}), 23);
  }
}

TEST(TorchFile, NestedDictionariesJoinTheirKeys) {
  const std::string inner = ordered_dict() +
                            py_items({{py_string("x"), matrix()}, {py_int(7), matrix()}}) +
                            py_dict({{py_string("_metadata"), ordered_dict()}}) + "b";
  const TorchFile file = read_torch(archive_of(
      py_dict({{py_string("model"), inner},
               {py_string("list"), py_list({"N", matrix(), py_tuple({matrix()})})},
               {py_string("step"), "K\1"},
               {py_string("size"), py_call(py_global("torch", "Size"), {py_tuple({"K\1"})})},
               {py_string("dtype"), py_global("torch", "float16")},
               {py_string("rate"), "G" + raw(0.1)}})));
  EXPECT_EQ(names_of(file), (std::vector<std::string>{"model.x", "model.7", "list.1", "list.2.0"}));
}

TEST(TorchFile, Python2sOrderedDictIsAListOfPairs) {
  const std::string pairs = py_list({py_list({"U\1a", matrix()}), py_list({"U\1b", matrix()})});
  EXPECT_EQ(
      names_of(read_torch(archive_of(py_call(py_global("collections", "OrderedDict"), {pairs})))),
      (std::vector<std::string>{"a", "b"}));
  expect_says(torch_error(archive_of(py_call(py_global("collections", "OrderedDict"),
                                             {py_list({py_list({"U\1a"})})}))),
              {"an item of an OrderedDict is a list, expected a pair"});
}

TEST(TorchFile, EveryDtypeIsKnownByItsStorageOrByName) {
  struct Case {
    const char* storage;
    const char* dtype;
    DType expected;
    std::int64_t bytes;
  };
  constexpr Case kCases[] = {{"DoubleStorage", "float64", DType::F64, 8},
                             {"FloatStorage", "float32", DType::F32, 4},
                             {"HalfStorage", "float16", DType::F16, 2},
                             {"BFloat16Storage", "bfloat16", DType::BF16, 2},
                             {"LongStorage", "int64", DType::I64, 8},
                             {"IntStorage", "int32", DType::I32, 4},
                             {"ShortStorage", "int16", DType::I16, 2},
                             {"CharStorage", "int8", DType::I8, 1},
                             {"ByteStorage", "uint8", DType::U8, 1},
                             {"BoolStorage", "bool", DType::BOOL, 1},
                             {nullptr, "float8_e4m3fn", DType::F8_E4M3, 1},
                             {nullptr, "float8_e5m2", DType::F8_E5M2, 1},
                             {nullptr, "float8_e4m3fnuz", DType::F8_E4M3FNUZ, 1},
                             {nullptr, "float8_e5m2fnuz", DType::F8_E5M2FNUZ, 1},
                             {nullptr, "float8_e8m0fnu", DType::F8_E8M0, 1},
                             {"ComplexFloatStorage", "complex64", DType::C64, 8},
                             {nullptr, "uint64", DType::U64, 8},
                             {nullptr, "uint32", DType::U32, 4},
                             {nullptr, "uint16", DType::U16, 2}};
  for (const Case& type : kCases) {
    const std::string data(static_cast<std::size_t>(2 * type.bytes), 'x');
    PyTensor tensor{py_tuple({py_string("storage"), py_global("torch.storage", "UntypedStorage"),
                              py_string("0"), py_string("cpu"), py_int(2 * type.bytes)}) +
                        "Q",
                    1,
                    {1},
                    {1},
                    py_global("torch", type.dtype)};
    std::vector<std::string> calls = {
        py_call(py_global("torch._utils", "_rebuild_tensor_v3"), tensor.args())};
    if (type.storage != nullptr) {
      calls.push_back(PyTensor{py_storage(type.storage, "0", 2), 1, {1}, {1}}.call());
    }
    for (const std::string& call : calls) {
      const std::string content =
          torch_archive(pickle(py_dict({{py_string("w"), call}})), {data}).file();
      const TorchFile file = read_torch(content);
      EXPECT_EQ(file.tensors[0].dtype, type.expected);
      EXPECT_EQ(content.find("PK\x07\x08", file.tensors[0].offset),
                file.tensors[0].offset + static_cast<std::uint64_t>(type.bytes));
    }
  }
}

TEST(TorchFile, DtypesThatAreNotSupportedAreNamed) {
  PyTensor tensor{py_storage("ComplexDoubleStorage", "0", 6), 0, {6}, {1}};
  expect_says(torch_error(archive_with(tensor.call())),
              {"tensor \"w\": torch.ComplexDoubleStorage is not supported"});
  tensor.storage = py_storage("FloatStorage", "0", 24);
  tensor.more = py_global("torch", "float4_e2m1fn_x2");
  const std::string v3 = py_call(py_global("torch._utils", "_rebuild_tensor_v3"), tensor.args());
  expect_says(torch_error(archive_with(v3)),
              {"tensor \"w\": torch.float4_e2m1fn_x2 is not supported"});
  tensor.more = "K\1";
  const std::string no_dtype =
      py_call(py_global("torch._utils", "_rebuild_tensor_v3"), tensor.args());
  expect_says(torch_error(archive_with(no_dtype)),
              {"the dtype of tensor \"w\" is a number, expected a dtype of torch"});
}

TEST(TorchFile, ParametersAndTensorsWithAttributesAreTheirTensors) {
  const std::string v1 = py_call(
      py_global("torch._utils", "_rebuild_tensor"),
      {py_storage("FloatStorage", "0", 24), py_int(2), py_tuple({"K\2"}), py_tuple({"K\1"})});
  const std::string parameter =
      py_call(py_global("torch._utils", "_rebuild_parameter"), {matrix(), "\x88", ordered_dict()});
  const std::string with_state = py_call(py_global("torch._utils", "_rebuild_parameter_with_state"),
                                         {matrix(), "\x88", ordered_dict(), "}"});
  const auto from_type = [](const std::string& type) {
    return py_call(py_global("torch._tensor", "_rebuild_from_type_v2"),
                   {py_global("torch._utils", "_rebuild_tensor_v2"), type,
                    py_tuple(floats({4, 6}, {6, 1}).args()), "}"});
  };
  for (const std::string& call :
       {v1, parameter, with_state, from_type(py_global("torch", "Tensor"))}) {
    EXPECT_EQ(names_of(read_torch(archive_with(call))), std::vector<std::string>{"w"});
  }
  expect_says(torch_error(archive_with(from_type(py_global("torch", "Size")))),
              {"tensor \"w\": a torch.Size, expected torch.Tensor"});
  expect_says(
      torch_error(archive_with(py_call(py_global("torch._utils", "_rebuild_parameter"), {}))),
      {"tensor \"w\": a call with 0 arguments, expected more"});
  expect_says(torch_error(archive_with(
                  py_call(py_global("torch._utils", "_rebuild_parameter"), {ordered_dict()}))),
              {"tensor \"w\": collections.OrderedDict does not rebuild a tensor"});
  std::string deep = matrix();
  for (int i = 0; i < 5; ++i) {
    deep = py_call(py_global("torch._utils", "_rebuild_parameter"), {deep, "\x88", "N"});
  }
  expect_says(torch_error(archive_with(deep)), {"tensor \"w\"", "does not rebuild a tensor"});
}

TEST(TorchFile, LooksAreByContent) {
  MemoryFiles files;
  const auto looks = [&](const std::string& content) {
    files.content["m.bin"] = content;
    return looks_like_torch(files, "m.bin");
  };
  EXPECT_TRUE(looks(archive_with(matrix())));
  EXPECT_TRUE(looks(archive_with(matrix()).substr(0, 200))) << "a truncated one is torch's still";
  EXPECT_TRUE(looks(legacy_of("}")));
  EXPECT_FALSE(looks(ZipWriter().member("a.txt", "b").file()));
  EXPECT_FALSE(looks("PK\x03\x04"));
  EXPECT_FALSE(looks(pickle("N")));
  EXPECT_FALSE(looks(""));
  EXPECT_FALSE(looks_like_torch(files, "missing.bin"));
}

/// Counts the reads of what it passes on to.
class CountingFiles final : public Files {
 public:
  MemoryFiles files;
  int reads = 0;
  std::uint64_t bytes = 0;

  std::optional<FileInfo> stat(const std::string& path) override { return files.stat(path); }
  std::vector<std::string> list(const std::string& path) override { return files.list(path); }
  std::vector<std::byte> read(const std::string& path, std::uint64_t offset,
                              std::uint64_t count) override {
    ++reads;
    bytes += count;
    return files.read(path, offset, count);
  }
};

TEST(TorchFile, AnItemCostsTwoSmallReadsHoweverLargeItIs) {
  const std::string data = storage_bytes() + std::string(1 << 20, 'x');
  const std::string item = torch_archive(pickle(matrix()), {data}).file();
  CountingFiles files;
  files.files.content["0.distcp"] = item + item;
  (void)read_torch_item(files, "0.distcp", item.size(), item.size());
  EXPECT_EQ(files.reads, 2);
  EXPECT_LE(files.bytes, 3072u);
}

TEST(TorchFile, AnItemIsAnArchiveInsideAFile) {
  const std::string item = torch_archive(pickle(matrix()), {storage_bytes()}).file();
  MemoryFiles files;
  files.content["0.distcp"] = item + item + "tail";
  const TorchTensor second = read_torch_item(files, "0.distcp", item.size(), item.size());
  EXPECT_EQ(second.shape, (Numbers{4, 6}));
  EXPECT_EQ(second.name, "");
  EXPECT_EQ(value_at(files.content["0.distcp"], second, {3, 5}), 23);
  EXPECT_EQ(second.offset, item.size() + read_torch_item(files, "0.distcp", 0, item.size()).offset);
  expect_says(error_of([&] { (void)read_torch_item(files, "0.distcp", item.size(), ~0ull); }),
              {"0.distcp: truncated: an archive of 18446744073709551615 bytes at byte"});
  expect_says(error_of([&] { (void)read_torch_item(files, "0.distcp", 0, item.size() + 1); }),
              {"0.distcp: no zip directory before byte"});
  files.content["0.distcp"] = torch_archive(pickle("}")).file();
  expect_says(error_of([&] {
                (void)read_torch_item(files, "0.distcp", 0, files.content["0.distcp"].size());
              }),
              {"0.distcp: data.pkl: byte 2: the tensor: a dict is not a tensor"});
}

}  // namespace
}  // namespace initrt

// Distributed checkpoints, right and in every way wrong.
#include "sharding/checkpoint/torch/dcp_metadata.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "sharding/checkpoint/catalog.h"
#include "tests/sharding/checkpoint/torch/pickle_writer.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using namespace testing;
using namespace std::string_literals;

using Ints = std::vector<std::int64_t>;
using Numbers = std::vector<std::uint64_t>;

constexpr const char* kModule = "torch.distributed.checkpoint.metadata";

std::string object(const char* name, const PyItems& fields, const char* module = kModule) {
  return py_global(module, name) + ")\x81" + py_dict(fields) + "b";
}
std::string size(const Ints& numbers) {
  return py_call(py_global("torch", "Size"), {py_ints(numbers)});
}

std::string properties(const std::string& dtype, const std::string& layout = "torch.strided") {
  return py_global(kModule, "TensorProperties") + ")\x81" +
         py_tuple({py_global("torch", dtype),
                   py_call(py_global("torch.serialization", "_get_layout"), {py_string(layout)}),
                   "\x89", py_call(py_global(kModule, "_MEM_FORMAT_ENCODING"), {"K\0"s}), "\x89",
                   py_ints({1})}) +
         "b";
}
std::string chunk(const Ints& offsets, const Ints& sizes) {
  return object("ChunkStorageMetadata",
                {{py_string("offsets"), size(offsets)}, {py_string("sizes"), size(sizes)}});
}
std::string tensor(const Ints& shape, const std::vector<std::string>& chunks,
                   const std::string& props = properties("bfloat16")) {
  return object("TensorStorageMetadata", {{py_string("properties"), props},
                                          {py_string("size"), size(shape)},
                                          {py_string("chunks"), py_list(chunks)}});
}
std::string index(const std::string& name, const Ints& offsets) {
  return object("MetadataIndex", {{py_string("fqn"), py_string(name)},
                                  {py_string("index"), "N"},
                                  {py_string("offset"), size(offsets)}});
}
std::string stored(const std::string& file, std::int64_t offset, std::int64_t bytes,
                   const PyItems& more = {}) {
  PyItems fields = {{py_string("relative_path"), py_string(file)},
                    {py_string("offset"), py_int(offset)},
                    {py_string("length"), py_int(bytes)}};
  fields.insert(fields.end(), more.begin(), more.end());
  return object("_StorageInfo", fields, "torch.distributed.checkpoint.filesystem");
}

/// A .metadata of these tensors and places.
std::string metadata(const PyItems& tensors, const PyItems& storage) {
  return pickle(object(
      "Metadata",
      {{py_string("state_dict_metadata"), py_dict(tensors)},
       {py_string("planner_data"), py_dict({{py_string("w"), "N"}})},
       {py_string("storage_data"), py_dict(storage)},
       {py_string("storage_meta"),
        object("StorageMeta", {{py_string("checkpoint_id"),
                                py_call(py_global("pathlib", "PosixPath"), {py_string("d")})}})},
       {py_string("version"), py_string("1.0.0")}}));
}
/// One tensor "w" of 5 x 3, in chunks of 3 and 2 rows.
std::string two_chunks(const std::string& second_chunk = chunk({3, 0}, {2, 3}),
                       const std::string& second_index = index("w", {3, 0}),
                       const std::string& second_place = stored("b", 0, 50)) {
  return metadata({{py_string("w"), tensor({5, 3}, {chunk({0, 0}, {3, 3}), second_chunk})}},
                  {{index("w", {0, 0}), stored("a", 100, 60)}, {second_index, second_place}});
}

DcpMetadata read(const std::string& content) {
  MemoryFiles files;
  files.content["d/.metadata"] = content;
  return read_dcp_metadata(files, "d/.metadata");
}

std::string error_in(const std::string& content) {
  const std::string text = error_of([&] { (void)read(content); });
  EXPECT_TRUE(text.starts_with("d/.metadata: ")) << text;
  return text;
}

void expect_says(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(DcpMetadata, ChunksAndTheirPlacesAreWhatTheFileSays) {
  const std::string bytes_index =
      object("MetadataIndex", {{py_string("fqn"), py_string("step")}, {py_string("index"), "N"}});
  const DcpMetadata found = read(
      metadata({{py_string("w"), tensor({5, 3}, {chunk({0, 0}, {3, 3}), chunk({3, 0}, {2, 3})})},
                {py_string("step"), py_global(kModule, "BytesStorageMetadata") + ")\x81"},
                {py_string("scalar"), tensor({}, {chunk({}, {})}, properties("float32"))}},
               {{index("w", {3, 0}), stored("__1_0.distcp", 7, 50)},
                {bytes_index, stored("__0_0.distcp", 0, 9)},
                {index("scalar", {}), stored("__0_0.distcp", 69, 40)},
                {index("w", {0, 0}), stored("__0_0.distcp", 9, 60)}}));
  EXPECT_EQ(found.others, std::vector<std::string>{"step"});
  ASSERT_EQ(found.tensors.size(), 2u);
  const DcpTensor& w = found.tensors[0];
  EXPECT_EQ(w.name, "w");
  EXPECT_EQ(w.dtype, DType::BF16);
  EXPECT_EQ(w.shape, (Numbers{5, 3}));
  ASSERT_EQ(w.chunks.size(), 2u);
  EXPECT_EQ(w.chunks[1].offsets, (Numbers{3, 0}));
  EXPECT_EQ(w.chunks[1].sizes, (Numbers{2, 3}));
  EXPECT_EQ(w.chunks[1].file, "__1_0.distcp");
  EXPECT_EQ(w.chunks[1].offset, 7u);
  EXPECT_EQ(w.chunks[1].bytes, 50u);
  EXPECT_EQ(found.tensors[1].shape, Numbers{});
  EXPECT_EQ(found.tensors[1].chunks[0].bytes, 40u);
}

TEST(DcpMetadata, EmptyChunksAreLeftOut) {
  const DcpMetadata found = read(metadata(
      {{py_string("w"),
        tensor({1, 3}, {chunk({0, 0}, {1, 3}), chunk({1, 0}, {0, 3}), chunk({1, 0}, {0, 3})})},
       {py_string("none"), tensor({0, 3}, {chunk({0, 0}, {0, 3})})}},
      {{index("w", {0, 0}), stored("a", 0, 60)}, {index("w", {1, 0}), stored("b", 0, 60)}}));
  EXPECT_EQ(found.tensors[0].chunks.size(), 1u);
  EXPECT_TRUE(found.tensors[1].chunks.empty());
}

TEST(DcpMetadata, EveryTruncationIsAnError) {
  const std::string whole = two_chunks();
  ASSERT_NO_THROW((void)read(whole));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    expect_says(error_in(whole.substr(0, bytes)), {"truncated at byte"});
  }
  expect_says(error_in(whole + "N."), {"2 bytes follow the pickle's end"});
}

TEST(DcpMetadata, NamesOfFilesArePlain) {
  for (const char* file :
       {"", ".", "..", "/etc/passwd", "../a", "a/b", "a\nb", "a\x7f", "a\x81q", "a\xc2\x9b"}) {
    expect_says(error_in(two_chunks(chunk({3, 0}, {2, 3}), index("w", {3, 0}), stored(file, 0, 1))),
                {"relative_path is \"", "expected the plain name of a file"});
  }
  expect_says(error_in(two_chunks(chunk({3, 0}, {2, 3}), index("w", {3, 0}),
                                  stored(std::string(256, 'a'), 0, 1))),
              {"expected the plain name of a file"});
}

TEST(DcpMetadata, ChunksOutsideTheirTensorAreErrors) {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  for (const std::string& outside :
       {chunk({3, 0}, {3, 3}), chunk({6, 0}, {1, 3}), chunk({3}, {2}), chunk({3, 0, 0}, {2, 3, 1}),
        chunk({3, 0}, {2}), chunk({kHuge, 0}, {kHuge, 3})}) {
    expect_says(error_in(two_chunks(outside)), {"tensor \"w\": a chunk of [", "leaves its size"});
  }
  expect_says(error_in(two_chunks(chunk({3, 0}, {-2, 3}))), {"is -2, which is negative"});
}

TEST(DcpMetadata, ChunksAndPlacesMustMatch) {
  expect_says(error_in(two_chunks(chunk({3, 0}, {2, 3}), index("v", {3, 0}))),
              {"tensor \"w\": its chunk at [3, 0] is stored nowhere"});
  expect_says(error_in(two_chunks(chunk({3, 0}, {2, 3}), index("w", {3, 1}))),
              {"its chunk at [3, 0] is stored nowhere"});
  expect_says(error_in(two_chunks(chunk({0, 0}, {3, 3}))), {"its chunk at [0, 0] is there twice"});
  expect_says(error_in(two_chunks(chunk({3, 0}, {2, 3}), index("w", {0, 0}))),
              {"the chunk of \"w\" at [0, 0] is stored twice"});
  const std::string one = tensor({1}, {chunk({0}, {1})});
  expect_says(error_in(metadata({{py_string("w"), one}, {py_string("w"), one}},
                                {{index("w", {0}), stored("a", 0, 1)}})),
              {"\"w\" appears twice"});
}

TEST(DcpMetadata, TransformedChunksAreRefusedByName) {
  const auto with = [](const std::string& transforms) {
    return two_chunks(chunk({3, 0}, {2, 3}), index("w", {3, 0}),
                      stored("b", 0, 1, {{py_string("transform_descriptors"), transforms}}));
  };
  expect_says(error_in(with(py_list({py_string("zstd.v1")}))),
              {"tensor \"w\": a chunk was saved through \"zstd.v1\", which is not supported"});
  expect_says(error_in(with(py_string("zstd"))), {"a chunk was saved through a transform"});
  EXPECT_NO_THROW((void)read(with("N")));
  EXPECT_NO_THROW((void)read(with("]")));
}

TEST(DcpMetadata, DtypesAndLayoutsThatAreNotSupportedAreNamed) {
  const auto error = [](const std::string& props) {
    return error_in(metadata({{py_string("w"), tensor({1}, {chunk({0}, {1})}, props)}},
                             {{index("w", {0}), stored("a", 0, 1)}}));
  };
  expect_says(error(properties("complex128")), {"tensor \"w\": torch.complex128 is not supported"});
  expect_says(error(properties("Size")), {"the dtype of tensor \"w\" is a global, expected"});
  expect_says(error(properties("float32", "torch.sparse_coo")),
              {"tensor \"w\": its layout is not torch.strided"});
  expect_says(error(py_global(kModule, "TensorProperties") + ")\x81)b"), {"lack its layout"});
  expect_says(error(py_global(kModule, "TensorProperties") + ")\x81}b"),
              {"the properties of tensor \"w\" is a dict, expected a tuple"});
  expect_says(error("K\1"), {"the properties of tensor \"w\" is a number"});
}

TEST(DcpMetadata, OtherClassesThanExpectedAreErrors) {
  expect_says(error_in(pickle("}")), {"the file is a dict, expected", "Metadata"});
  expect_says(error_in(pickle(chunk({0}, {1}))),
              {"the file is a", "ChunkStorageMetadata, expected"});
  expect_says(error_in(pickle(object("Metadata", {}))), {"has no storage_data"});
  expect_says(error_in(pickle(py_global(kModule, "Metadata") + ")\x81")), {"has no fields"});
  expect_says(error_in(pickle(object("Metadata", {{py_string("storage_data"), "]"}}))),
              {"storage_data is a list, expected a dict"});
  expect_says(error_in(pickle(object("Metadata", {{py_string("storage_data"), "}"},
                                                  {py_string("storage_data"), "}"}}))),
              {"the field storage_data appears twice"});
  expect_says(error_in(pickle(object("Metadata", PyItems(65, {py_string("x"), "N"})))),
              {"has more than 64 fields"});
  expect_says(error_in(metadata({}, {{"N", "N"}})), {"a key of storage_data is None"});
  expect_says(error_in(metadata({}, {{index("w", {0}), "N"}})),
              {"a value of storage_data is None"});
  expect_says(error_in(metadata({}, {{index(std::string(70'000, 'n'), {0}), stored("a", 0, 1)}})),
              {"the name of a tensor has 70000 bytes"});
  expect_says(error_in(metadata({{py_string("w"), "N"}}, {})), {"tensor \"w\" is None, expected"});
}

TEST(DcpMetadata, WhatMetadataDoesNotNeedIsRefusedAndNotRun) {
  expect_says(error_in(pickle(py_call(py_global("os", "system"), {py_string("true")}))),
              {"byte 2: the global \"os.system\" is not one that tensors need; nothing of it was"});
  expect_says(error_in(pickle(py_string("subprocess") + py_string("Popen") + "\x93)R")),
              {"the global \"subprocess.Popen\""});
}

/// An archive as a rank saves it: one contiguous bfloat16 matrix.
std::string item(std::int64_t rows, std::int64_t columns,
                 const std::string& storage = "BFloat16Storage") {
  const std::int64_t elements = rows * columns;
  const PyTensor tensor{py_storage(storage, "0", elements), 0, {rows, columns}, {columns, 1}};
  return torch_archive(pickle(tensor.call()),
                       {std::string(static_cast<std::size_t>(elements) * 2, 'x')})
      .file();
}

/// The checkpoint of two_chunks(): the first chunk behind 100 other bytes.
MemoryFiles checkpoint() {
  MemoryFiles files;
  const std::string first = item(3, 3), second = item(2, 3);
  const auto bytes = [](const std::string& text) { return static_cast<std::int64_t>(text.size()); };
  files.content["d/a"] = std::string(100, 'o') + first + "more";
  files.content["d/b"] = second;
  files.content["d/.metadata"] =
      metadata({{py_string("w"), tensor({5, 3}, {chunk({0, 0}, {3, 3}), chunk({3, 0}, {2, 3})})},
                {py_string("none"), tensor({0, 3}, {})}},
               {{index("w", {0, 0}), stored("a", 100, bytes(first))},
                {index("w", {3, 0}), stored("b", 0, bytes(second))}});
  return files;
}

TEST(Dcp, ChunksBecomePartsOfOneTensor) {
  MemoryFiles files = checkpoint();
  const Catalog catalog = open_checkpoint(files, "d");
  EXPECT_EQ(catalog.format, "dcp");
  ASSERT_EQ(catalog.tensors.size(), 1u) << "of the empty tensor nothing is stored";
  const TensorEntry& entry = catalog.tensors[0];
  EXPECT_EQ(entry.shape, (Numbers{5, 3}));
  ASSERT_EQ(entry.parts.size(), 2u);
  for (const TensorPart& part : entry.parts) {
    const std::string& file = files.content.at(catalog.files[part.file].path);
    EXPECT_EQ(file.substr(part.offset, part.shape[0] * 6), std::string(part.shape[0] * 6, 'x'));
  }
  EXPECT_EQ(entry.parts[1].begin, (Numbers{3, 0}));
  EXPECT_EQ(open_checkpoint(files, "d/.metadata").tensors.size(), 1u);
}

TEST(Dcp, WhatTheFilesHoldMustBeWhatTheMetadataSays) {
  const auto error_with = [](const std::string& name, const std::string& content) {
    MemoryFiles files = checkpoint();
    files.content["d/" + name] = content;
    return error_of([&] { (void)open_checkpoint(files, "d"); });
  };
  MemoryFiles missing = checkpoint();
  missing.content.erase("d/b");
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(missing, "d"); }), "d/b: no such file");
  expect_says(error_with("b", item(3, 2)), {"d/b: byte 0: BF16 [3, 2]", "BF16 [2, 3] of tensor"});
  expect_says(error_with("b", item(2, 3, "HalfStorage")), {"F16 [2, 3]", "says that it is BF16"});
  expect_says(error_with("a", "short"), {"d/a: truncated"});
  expect_says(error_with("b", std::string(item(2, 3).size(), 'z')), {"d/b"});
}

// Millions of chunks could otherwise be the same archive, read again for each.
TEST(Dcp, ArchivesThatOverlapAreRefusedBeforeTheyAreRead) {
  for (const std::int64_t offset : {100, 159}) {
    MemoryFiles files;
    files.content["d/.metadata"] =
        two_chunks(chunk({3, 0}, {2, 3}), index("w", {3, 0}), stored("a", offset, 60));
    EXPECT_EQ(
        error_of([&] { (void)open_checkpoint(files, "d"); }),
        "d/.metadata: the chunks at bytes 100 and " + std::to_string(offset) + " of \"a\" overlap");
  }
  MemoryFiles files;
  files.content["d/.metadata"] =
      two_chunks(chunk({3, 0}, {2, 3}), index("w", {3, 0}), stored("a", 160, 60));
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(files, "d"); }), "d/a: no such file");
}

TEST(Dcp, WhatTrainingLeavesBesideItIsNotTheModel) {
  MemoryFiles files = checkpoint();
  files.content["d/meta.pt"] = torch_archive(pickle(py_dict({{py_string("step"), "K\1"}}))).file();
  EXPECT_EQ(open_checkpoint(files, "d").format, "dcp");
  EXPECT_EQ(open_checkpoint(files, "d/meta.pt").format, "pytorch");
  files.content.erase("d/.metadata");
  EXPECT_EQ(open_checkpoint(files, "d").format, "pytorch");
}

TEST(Dcp, ChunksMustCoverTheirTensorOnce) {
  MemoryFiles files = checkpoint();
  const auto error_of_chunks = [&](const Ints& shape, const std::vector<std::string>& chunks) {
    files.content["d/.metadata"] = metadata(
        {{py_string("w"), tensor(shape, chunks)}},
        {{index("w", {0, 0}), stored("a", 100, static_cast<std::int64_t>(item(3, 3).size()))}});
    return error_of([&] { (void)open_checkpoint(files, "d"); });
  };
  EXPECT_EQ(error_of_chunks({5, 3}, {chunk({0, 0}, {3, 3})}),
            "d/a: tensor \"w\": its parts hold 9 of 15 elements");
  EXPECT_EQ(error_of_chunks({5, 3}, {}), "d/.metadata: tensor \"w\" is stored nowhere");
}

TEST(DcpMetadata, DamagedFilesAreReadOrRefused) {
  const std::string whole = two_chunks();
  std::mt19937_64 rng(1);
  int good = 0;
  for (int round = 0; round < 2'000; ++round) {
    std::string bytes = whole;
    bytes[rng() % bytes.size()] = static_cast<char>(rng());
    try {
      for (const DcpTensor& found : read(bytes).tensors) {
        ++good;
        for (const DcpChunk& one : found.chunks) {
          ASSERT_EQ(one.sizes.size(), found.shape.size());
          for (std::size_t i = 0; i < one.sizes.size(); ++i) {
            ASSERT_LE(one.offsets[i] + one.sizes[i], found.shape[i]);
          }
        }
      }
    } catch (const Error& error) {
      ASSERT_TRUE(is_one_line(error.what())) << error.what();
    }
  }
  EXPECT_GT(good, 50);
  EXPECT_LT(good, 1600);
}

}  // namespace
}  // namespace initrt

// Zip archives, whole files and inside others, right and in every way wrong.
#include "sharding/checkpoint/torch/zip_directory.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/sharding/checkpoint/torch/zip_writer.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using testing::error_of;
using testing::MemoryFiles;
using testing::patch;
using testing::raw;
using testing::ZipWriter;

ZipWriter three_members() {
  ZipWriter zip;
  zip.zip64 = true;
  return zip.member("a/data.pkl", "pickle")
      .member("a/data/0", std::string(300, 'x'))
      .member("a/data/1", "");
}

/// Reads the archive at [begin, begin + bytes) of a file, and all of its members' places.
std::string error_in(const std::string& content, std::uint64_t begin = 0) {
  MemoryFiles files;
  files.content["m.bin"] = content;
  const std::string text = error_of([&] {
    WindowedReader reader(files, "m.bin", begin, content.size());
    ZipDirectory zip(reader);
    for (const ZipEntry& entry : zip.entries()) (void)zip.member_range(entry);
  });
  EXPECT_TRUE(text.starts_with("m.bin: ")) << text;
  return text;
}

void expect_says(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(ZipDirectory, MembersAreWhereTheirHeadersSay) {
  for (const bool zip64 : {false, true}) {
    for (const bool in_64 : {false, true}) {
      for (const std::size_t comment : {0u, 5u, 2000u, 65535u}) {
        for (const std::size_t before : {0u, 77u}) {
          ZipWriter writer;
          writer.zip64 = zip64;
          writer.in_64 = in_64;
          writer.comment.assign(comment, 'c');
          writer.member("a/data.pkl", "pickle").member("a/data/0", std::string(300, 'x'));
          MemoryFiles files;
          const std::string content = std::string(before, '-') + writer.file();
          files.content["m.bin"] = content + "after";
          WindowedReader reader(files, "m.bin", before, content.size());
          ZipDirectory zip(reader);
          ASSERT_EQ(zip.entries().size(), 2u);
          const ZipRange pickle = zip.member_range(*zip.find("a/data.pkl"));
          EXPECT_EQ(content.substr(pickle.begin, pickle.end - pickle.begin), "pickle");
          const ZipRange data = zip.member_range(*zip.find("a/data/0"));
          EXPECT_EQ((data.begin - before) % 64, 0u);
          EXPECT_EQ(content.substr(data.begin, data.end - data.begin), std::string(300, 'x'));
          EXPECT_EQ(zip.find("a/data/1"), nullptr);
        }
      }
    }
  }
}

TEST(ZipDirectory, EveryTruncationIsAnError) {
  const std::string whole = three_members().file();
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    (void)error_in(whole.substr(0, bytes));
  }
  EXPECT_EQ(error_in(whole.substr(0, whole.size() - 1)),
            "m.bin: no zip directory before byte " + std::to_string(whole.size() - 1) +
                ": not a zip archive, or a truncated one");
}

TEST(ZipDirectory, BytesBeforeTheArchiveAreAnError) {
  expect_says(error_in("#!/bin/sh\n" + ZipWriter().member("a", "b").file()),
              {"a zip directory of 47 bytes at ", "does not end at byte"});
  expect_says(error_in("#!/bin/sh\n" + three_members().file()),
              {"does not hold the zip64 end record"});
}

TEST(ZipDirectory, CompressedAndEncryptedMembersAreRefused) {
  std::string content = three_members().file();
  patch(content, testing::kZipEntry, 10, raw<std::uint16_t>(8), 1);
  EXPECT_EQ(error_in(content),
            "m.bin: zip member \"a/data/0\" is stored compressed, cannot be read in ranges; "
            "save it again with torch.save");
  for (const std::uint16_t flag : {1, 1 << 6, 1 << 13}) {
    content = three_members().file();
    patch(content, testing::kZipEntry, 8, raw(flag));
    EXPECT_EQ(error_in(content),
              "m.bin: zip member \"a/data.pkl\" is encrypted, which is not supported");
  }
  content = three_members().file();
  patch(content, testing::kZipEntry, 20, raw<std::uint32_t>(30), 1);
  EXPECT_EQ(error_in(content), "m.bin: zip member \"a/data/0\" has 300 bytes, but 30 are stored");
}

TEST(ZipDirectory, SplitArchivesAreRefused) {
  struct Case {
    std::string_view record;
    std::size_t at;
    std::string value;
  };
  for (const Case& split : std::vector<Case>{{testing::kZip64Locator, 4, raw(1u)},
                                             {testing::kZip64Locator, 16, raw(2u)},
                                             {testing::kZip64End, 16, raw(1u)},
                                             {testing::kZip64End, 20, raw(1u)},
                                             {testing::kZip64End, 24, raw<std::uint64_t>(2)},
                                             {testing::kZipEntry, 34, raw<std::uint16_t>(1)}}) {
    std::string content = three_members().file();
    patch(content, split.record, split.at, split.value);
    expect_says(error_in(content), {"m.bin: byte ", "split in several files"});
  }
  for (const std::size_t at : {4, 6, 8}) {
    std::string content = ZipWriter().member("a", "b").file();
    patch(content, testing::kZipEnd, at, raw<std::uint16_t>(7));
    expect_says(error_in(content), {"split in several files"});
  }
}

TEST(ZipDirectory, NamesGivenTwiceAreErrors) {
  expect_says(error_in(ZipWriter().member("a", "1").member("a", "2").file()),
              {"zip member \"a\" appears twice"});
}

TEST(ZipDirectory, OverlappingMembersAreErrors) {
  std::string content = three_members().file();
  patch(content, testing::kZipEntry, 42, raw<std::uint32_t>(0), 1);  // the header of the first
  expect_says(error_in(content), {"overlap what is at byte 0"});
  content = three_members().file();
  for (const std::size_t at : {20, 24}) {
    patch(content, testing::kZipEntry, at, raw<std::uint32_t>(5000));
  }
  expect_says(error_in(content), {"\"a/data.pkl\": its 5000 bytes from byte 0 on overlap"});
  content = three_members().file();
  for (const std::size_t at : {20, 24}) {
    patch(content, testing::kZipEntry, at, raw<std::uint32_t>(5000), 2);
  }
  expect_says(error_in(content), {"\"a/data/1\": its 5000 bytes from byte", "overlap"});
  content = three_members().file();  // fits before the next header, but for the extra field
  patch(content, testing::kZipLocal, 28, raw<std::uint16_t>(100));
  expect_says(error_in(content), {"\"a/data.pkl\": its 6 bytes at byte", "overlap"});
}

TEST(ZipDirectory, PlacesOutsideTheArchiveAreErrors) {
  std::string content = three_members().file();
  patch(content, testing::kZipEntry, 42, raw<std::uint32_t>(100'000), 1);
  expect_says(error_in(content),
              {"\"a/data/0\": its header at 100000 is not before the directory"});
  for (const std::uint64_t offset : {1ull << 40, ~0ull, 0ull}) {
    content = three_members().file();
    patch(content, testing::kZip64End, 48, raw(offset));
    patch(content, testing::kZipEnd, 16, raw(~0u));
    expect_says(error_in(content), {"a zip directory of", "does not end at byte"});
  }
  for (const std::uint64_t offset : {1ull << 40, ~0ull, ~0ull - 60}) {
    content = three_members().file();
    patch(content, testing::kZip64Locator, 8, raw(offset));
    expect_says(error_in(content), {"the zip64 end record at", "does not lie before it"});
  }
  ZipWriter in_64;
  in_64.in_64 = true;
  const std::string whole = in_64.member("a", "b").file();
  const std::size_t field = whole.rfind("XX") + 5;
  for (const std::uint64_t huge : {1ull << 60, ~0ull}) {
    content = whole;
    content.replace(field + 4, 16, raw(huge) + raw(huge));
    expect_says(error_in(content), {"\"a\": its", "bytes from byte 0 on overlap"});
    content = whole;
    content.replace(field + 20, 8, raw(huge));
    expect_says(error_in(content), {"\"a\": its header at"});
  }
}

TEST(ZipDirectory, CountsThatCannotBeTrueAreErrors) {
  std::string content = three_members().file();
  for (const std::size_t at : {24, 32}) patch(content, testing::kZip64End, at, raw(1ull << 60));
  for (const std::size_t at : {8, 10}) patch(content, testing::kZipEnd, at, raw<std::uint16_t>(~0));
  expect_says(error_in(content), {"1152921504606846976 zip entries cannot fit in a directory of"});
  content = ZipWriter().member("a", "b").member("c", "d").file();
  for (const std::size_t at : {8, 10}) patch(content, testing::kZipEnd, at, raw<std::uint16_t>(1));
  expect_says(error_in(content), {"47 bytes follow the last of 1 zip entries"});
  content = ZipWriter().member(std::string(60, 'a'), "b").file();
  for (const std::size_t at : {8, 10}) patch(content, testing::kZipEnd, at, raw<std::uint16_t>(2));
  expect_says(error_in(content), {"does not hold a zip entry, as the directory's count says"});
}

TEST(ZipDirectory, RecordsThatDisagreeAreErrors) {
  for (const std::size_t at : {10, 12, 16}) {
    std::string content = three_members().file();
    patch(content, testing::kZipEnd, at, raw<std::uint16_t>(2));
    expect_says(error_in(content), {"the zip64 end record and the one after it disagree"});
  }
  std::string content = three_members().file();
  patch(content, testing::kZip64End, 4, raw<std::uint64_t>(45));
  expect_says(error_in(content), {"does not hold the zip64 end record that byte"});
}

TEST(ZipDirectory, ALocalHeaderThatIsNotTheEntrysIsAnError) {
  const std::function<void(std::string&)> faults[] = {
      [](std::string& file) { patch(file, testing::kZipLocal, 0, "XX", 1); },
      [](std::string& file) { patch(file, testing::kZipLocal, 30, "b", 1); },
      [](std::string& file) { patch(file, testing::kZipLocal, 26, raw<std::uint16_t>(7), 1); }};
  for (const auto& fault : faults) {
    std::string content = three_members().file();
    fault(content);
    expect_says(error_in(content), {"zip member \"a/data/0\": byte", "does not hold its header"});
  }
  for (const std::size_t at : {6, 8}) {
    std::string content = three_members().file();
    patch(content, testing::kZipLocal, at, raw<std::uint16_t>(9));
    expect_says(error_in(content), {"its header at byte 0 is not what the directory says"});
  }
  std::string content = three_members().file();  // sizes in the header, but other ones
  patch(content, testing::kZipLocal, 6, raw<std::uint16_t>(0));
  patch(content, testing::kZipEntry, 8, raw<std::uint16_t>(0));
  patch(content, testing::kZipLocal, 18, raw(6u) + raw(7u));
  expect_says(error_in(content), {"7 bytes in its header at byte 0, but 6 in the directory"});
}

TEST(ZipDirectory, BrokenEntriesAreErrors) {
  for (const std::size_t at : {28, 30, 32}) {
    std::string content = three_members().file();
    patch(content, testing::kZipEntry, at, raw<std::uint16_t>(60'000), 2);
    expect_says(error_in(content), {"the zip entry at byte", "leaves the directory"});
  }
  ZipWriter in_64;
  in_64.in_64 = true;
  std::string content = in_64.member("a", "b").file();
  content.replace(content.rfind("XX") + 7, 2, raw<std::uint16_t>(23));
  expect_says(error_in(content), {"\"a\": its size or offset is missing in the zip64 field"});
  content.replace(content.rfind("XX") + 7, 2, raw<std::uint16_t>(1000));
  expect_says(error_in(content), {"\"a\": an extra field leaves its entry"});
}

}  // namespace
}  // namespace initrt

// The central directory of a zip archive, and where its members lie.
#include "sharding/checkpoint/torch/zip_directory.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sharding/memory_files.h"

using namespace initrt;

namespace {

void check_member(ZipDirectory& zip, const ZipEntry& entry) {
  const ZipRange range = zip.member_range(entry);
  const bool inside = entry.header < range.begin && range.begin <= range.end;
  if (!inside || range.end > entry.room_end || range.end - range.begin != entry.bytes) {
    fuzz::finding("the range of a member leaves its room");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string path = "m.zip";
  testing::MemoryFiles files;
  files.content[path] = fuzz::text_of(data, bytes);
  return fuzz::one_input(path, [&] {
    WindowedReader reader(files, path, 0, bytes);
    ZipDirectory zip(reader);
    std::uint64_t end = 0;
    for (const ZipEntry& entry : zip.entries()) {
      if (zip.find(entry.name) != &entry) fuzz::finding("an entry is not found by its name");
      if (entry.header < end || entry.room_end > bytes) fuzz::finding("entries overlap");
      end = entry.room_end;
      fuzz::one_input(path, [&] { check_member(zip, entry); });
    }
  });
}

#include "runtime/faults/faulty_files.h"

#include <algorithm>
#include <cerrno>

#include "runtime/storage/file_reader.h"

namespace initrt {
namespace {

// `read` of so many bytes, or what takes its place.
template <class Read>
ssize_t read_under(ReadFault fault, std::uint64_t bytes, const Read& read) {
  if (fault == ReadFault::Eio) {
    errno = EIO;
    return -1;
  }
  return read(fault == ReadFault::Short ? std::min<std::uint64_t>(bytes, 1) : bytes);
}

class FaultyFiles final : public LocalFiles {
 public:
  FaultyFiles(std::function<void()> waiting, FaultInjector& fault)
      : LocalFiles(std::move(waiting)), fault_(fault) {}

 protected:
  ssize_t read_some(const std::string& path, int fd, std::byte* to, std::uint64_t bytes,
                    std::uint64_t offset) override {
    return read_under(fault_.on_header_read(path, offset), bytes, [&](std::uint64_t some) {
      return LocalFiles::read_some(path, fd, to, some, offset);
    });
  }

 private:
  FaultInjector& fault_;
};

class FaultyReader final : public FileReader {
 public:
  FaultyReader(const CheckpointFile& file, ReadStatistics& statistics, FaultInjector& fault)
      : FileReader(file.path, file.bytes, statistics, file.stamp), fault_(fault) {}

 protected:
  ssize_t read_some(int fd, std::byte* to, std::uint64_t bytes, std::uint64_t offset) override {
    return read_under(fault_.on_file(path(), offset), bytes, [&](std::uint64_t some) {
      return FileReader::read_some(fd, to, some, offset);
    });
  }

 private:
  FaultInjector& fault_;
};

}  // namespace

std::unique_ptr<LocalFiles> make_local_files(std::function<void()> waiting) {
  if (FaultInjector* const fault = armed_fault()) {
    return std::make_unique<FaultyFiles>(std::move(waiting), *fault);
  }
  return std::make_unique<LocalFiles>(std::move(waiting));
}

std::unique_ptr<RangeReader> open_faulty_file(const CheckpointFile& file,
                                              ReadStatistics& statistics) {
  return std::make_unique<FaultyReader>(file, statistics, *armed_fault());
}

}  // namespace initrt

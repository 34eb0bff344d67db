// Memory of every device, and the order in which it is copied.
#include <gmock/gmock.h>

#include <array>
#include <thread>

#include "tests/runtime/device/devices.h"
#include "tests/sharding/errors.h"

namespace initrt::test {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

class DeviceMemoryTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(, DeviceMemoryTest, ::testing::ValuesIn(all_devices()), device_name);

template <class T>
void copy(DeviceMemory& device, const Placed<T>& from, const Placed<T>& to, std::size_t count) {
  const CopyPiece piece{reinterpret_cast<const std::byte*>(from.get()),
                        reinterpret_cast<std::byte*>(to.get()), count * sizeof(T)};
  device.copy(std::span(&piece, 1));
}

template <class T>
void write(DeviceMemory& device, const std::vector<T>& values, const Placed<T>& to) {
  device.write(std::as_bytes(std::span(values)), reinterpret_cast<std::byte*>(to.get()));
}

std::byte* bytes_at(const Placed<float>& placed) {
  return reinterpret_cast<std::byte*>(placed.get());
}

TEST_P(DeviceMemoryTest, IsZeroedAndEnteredInTheLedgerForAsLongAsItIsHeld) {
  const auto device = GetParam().make(1);
  Ledger ledger;
  {
    const std::array<BufferPart, 2> parts{
        {{MemoryCategory::Shard, 5000}, {MemoryCategory::Resident, 4099}}};
    const Buffer memory = device->allocate(ledger, parts);
    const Buffer host = device->allocate_host(ledger, MemoryCategory::Pinned, 9099);
    EXPECT_EQ(ledger.held()[MemoryCategory::Shard], 5000u);
    EXPECT_EQ(ledger.held()[MemoryCategory::Resident], 4099u);
    EXPECT_EQ(ledger.held()[MemoryCategory::Pinned], 9099u);
    ASSERT_EQ(memory.bytes(), 9099u);
    device->read(memory.data(), host.span());
    device->synchronize();
    EXPECT_THAT(host.span(), Each(std::byte{0}));
  }
  EXPECT_EQ(ledger.held().total(), 0u);
}

TEST_P(DeviceMemoryTest, ThatCannotBeHadIsAnErrorWithCategoryAndSize) {
  const auto device = GetParam().make(1);
  Ledger ledger;
  EXPECT_THAT(initrt::testing::error_of([&] {
                const Buffer memory =
                    allocate(*device, ledger, MemoryCategory::KvCache, std::uint64_t{1} << 60);
              }),
              AllOf(HasSubstr(std::string(name(MemoryCategory::KvCache))),
                    HasSubstr("1152921504606846976")));
  EXPECT_EQ(ledger.held().total(), 0u);
}

TEST_P(DeviceMemoryTest, IsWrittenCopiedAndReadInOrder) {
  auto device = this->device();
  const auto first = random(5000), second = random(5000);
  const auto x = device.put(first), y = device.put(random(5000)), z = device.put(random(5000));
  copy(*device, x, y, 5000);
  write(*device, second, x);
  copy(*device, x, z, 5000);
  device->scale(x.get(), 2.0f, 5000);
  EXPECT_TRUE(same_bits(device.get(y), first));
  EXPECT_TRUE(same_bits(device.get(z), second));
  EXPECT_EQ(device.get(x)[7], 2 * second[7]);
}

// More than fits the memory that writes go through.
TEST_P(DeviceMemoryTest, MayBeWrittenFromMemoryThatChangesAtOnce) {
  auto device = this->device();
  const auto expected = random(3 << 20);
  auto values = expected;
  const auto x = device.put(std::vector<float>(values.size()));
  write(*device, values, x);
  std::fill(values.begin(), values.end(), 0.0f);
  EXPECT_TRUE(same_bits(device.get(x), expected));
}

TEST_P(DeviceMemoryTest, IsUploadedFromItsHostMemory) {
  auto device = this->device();
  Ledger ledger;
  const Buffer host = device->allocate_host(ledger, MemoryCategory::Pinned, 4000 * sizeof(float));
  const auto values = random(4000);
  std::copy(values.begin(), values.end(), host.floats());
  const auto x = device.put(std::vector<float>(4000));
  device->upload(host.span(), bytes_at(x));
  EXPECT_TRUE(same_bits(device.get(x), values));
}

TEST_P(DeviceMemoryTest, PiecesOfAnyLengthAndAlignmentAreCopied) {
  auto device = this->device();
  for (int round = 0; round < 20; ++round) {
    const std::size_t longest = round % 2 == 0 ? 40 : 40000, count = 1 + below(12);
    const auto in = random_bytes(count * (longest + 20));
    std::vector<std::byte> expected(in.size(), std::byte{0x5a});
    const auto from = device.put(in), to = device.put(expected);
    std::vector<CopyPiece> pieces;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t begin = i * (longest + 20);
      const std::size_t source = begin + below(16), destination = begin + below(16);
      const std::size_t bytes = below(longest + 1);
      pieces.push_back({from.get() + source, to.get() + destination, bytes});
      std::copy_n(in.data() + source, bytes, expected.data() + destination);
    }
    device->copy(pieces);
    EXPECT_EQ(device.get(to), expected);
  }
}

TEST_P(DeviceMemoryTest, IsDownloadedByOtherThreadsWhileOpsRun) {
  auto device = this->device();
  const auto values = random(20000);
  const auto x = device.put(values), y = device.put(values);
  device->synchronize();
  Ledger ledger;
  const Buffer host = device->allocate_host(ledger, MemoryCategory::Pinned, 80000);
  std::thread other([&] {
    const std::shared_ptr<Download> download = device->start_download(bytes_at(x), host.span());
    while (!download->done()) std::this_thread::yield();
  });
  for (int i = 0; i < 20; ++i) device->scale(y.get(), 1.5f, values.size());
  other.join();
  EXPECT_TRUE(same_bits(std::vector<float>(host.floats(), host.floats() + values.size()), values));
}

TEST_P(DeviceMemoryTest, IsStoredToByOtherThreadsWhileOpsRun) {
  auto device = this->device();
  const auto values = random(20000);
  const auto x = device.put(std::vector<float>(values.size())), y = device.put(values);
  device->synchronize();
  Ledger ledger;
  const Buffer host = device->allocate_host(ledger, MemoryCategory::Staging, 80000);
  std::copy(values.begin(), values.end(), host.floats());
  std::thread other([&] {
    device->store(host.span().first(50000), bytes_at(x));
    device->store(host.span().subspan(50000), bytes_at(x) + 50000);
    std::ranges::fill(host.span(), std::byte{0x7f});  // it is there
  });
  for (int i = 0; i < 20; ++i) device->scale(y.get(), 1.5f, values.size());
  other.join();
  device->store({}, bytes_at(x));
  device->scale(x.get(), 2.0f, values.size());
  const auto got = device.get(x);
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], 2 * values[i]) << i;
}

TEST_P(DeviceMemoryTest, BelongsToADeviceThatSaysWhatItIs) {
  const auto device = GetParam().make(1);
  EXPECT_THAT(device->name(), HasSubstr(GetParam().name.substr(0, 3)));
  if (device->samples()) return;  // which sample_test is about
  std::vector<float> logits(4);
  std::vector<double> draws(1);
  std::vector<Sampled> out(1);
  EXPECT_THAT(
      initrt::testing::error_of([&] { device->sample(logits.data(), 1, 4, {}, draws, out); }),
      HasSubstr(device->name() + " does not choose tokens"));
}

class DeviceStreamTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(, DeviceStreamTest, ::testing::ValuesIn(all_devices()), device_name);

TEST_P(DeviceStreamTest, HasPassedItsFencesOnceSynchronized) {
  auto device = this->device();
  const auto x = device.put(random(100000));
  for (int i = 0; i < 20; ++i) device->scale(x.get(), 1.01f, 100000);
  const FenceHandle fence = device->fence();
  device->after(fence);
  device->after(nullptr);
  device->add(x.get(), x.get(), 100000);
  device->synchronize();
  EXPECT_TRUE(fence == nullptr || fence->passed()) << "null where ops are done when they return";
}

TEST_P(DeviceStreamTest, StampsWhenItComesToThem) {
  auto device = this->device();
  const auto x = device.put(random(100000));
  device->synchronize();
  constexpr HostTime kClock = 1'000'000;  // ns by which a GPU's clock may differ from the host's
  const HostTime before = host_time();
  std::vector<StampHandle> stamps;
  for (int i = 0; i < 4; ++i) {
    stamps.push_back(device->stamp());
    device->scale(x.get(), 1.01f, 100000);
  }
  device->synchronize();
  const HostTime after = host_time();
  EXPECT_GE(stamps.front()->time() + kClock, before);
  EXPECT_LE(stamps.back()->time(), after + kClock);
  for (int i = 0; i < 3; ++i) EXPECT_LE(stamps[i]->time(), stamps[i + 1]->time());
}

TEST_P(DeviceStreamTest, RepeatsOpsOnWhateverTheMemoryHolds) {
  auto device = this->device();
  const auto one = device.put(std::vector<float>(100, 1.0f));
  const auto x = device.put(std::vector<float>(100)), y = device.put(std::vector<float>(100));
  for (int i = 0; i < 4; ++i) {
    device->repeat(1, [&] { device->add(one.get(), x.get(), 100); });
    device->repeat(2, [&] {
      device->add(x.get(), y.get(), 100);
      device->add(one.get(), y.get(), 100);
    });
  }
  EXPECT_THAT(device.get(x), Each(4.0f));
  EXPECT_THAT(device.get(y), Each(1 + 2 + 3 + 4 + 4.0f));
  write(*device, std::vector<float>(100, 10.0f), one);
  device->repeat(1, [&] { device->add(one.get(), x.get(), 100); });
  EXPECT_THAT(device.get(x), Each(14.0f));
}

}  // namespace
}  // namespace initrt::test

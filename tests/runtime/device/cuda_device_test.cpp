// The CUDA device as the CUDA emulator sees it: what it loads and records, how it rounds inputs and
// makes blocks of rows at once, and what it takes a GPU to be.
#include "runtime/device/cuda/cuda_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

// Both at once: two headers that gave one name to two things would not compile.
#include "runtime/device/cuda/attention_block.cuh"
#include "runtime/device/cuda/grid.cuh"
#include "tests/runtime/device/cuda_support.h"
#include "tests/runtime/device/gpu_device.h"

namespace initrt::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using CudaDeviceTest = CudaKernels;

std::uint64_t kernels_of(const GpuDevice& device, const std::function<void()>& ops) {
  device->synchronize();
  const std::uint64_t before = cuda_emulator::counters().kernels;
  ops();
  device->synchronize();
  return cuda_emulator::counters().kernels - before;
}

TEST_F(CudaDeviceTest, LoadsItsKernelsBeforeTheyAreLaunched) {
  GpuDevice device(DType::BF16, 8, 64);
  const Buffer x = device.make(4096), y = device.make(4096), w = device.make(4096);
  const std::vector<RowInfo> rows = {{0, 0, 1}};
  const std::vector<std::uint32_t> kept = {0};
  device->set_rows(rows, kept);
  device->to_float(w.data(), DType::F16, x.floats(), 9);
  device->norm(NormKind::Rms, x.floats(), {w.data(), nullptr, DType::BF16}, 1e-5f, y.floats(), 1,
               37);
  device->gate(GateFunction::Silu, x.floats(), y.floats(), y.floats(), 5);
  device->softcap(x.floats(), 3, 1, 5, 8);
  device->keep_rows(x.floats(), 8);
  const CopyPiece piece{x.data(), y.data(), 77};
  device->copy(std::span(&piece, 1));
  device->synchronize();
  EXPECT_GT(cuda_emulator::counters().kernels, 5u);
  EXPECT_EQ(cuda_emulator::counters().lazy_loads, 0u);
}

TEST_F(CudaDeviceTest, RoundsInputsOnceForProductsThatShareThem) {
  GpuDevice device(DType::BF16, 8, 64);
  const Buffer in = device.make(8 * 64 * 4), w = device.make(3 * 64 * 64 * 2);
  const Buffer out = device.make(3 * 64 * 64 * 4);
  const auto weights = random(3 * 64 * 64), inputs = random(8 * 64);
  std::vector<std::uint16_t> stored_weights(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) stored_weights[i] = decode::to_bf16(weights[i]);
  device->write(std::as_bytes(std::span(stored_weights)), w.data());
  device->write(std::as_bytes(std::span(inputs)), in.data());
  std::vector<LinearProduct> products;
  for (std::size_t i = 0; i < 3; ++i) {
    products.push_back({{w.data() + i * 64 * 64 * 2, nullptr, DType::BF16, 64, 64},
                        out.floats() + i * 64 * 64,
                        64});
  }
  const auto outputs = [&] {
    const Buffer host = device.make_pinned(out.bytes());
    device->read(out.data(), host.span());
    device->synchronize();
    std::vector<float> all;
    for (std::size_t i = 0; i < 3; ++i) {
      const float* const first = host.floats() + i * 64 * 64;
      all.insert(all.end(), first, first + 8 * 64);
    }
    return all;
  };
  EXPECT_EQ(kernels_of(device,
                       [&] {
                         for (const LinearProduct& one : products) {
                           device->linear(in.floats(), one.weights, one.out, 8, one.out_stride);
                         }
                       }),
            3u);
  const std::vector<float> one_by_one = outputs();
  EXPECT_EQ(kernels_of(device, [&] { device->linear_of_each(in.floats(), products, 8); }), 1u);
  EXPECT_TRUE(same_numbers(outputs(), one_by_one));
}

/// What a device has told, of its sort and of itself.
struct Notes {
  std::vector<std::string> of_all, own;
};

/// Products of all rows of `inputs` and of one, with a device that tells `notes`.
void expect_same_bits(Notes& notes, std::span<const float> weights, std::span<const float> inputs,
                      std::uint64_t in_columns) {
  cuda::DeviceOptions options;
  options.note = [&](const std::string& note) { notes.of_all.push_back(note); };
  options.note_own = [&](const std::string& note) { notes.own.push_back(note); };
  const std::uint64_t all_rows = inputs.size() / in_columns, padded = all_rows + 64;
  GpuDevice device(DType::F32, all_rows, in_columns, options);
  const Buffer in = device.make(padded * in_columns * 4), out = device.make(padded * 8 * 4);
  const Buffer w = device.make(8 * in_columns * 4), host = device.make_pinned(out.bytes());
  device->write(std::as_bytes(weights), w.data());
  const LinearWeights matrix{w.data(), nullptr, DType::F32, in_columns, 8};
  const auto products = [&](std::uint64_t first, std::uint64_t rows) {
    device->write(std::as_bytes(inputs.subspan(first * in_columns, rows * in_columns)), in.data());
    device->linear(in.floats(), matrix, out.floats(), rows, 8);
    device->read(out.data(), host.span());
    device->synchronize();
    return std::vector<float>(host.floats(), host.floats() + rows * 8);
  };
  const std::vector<float> together = products(0, all_rows);
  for (const std::uint64_t row :
       {std::uint64_t{0}, std::uint64_t{63}, std::uint64_t{64}, all_rows - 1}) {
    EXPECT_TRUE(same_numbers(products(row, 1), part(together, row * 8, 8))) << "row " << row;
  }
}

TEST_F(CudaDeviceTest, MakesBlocksOneByOneWhereABatchHasOtherBits) {
  const auto weights = random(8 * 300), inputs = random(130 * 300);
  Notes notes;
  expect_same_bits(notes, weights, inputs, 300);
  EXPECT_THAT(notes.of_all, IsEmpty());
  cuda_emulator::round_batches_otherwise();
  expect_same_bits(notes, weights, inputs, 300);
  EXPECT_THAT(notes.own, IsEmpty());
  EXPECT_THAT(notes.of_all, ElementsAre(AllOf(HasSubstr("F32 matrix [8, 300]"),
                                              HasSubstr("64 rows"), HasSubstr("custom option"),
                                              HasSubstr("the same bits for several"))));
}

TEST_F(CudaDeviceTest, TriesBatchesOnlyWhereThereIsMemoryForIt) {
  const auto weights = random(8 * 300), inputs = random(130 * 300);
  cuda_emulator::fail_call("cudaMalloc", cudaErrorMemoryAllocation, /*calls_before=*/4);
  Notes notes;
  expect_same_bits(notes, weights, inputs, 300);
  EXPECT_THAT(notes.of_all, IsEmpty()) << "other ranks' GPUs may have memory";
  EXPECT_THAT(notes.own, ElementsAre(HasSubstr("want of this GPU's memory")));
}

// Of 8 at once it is known, by trying them; of 9 nothing is.
TEST_F(CudaDeviceTest, TakesNoMoreBlocksAtOnceThanWereTried) {
  const auto weights = random(8 * 300), inputs = random(9 * 64 * 300);
  cuda_emulator::round_batches_otherwise(/*above=*/8);
  Notes notes;
  expect_same_bits(notes, weights, inputs, 300);
  EXPECT_THAT(notes.of_all, IsEmpty()) << "8 at once are the same";
}

TEST_F(CudaDeviceTest, TriesEveryNumberOfBlocksThatItMayTake) {
  const auto weights = random(8 * 300), inputs = random(4 * 64 * 300);
  cuda_emulator::round_batches_otherwise(/*above=*/3);
  Notes notes;
  expect_same_bits(notes, weights, inputs, 300);
  EXPECT_THAT(notes.of_all, ElementsAre(HasSubstr("the same bits for several")));
}

TEST_F(CudaDeviceTest, AllocatesWhileAnotherThreadRecords) {
  GpuDevice device(DType::F32, 8, 64);
  const Buffer x = device.make(256);
  const auto ops = [&] {
    device->scale(x.floats(), 2.0f, 64);
    std::thread other([&] { EXPECT_NO_THROW(static_cast<void>(device.make(4096))); });
    other.join();
  };
  for (int i = 0; i < 3; ++i) device->repeat(1, ops);
  device->synchronize();
  EXPECT_EQ(cuda_emulator::counters().graphs, 2u) << "the second time is recorded";
}

TEST_F(CudaDeviceTest, RunsOpsAsTheyAreThatCannotBeRecorded) {
  GpuDevice device(DType::F32, 8, 64);
  const Buffer x = device.make(256);
  int asked = 0;
  const auto ops = [&] {
    ++asked;
    device->scale(x.floats(), 2.0f, 64);
    device->synchronize();  // which throws while it is recorded
  };
  for (int i = 0; i < 4; ++i) device->repeat(1, ops);
  EXPECT_EQ(asked, 5) << "once to record, and once each time";
  EXPECT_EQ(cuda_emulator::counters().graphs, 0u);
}

TEST_F(CudaDeviceTest, SaysWhatIsWrongWithOpsThatItRecords) {
  GpuDevice device(DType::F32, 8, 64);
  const Buffer x = device.make(256);
  bool wrong = false;
  const auto ops = [&] {
    device->scale(x.floats(), 2.0f, 64);
    if (wrong) fail("it is something else");
  };
  device->repeat(1, ops);
  wrong = true;
  EXPECT_THROW(device->repeat(1, ops), Error);
}

TEST_F(CudaDeviceTest, WritesNothingBeforeItHasPinnedMemory) {
  Ledger ledger;
  const auto device = cuda::make_device(0);
  const Buffer x = allocate(*device, ledger, MemoryCategory::Scratch, 4);
  EXPECT_THROW(device->write(std::vector<std::byte>(4), x.data()), Error);
}

TEST_F(CudaDeviceTest, IsStoredToByAnotherThreadWhileItRecords) {
  GpuDevice device(DType::F32, 8, 64);
  const Buffer x = device.make(256), y = device.make(256), host = device.make_pinned(256);
  std::fill_n(host.floats(), 64, 3.0f);
  device->synchronize();
  int calls = 0;
  const auto ops = [&] {
    ++calls;
    std::thread([&] { device->store(host.span(), y.data()); }).join();
    device->add(x.floats(), x.floats(), 64);
  };
  for (int i = 0; i < 4; ++i) device->repeat(1, ops);
  device->add(y.floats(), x.floats(), 64);
  const Buffer got = device.make_pinned(256);
  device->read(x.data(), got.span());
  device->synchronize();
  EXPECT_EQ(calls, 2) << "by themselves, and to be recorded";
  EXPECT_EQ(got.floats()[63], 3.0f);
}

TEST_F(CudaDeviceTest, SaysThatItCouldNotBeStoredTo) {
  Ledger ledger;
  const auto device = cuda::make_device(0);
  const Buffer x = allocate(*device, ledger, MemoryCategory::Scratch, 4);
  const Buffer host = device->allocate_host(ledger, MemoryCategory::Staging, 4);
  for (const char* call : {"cudaMemcpyAsync", "cudaEventSynchronize"}) {
    cuda_emulator::fail_call(call, cudaErrorInvalidValue);
    EXPECT_THAT([&] { device->store(host.span(), x.data()); },
                ::testing::ThrowsMessage<Error>(HasSubstr("copying to the GPU")))
        << call;
  }
}

TEST_F(CudaDeviceTest, KnowsPartsOfAGpuByTheirOwnUuids) {
  cuda_emulator::DeviceDescription first, second;
  first.uuid[0] = 1;
  second.uuid[0] = 2;
  first.uuid_of_whole[0] = second.uuid_of_whole[0] = 9;
  cuda_emulator::set_devices({first, second});
  const std::vector<cuda::Gpu> gpus = cuda::visible_gpus();
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(gpus[0].uuid[0], 1);
  EXPECT_EQ(gpus[1].uuid[0], 2);
  cuda_emulator::fail_call("cuDeviceGetUuid", 1);
  EXPECT_EQ(cuda::visible_gpus()[0].uuid[0], 9)
      << "what the runtime says, where the driver does not";
}

TEST_F(CudaDeviceTest, GivesStreamsTheirPriority) {
  const cuda::Stream usual = cuda::make_stream();
  const cuda::Stream high = cuda::make_stream(cuda::Priority::High);
  int of_usual = 1, of_high = 1;
  ASSERT_EQ(cudaStreamGetPriority(usual.get(), &of_usual), cudaSuccess);
  ASSERT_EQ(cudaStreamGetPriority(high.get(), &of_high), cudaSuccess);
  EXPECT_LT(of_high, of_usual);
}

}  // namespace
}  // namespace initrt::test

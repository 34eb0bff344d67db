// Elementwise kernels: those that no op is by itself, and where their bits are the CPU device's.
#include "tests/runtime/device/cuda_support.h"

namespace initrt::test {
namespace {

class CudaElementwise : public CudaKernels {
 protected:
  std::unique_ptr<Device> cpu_ = make_cpu_device(best_instruction_set(), 1);
};

TEST_F(CudaElementwise, RoundingIsToTheNearestEven) {
  for (const DType dtype : {DType::BF16, DType::F16}) {
    for (const std::size_t length : kLengths) {
      for (const std::size_t misaligned : {0, 4}) {
        const auto values = with_specials(length);
        const Guarded in(values, misaligned);
        const Guarded out{std::vector<std::uint16_t>(length)};
        cuda::round_to(nullptr, in.get(), dtype, reinterpret_cast<std::byte*>(out.get()), length);
        const auto bits = out.read();
        for (std::size_t i = 0; i < length; ++i) {
          const double expected = rounded(values[i], dtype), value = decode(bits[i], dtype);
          ASSERT_TRUE(value == expected || (std::isnan(value) && std::isnan(expected)))
              << name(dtype) << " of " << values[i];
        }
      }
    }
  }
}

TEST_F(CudaElementwise, GatesHaveTheBitsOfTheCpuDevice) {
  if (best_instruction_set() == InstructionSet::Portable) GTEST_SKIP() << kNotFused;
  for (const Gating& function :
       {Gating(GateFunction::Silu), Gating(GateFunction::Gelu), Gating(GateFunction::GeluTanh),
        Gating(GateFunction::QuickGelu), Gating(GateFunction::QuickGelu, 1.5f, 1.0f),
        Gating(GateFunction::Silu, 0.0f, 1.0f), Gating(GateFunction::Sigmoid),
        Gating(GateFunction::Relu2)}) {
    for (const std::size_t length : kLengths) {
      for (const std::size_t misaligned : {0, 4}) {
        const auto gate = with_specials(length), up = random(length);
        const Guarded gate_there(gate);
        const Guarded up_there(up, misaligned);
        std::vector<float> expected(length);
        cpu_->gate(function, gate.data(), up.data(), expected.data(), length);
        const Guarded out{std::vector<float>(length)};
        cuda::gate(nullptr, function, gate_there.get(), up_there.get(), out.get(), length);
        EXPECT_TRUE(same_numbers(out.read(), expected)) << length;

        cpu_->gate(function, gate.data(), nullptr, expected.data(), length);
        cuda::gate(nullptr, function, gate_there.get(), nullptr, gate_there.get(), length);
        EXPECT_TRUE(same_numbers(gate_there.read(), expected)) << length << " in place";
      }
    }
  }
}

TEST_F(CudaElementwise, SoftcapLeavesWhatIsBetweenRows) {
  if (best_instruction_set() == InstructionSet::Portable) GTEST_SKIP() << kNotFused;
  for (const std::size_t columns : {1, 4, 7, 1030}) {
    for (const std::size_t stride : {columns, columns + 3, (columns + 8) / 4 * 4}) {
      const std::size_t rows = 3;
      auto expected = with_specials(rows * stride, 50.0f);
      const Guarded x(expected);
      cpu_->softcap(expected.data(), 30.0f, rows, columns, stride);
      cuda::softcap(nullptr, x.get(), 30.0f, rows, columns, stride);
      EXPECT_TRUE(same_numbers(x.read(), expected)) << columns << " of " << stride;
    }
  }
}

TEST_F(CudaElementwise, NothingIsLaunchedForNothing) {
  const Guarded x{std::vector<float>(4)};
  auto* const bytes = reinterpret_cast<std::byte*>(x.get());
  cuda::to_float(nullptr, bytes, DType::BF16, x.get(), 0);
  cuda::round_to(nullptr, x.get(), DType::BF16, bytes, 0);
  cuda::norm(nullptr, NormKind::Rms, x.get(), {bytes}, 1e-5f, x.get(), 0, 4);
  cuda::add_bias(nullptr, bytes, DType::F32, x.get(), 0, 4, 4);
  cuda::rotary(nullptr, x.get(), 0, 1, 4, 4, x.get());
  cuda::rotary(nullptr, x.get(), 1, 1, 4, 0, x.get());
  const AttentionShape shape{1, 1, 4};
  const KvView cache{bytes, bytes, DType::F32, 1};
  cuda::store_kv(nullptr, x.get(), x.get(), nullptr, 0, shape, cache);
  cuda::attention(nullptr, x.get(), nullptr, 0, shape, cache, x.get(), {});
  cuda::gate(nullptr, GateFunction::Silu, x.get(), nullptr, x.get(), 0);
  cuda::add(nullptr, x.get(), x.get(), 0);
  cuda::scale(nullptr, x.get(), 2, 0);
  cuda::softcap(nullptr, x.get(), 2, 0, 4, 4);
  cuda::add_positions(nullptr, bytes, DType::F32, nullptr, 0, x.get(), 4);
  cuda::route(nullptr, x.get(), 0, {.experts = 4, .chosen = 2}, {}, nullptr);
  cuda::take_rows(nullptr, x.get(), nullptr, nullptr, 0, 4, x.get());
  cuda::add_rows(nullptr, x.get(), nullptr, nullptr, 0, 4, x.get());
  const CopyPiece empty{bytes, bytes, 0};
  cuda::copy(nullptr, std::span(&empty, 1));
  cuda::copy(nullptr, {});
  cuda::convert(nullptr, DType::BF16, DType::F32, nullptr, 0, 0);
#ifdef INITRT_ON_CUDA_EMULATOR
  EXPECT_EQ(cuda_emulator::counters().kernels, 0u);
#endif
}

TEST_F(CudaElementwise, OtherDtypesAreRefused) {
  EXPECT_THROW(cuda::convert(nullptr, DType::I32, DType::F32, nullptr, 1, 1), Error);
}

}  // namespace
}  // namespace initrt::test

// Codes of scales that ranks make together, against those of one that has all scales.
#include "runtime/exec/scale_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <future>
#include <random>

#include "runtime/convert/scale_codes.h"
#include "runtime/device/cpu/cpu_device.h"
#include "sharding/error.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt {
namespace {

using ::testing::Each;
using ::testing::IsEmpty;

struct Matrix {
  std::uint64_t rows, columns;
  WeightFormat format;
};

/// Units of some matrices each, what they are held in, and the scales of all of them.
struct Model {
  explicit Model(const std::vector<std::vector<Matrix>>& units) {
    Holding holding;
    std::mt19937 random(7);
    std::uniform_real_distribution<float> scale(0.01f, 2.0f);
    for (const std::vector<Matrix>& matrices : units) {
      Unit unit;
      unit.name = "unit";
      scales.emplace_back();
      for (const Matrix& matrix : matrices) {
        unit.params.push_back({static_cast<std::uint32_t>(graph.tensors.size()), 0, matrix.rows});
        Tensor tensor;
        tensor.name = "matrix";
        tensor.rows = matrix.rows;
        tensor.columns = matrix.columns;
        graph.tensors.push_back(tensor);
        holding.formats.push_back(matrix.format);
        const std::uint64_t blocks = (matrix.columns + kFourBitBlock - 1) / kFourBitBlock;
        scales.back().emplace_back(matrix.rows * blocks);
        for (float& one : scales.back().back()) one = scale(random);
      }
      graph.units.push_back(unit);
    }
    layout = make_layout(graph, {"bf16-true", DType::BF16}, holding);
  }

  Graph graph;
  Layout layout;
  std::vector<std::vector<std::vector<float>>> scales;  // by unit and parameter
};

/// One rank's exchange, and a shard for it.
struct Exchanging {
  Exchanging(const Model& of, Communicator& comm)
      : model(of),
        rank(comm.rank()),
        cut(make_cut(model.layout, comm.size())),
        shard(cut.memory_bytes()),
        exchange(model.graph, model.layout, cut, comm, *device, arrivals, shard, ledger) {}

  /// Writes the scales of this rank's rows, as loading does.
  void load(std::uint32_t unit) {
    std::byte* const floats = exchange.floats(unit);
    const UnitScales places = unit_scales(model.graph, model.layout, unit, cut.world);
    EXPECT_EQ(floats == nullptr, places.params.empty());
    for (const CodedScales& place : places.params) {
      const std::vector<float>& all = model.scales[unit][place.param];
      const std::uint64_t begin = place.begin_of(rank), count = place.end_of(rank) - begin;
      if (count == 0) continue;
      std::memcpy(floats + place.floats, all.data() + begin, count * sizeof(float));
    }
  }

  /// The rows of codes that this rank has made of a parameter.
  [[nodiscard]] std::vector<std::byte> codes(std::uint32_t unit, std::size_t param) const {
    const Param& whole = model.graph.units[unit].params[param];
    const std::uint64_t row_bytes = model.layout.units[unit].params[param].scale_row_bytes;
    const std::uint64_t rows = cut.rows_of(unit, param, whole.rows, rank).count;
    const auto first =
        shard.begin() + static_cast<std::ptrdiff_t>(cut.chunk_offset(unit, rank) +
                                                    cut.units[unit].params[param].scales_offset);
    return {first, first + static_cast<std::ptrdiff_t>(rows * row_bytes)};
  }

  const Model& model;
  const std::uint32_t rank;
  const Cut cut;
  const std::unique_ptr<Device> device = make_cpu_device(InstructionSet::Portable, 1, false);
  Arrivals arrivals;
  Ledger ledger;
  std::vector<std::byte> shard;
  ScaleExchange exchange;
};

// Rows that are fewer than ranks, blocks of scales over several ranks, a last rank with fewer rows,
// and a unit between that has no such scales.
const std::vector<std::vector<Matrix>> kUnits = {
    {{7, 576, WeightFormat::Nf4Dq}, {5, 64, WeightFormat::Int8}, {1, 64, WeightFormat::Fp4Dq}},
    {{4, 64, WeightFormat::Int8}},
    {{300, 130, WeightFormat::Fp4Dq}},
    {{2, 20000, WeightFormat::Nf4Dq}, {33, 64, WeightFormat::Nf4Dq}}};

TEST(ScaleExchange, HasTheCodesOfOneThatHasAllScales) {
  const Model model(kUnits);
  for (const std::uint32_t world : {1u, 2u, 3u, 4u, 9u}) {
    std::vector<std::vector<std::vector<std::vector<std::byte>>>> of_ranks(world);
    const auto failures = run_ranks(world, [&](Communicator& comm) {
      Exchanging rank(model, comm);
      EXPECT_EQ(rank.ledger.held()[MemoryCategory::Staging],
                scale_memory(model.graph, model.layout, world).bytes());
      std::atomic<std::uint32_t> coded{0};
      rank.exchange.start([&](std::uint32_t units) { coded = units; });
      for (std::uint32_t unit = 0; unit < kUnits.size(); ++unit) {
        rank.load(unit);
        rank.exchange.made(unit + 1);
      }
      rank.exchange.finish();
      EXPECT_EQ(coded, kUnits.size());
      EXPECT_EQ(rank.ledger.held().total(), 0u) << "given back";
      auto& mine = of_ranks[comm.rank()];
      for (std::uint32_t unit = 0; unit < kUnits.size(); ++unit) {
        mine.emplace_back();
        for (std::size_t param = 0; param < kUnits[unit].size(); ++param) {
          mine.back().push_back(has_coded_scales(kUnits[unit][param].format)
                                    ? rank.codes(unit, param)
                                    : std::vector<std::byte>());
        }
      }
    });
    EXPECT_THAT(failures, Each(IsEmpty()));
    for (std::size_t unit = 0; unit < kUnits.size(); ++unit) {
      for (std::size_t param = 0; param < kUnits[unit].size(); ++param) {
        const Matrix& matrix = kUnits[unit][param];
        if (!has_coded_scales(matrix.format)) continue;
        std::vector<std::byte> whole(matrix.rows * coded_scale_row(matrix.columns).bytes());
        code_all_scales(model.scales[unit][param], matrix.columns, whole.data());
        std::vector<std::byte> together;
        for (const auto& rank : of_ranks) {
          together.insert(together.end(), rank[unit][param].begin(), rank[unit][param].end());
        }
        EXPECT_EQ(together, whole) << world << " ranks, unit " << unit << ", matrix " << param;
      }
    }
  }
}

TEST(ScaleExchange, GivesAUnitRoomOnceTheOneBeforeTheLastIsCoded) {
  const Model model({{{3, 64, WeightFormat::Nf4Dq}},
                     {{3, 64, WeightFormat::Nf4Dq}},
                     {{3, 64, WeightFormat::Nf4Dq}}});
  std::atomic<bool> other_is_late{true};
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    Exchanging rank(model, comm);
    rank.exchange.start([](std::uint32_t) {});
    rank.load(0);
    // The other rank tells nothing before this one has been seen to wait.
    if (comm.rank() == 1) {
      while (other_is_late) std::this_thread::yield();
    }
    rank.exchange.made(1);
    rank.load(1);
    rank.exchange.made(2);
    if (comm.rank() == 0) {
      auto third = std::async(std::launch::async, [&] { rank.load(2); });
      EXPECT_EQ(third.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
      other_is_late = false;
      third.get();
    } else {
      rank.load(2);
    }
    rank.exchange.made(3);
    rank.exchange.finish();
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST(ScaleExchange, StopsWhoeverWaitsForRoom) {
  const Model model({{{3, 64, WeightFormat::Nf4Dq}},
                     {{3, 64, WeightFormat::Nf4Dq}},
                     {{3, 64, WeightFormat::Nf4Dq}}});
  const auto failures = run_ranks(1, [&](Communicator& comm) {
    Exchanging rank(model, comm);
    rank.exchange.start([](std::uint32_t) {});
    rank.load(0);
    rank.load(1);
    auto third = std::async(std::launch::async, [&] { rank.load(2); });
    rank.exchange.stop();
    EXPECT_THROW(third.get(), Error);
    rank.arrivals.fail(std::make_exception_ptr(Error("loading was stopped")));
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

}  // namespace
}  // namespace initrt

// Lists as CUDA_VISIBLE_DEVICES, Slurm and MIG make them, and who takes which GPU of them.
#include "runtime/machine/gpu_placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sharding/error.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kName = "NVIDIA H100 80GB HBM3";

// GPU 'a' has the UUID aaaaaaaa-..., and the bus id 0000:0a:00.0.
cuda::Gpu gpu(char letter) {
  cuda::Gpu made{{}, kName, std::string("0000:0") + letter + ":00.0"};
  made.uuid.fill(static_cast<std::uint8_t>((letter - 'a' + 10) * 0x11));
  return made;
}

// A rank that sees the GPUs of `letters`, in that order.
GpuSite sees(const std::string& letters, std::uint64_t node = 1) {
  GpuSite site{node, "gpu0" + std::to_string(node), {}, ""};
  for (const char letter : letters) site.gpus.push_back(gpu(letter));
  return site;
}

std::vector<std::size_t> choose(const std::vector<GpuSite>& sites, bool share = false) {
  return choose_gpus(sites, share);
}

std::string error_of(const std::vector<GpuSite>& sites, bool share = false) {
  try {
    (void)choose_gpus(sites, share);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

class GpuPlacementOf : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Ranks, GpuPlacementOf, testing::Range<std::size_t>(1, 7));

TEST_P(GpuPlacementOf, RanksThatSeeTheSameListTakeOneEachInOrder) {
  const std::vector<std::size_t> choices = choose(std::vector<GpuSite>(GetParam(), sees("abcdef")));
  ASSERT_EQ(choices.size(), GetParam());
  for (std::size_t rank = 0; rank < choices.size(); ++rank) EXPECT_EQ(choices[rank], rank);
}

TEST_P(GpuPlacementOf, OneRankTooManyIsAnErrorAndTheLastOneIsNamed) {
  const std::size_t gpus = GetParam();
  const std::vector<GpuSite> sites(gpus + 1, sees(std::string("abcdef").substr(0, gpus)));
  EXPECT_THAT(error_of(sites), HasSubstr(fmt::format("ranks 0 and {} would both", gpus)));
  EXPECT_THAT(error_of(sites), HasSubstr(fmt::format("rank 0 sees {} (GPU-aaaaaaaa", gpus)));
}

TEST_P(GpuPlacementOf, RanksBoundToOneGpuEachTakeIt) {
  std::vector<GpuSite> sites;
  for (std::size_t rank = 0; rank < GetParam(); ++rank) {
    sites.push_back(sees(std::string(1, "fedcba"[rank])));
  }
  EXPECT_THAT(choose(sites), Each(0u));
}

TEST_P(GpuPlacementOf, EveryRankComesToTheSameVerdict) {
  const std::size_t last = GetParam() - 1;
  const auto verdicts = [&](const std::string& seen_by_last) {
    std::vector<std::string> heard(GetParam());
    const auto failures =
        run_ranks(static_cast<std::uint32_t>(GetParam()), [&](Communicator& comm) {
          const GpuSite mine = sees(comm.rank() == last ? seen_by_last : "abcdef");
          heard[comm.rank()] = error_of(gather_gpu_sites(comm, mine));
        });
    EXPECT_THAT(failures, Each(IsEmpty()));
    return heard;
  };
  EXPECT_THAT(verdicts("abcdef"), Each("no error"));
  EXPECT_THAT(verdicts(""),
              Each(HasSubstr(fmt::format("rank {} on node gpu01 sees no GPU", last))));
}

TEST(GpuPlacement, ListsInAnotherOrderAreOtherLists) {
  EXPECT_THAT(choose({sees("ab"), sees("ba")}), ElementsAre(0, 0));
  EXPECT_THAT(choose({sees("abcd"), sees("dcba"), sees("abcd"), sees("dcba")}),
              ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(error_of({sees("ab"), sees("ab"), sees("ba")}),
              AllOf(HasSubstr("ranks 1 and 2 would both"),
                    HasSubstr("rank 1 sees 2 (GPU-aaaaaaaa, GPU-bbbbbbbb), "
                              "rank 2 sees 2 (GPU-bbbbbbbb, GPU-aaaaaaaa)")));
}

TEST(GpuPlacement, ListsThatOverlapInPartAreRightAsLongAsChoicesDiffer) {
  EXPECT_THAT(choose({sees("ab"), sees("bc")}), ElementsAre(0, 0));
  EXPECT_THAT(choose({sees("ab"), sees("cb"), sees("ab")}), ElementsAre(0, 0, 1));
  EXPECT_THAT(error_of({sees("ab"), sees("ac")}), HasSubstr("ranks 0 and 1 would both"));
  EXPECT_THAT(error_of({sees("ab"), sees("bc"), sees("ab")}),
              HasSubstr("ranks 1 and 2 would both"));
  EXPECT_THAT(error_of({sees("abc"), sees("ab"), sees("abcd")}),
              HasSubstr("and 2 ranks have none of their own"));
}

TEST(GpuPlacement, ASharedGpuIsNamedWithWhatToChange) {
  const std::string error = error_of({sees("ab"), sees("c"), sees("c")});
  EXPECT_THAT(
      error,
      AllOf(HasSubstr("ranks 1 and 2 would both compute on one GPU of node gpu01, NVIDIA H100 80GB "
                      "HBM3 (GPU-cccccccc-cccc-cccc-cccc-cccccccccccc at 0000:0c:00.0)"),
            HasSubstr("rank 1 sees 1 (GPU-cccccccc), rank 2 sees the same"),
            HasSubstr("mpirun -np"), HasSubstr("--ntasks-per-node"),
            HasSubstr("CUDA_VISIBLE_DEVICES"), HasSubstr("--gpus-per-task"),
            HasSubstr("--gpu-bind=none")));
  EXPECT_THAT(error, AllOf(HasSubstr("placement.share_gpu"), Not(HasSubstr("\n")),
                           Not(HasSubstr("none of their own"))));
}

TEST(GpuPlacement, AllTasksBoundToTheSameGpuAreCounted) {
  EXPECT_THAT(error_of(std::vector<GpuSite>(8, sees("a"))),
              AllOf(HasSubstr("ranks 0 and 1 would both"),
                    HasSubstr("and 7 ranks have none of their own")));
}

TEST(GpuPlacement, EachNodeIsByItself) {
  EXPECT_THAT(choose({sees("ab", 1), sees("ab", 2), sees("ab", 1), sees("ab", 2)}),
              ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(choose({sees("abcd", 1), sees("abcd", 1), sees("abcd", 1), sees("c", 2)}),
              ElementsAre(0, 1, 2, 0));
  EXPECT_THAT(error_of({sees("ab", 1), sees("a", 2), sees("ab", 1), sees("a", 2)}),
              HasSubstr("ranks 1 and 3 would both compute on one GPU of node gpu02"));
}

TEST(GpuPlacement, SharingGoesRound) {
  EXPECT_THAT(choose(std::vector<GpuSite>(5, sees("ab")), true), ElementsAre(0, 1, 0, 1, 0));
  EXPECT_THAT(choose({sees("a"), sees("a"), sees("ba"), sees("ba"), sees("ba")}, true),
              ElementsAre(0, 0, 0, 1, 0));
}

// Parts have UUIDs of their own, and the GPU's bus id; CUDA shows a process one of them.
TEST(GpuPlacement, PartsOfOneGpuAreDifferentOnes) {
  std::vector<GpuSite> sites = {sees("a"), sees("b")};
  for (GpuSite& site : sites) {
    site.gpus[0].bus_id = "0000:17:00.0";
    site.gpus[0].name = "NVIDIA A100-SXM4-40GB MIG 1g.5gb";
  }
  EXPECT_THAT(choose(sites), ElementsAre(0, 0));
  sites.push_back(sites[1]);
  EXPECT_THAT(error_of(sites),
              AllOf(HasSubstr("ranks 1 and 2 would both"),
                    HasSubstr("(MIG-bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb at 0000:17:00.0)")));
}

TEST(GpuPlacement, ARankWithoutGpuIsNamedWithItsNodeAndWhatTheDriverSaid) {
  std::vector<GpuSite> sites = {sees("ab"), sees("", 2), sees("ab")};
  sites[1].trouble = "no CUDA-capable device is detected";
  for (const bool share : {false, true}) {
    EXPECT_THAT(error_of(sites, share),
                AllOf(HasSubstr("rank 1 on node gpu02 sees no GPU (no CUDA-capable device is "
                                "detected)"),
                      HasSubstr("CUDA_VISIBLE_DEVICES"), HasSubstr("driver"), HasSubstr("--gpus")));
  }
  EXPECT_THAT(error_of({sees("", 1), sees("", 1), sees("a")}),
              HasSubstr("rank 0 (the first of 2 such) on node gpu01"));
}

TEST(GpuPlacement, TheOthersHearWhatARankSees) {
  GpuSite mine = sees("ab", 7);
  mine.gpus[1].name = std::string(300, 'n');
  mine.gpus[1].bus_id = "00000000:17:00.0";
  mine.trouble = "partly";
  const auto errors = run_ranks(2, [&](Communicator& comm) {
    const std::vector<GpuSite> all = gather_gpu_sites(comm, comm.rank() == 0 ? GpuSite{} : mine);
    ASSERT_EQ(all.size(), 2u);
    EXPECT_THAT(all[0].gpus, IsEmpty());
    EXPECT_EQ(all[1].node, 7u);
    EXPECT_EQ(all[1].host, "gpu07");
    EXPECT_EQ(all[1].trouble, "partly");
    ASSERT_EQ(all[1].gpus.size(), 2u);
    EXPECT_EQ(all[1].gpus[0].uuid, gpu('a').uuid);
    EXPECT_EQ(all[1].gpus[0].name, kName);
    EXPECT_EQ(all[1].gpus[1].uuid, gpu('b').uuid);
    EXPECT_EQ(all[1].gpus[1].name, std::string(64, 'n'));
    EXPECT_EQ(all[1].gpus[1].bus_id, "00000000:17:00.0");
  });
  EXPECT_THAT(errors, Each(IsEmpty()));
}

TEST(GpuPlacement, GpusBeyondTheMostAreNotTaken) {
  const GpuSite mine = sees(std::string(kMaxGpus + 1, 'a'));
  const auto errors = run_ranks(1, [&](Communicator& comm) {
    EXPECT_EQ(gather_gpu_sites(comm, mine)[0].gpus.size(), kMaxGpus);
  });
  EXPECT_THAT(errors, Each(IsEmpty()));
}

TEST(GpuPlacement, AUuidIsWrittenAsTheDriversToolsDo) {
  cuda::Gpu made;
  for (std::size_t i = 0; i < made.uuid.size(); ++i) {
    made.uuid[i] = static_cast<std::uint8_t>(i * 0x11);
  }
  EXPECT_EQ(uuid_text(made), "GPU-00112233-4455-6677-8899-aabbccddeeff");
}

}  // namespace
}  // namespace initrt

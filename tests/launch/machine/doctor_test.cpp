#include "launch/machine/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/support/temporary_directory.h"

namespace initrt {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Of a machine that lacks nothing.
MachineFacts complete() {
  MachineFacts facts;
  facts.instruction_set = "avx512_bf16";
  facts.cores = 64;
  facts.memory = {512'000'000'000, 500'000'000'000};
  facts.mpi = "Open MPI v4.1.4";
  facts.mpirun = "/usr/bin/mpirun";
  facts.cuda_built = facts.nccl_built = facts.gpu_direct = true;
  facts.gpus = {"NVIDIA H100", "NVIDIA H100"};
  facts.shm_bytes = std::uint64_t{4} << 30;
  facts.huge_pages = "always";
  facts.shm_huge_pages = "advise";
  facts.slurm = "slurm-wlm 22.05.8";
  facts.slurm_mpi = "MPI plugin types are...\n\tnone\n\tpmix\n";
  return facts;
}

// The cost of the line about something; "no such line" where there is none.
std::string cost_of(const MachineFacts& facts, const std::string& about) {
  const auto findings = diagnose(facts);
  const auto found = std::ranges::find(findings, about, &Finding::about);
  return found == findings.end() ? "no such line" : found->cost;
}

TEST(Doctor, HasNothingToSayOfAMachineThatHasAll) {
  for (const Finding& finding : diagnose(complete())) {
    EXPECT_THAT(finding.cost, IsEmpty()) << finding.about;
    EXPECT_NE(finding.found, "") << finding.about;
  }
}

TEST(Doctor, SaysWhatEachLackCosts) {
  MachineFacts facts = complete();
  facts.quota = 8;
  EXPECT_THAT(cost_of(facts, "cores"), HasSubstr("8 cores' worth of time"));
  facts.locked_bytes = 8u << 20;
  EXPECT_THAT(cost_of(facts, "locked memory"), HasSubstr("ulimit -l"));
  facts.shm_bytes = 64u << 20;
  EXPECT_THAT(cost_of(facts, "/dev/shm"), HasSubstr("--shm-size=1g"));
  facts.huge_pages = "never";
  EXPECT_THAT(cost_of(facts, "huge pages"), HasSubstr("3 to 4 times as long: echo madvise > "));
  facts.shm_huge_pages = "never";
  EXPECT_THAT(cost_of(facts, "shared huge pages"), HasSubstr("echo advise > "));
  facts.own_tmpfs = true;
  EXPECT_EQ(cost_of(facts, "shared huge pages"), "");
  facts.shm_huge_pages = "deny";
  EXPECT_THAT(cost_of(facts, "shared huge pages"), HasSubstr("echo advise > "));
  facts.mappings = 1000;
  EXPECT_THAT(cost_of(facts, "mappings"), HasSubstr("vm.max_map_count"));
  facts.files = 256;
  EXPECT_THAT(cost_of(facts, "open files"), HasSubstr("ulimit -n"));
  facts.nccl_trouble = "libnccl.so.2 is not found";
  EXPECT_THAT(cost_of(facts, "NCCL"), HasSubstr("through the host's memory"));
  facts.mpirun = "";
  EXPECT_THAT(cost_of(facts, "mpirun"), HasSubstr("only srun"));
  facts.slurm_mpi = "srun: error: no configuration\nmore";
  EXPECT_THAT(cost_of(facts, "PMIx"), ::testing::EndsWith("says: srun: error: no configuration"));
  facts.slurm = "srun: error: no configuration";
  EXPECT_THAT(cost_of(facts, "Slurm"), HasSubstr("by mpirun alone"));
}

TEST(Doctor, AsksForNothingOfGpusWhereThereAreNone) {
  MachineFacts facts = complete();
  facts.gpus.clear();
  facts.shm_bytes = 64u << 20;
  EXPECT_THAT(cost_of(facts, "CUDA"), HasSubstr("compute on CPUs"));
  EXPECT_THAT(cost_of(facts, "/dev/shm"), IsEmpty());
  EXPECT_EQ(cost_of(facts, "NCCL"), "no such line");
  facts.slurm.clear();
  EXPECT_EQ(cost_of(facts, "PMIx"), "no such line");
}

TEST(Doctor, ReadsWhatTheKernelHasChosen) {
  const testing::TemporaryDirectory root;
  const std::string pages = root.file("sys/kernel/mm/transparent_hugepage");
  std::filesystem::create_directories(pages);
  std::filesystem::create_directories(root.file("proc/sys/vm"));
  std::ofstream(pages + "/enabled") << "always madvise [never]\n";
  std::ofstream(root.file("proc/sys/vm/max_map_count")) << "123\n";
  const MachineFacts facts = look_at_machine(root.path());
  EXPECT_EQ(facts.huge_pages, "never");
  EXPECT_EQ(facts.shm_huge_pages, "");
  EXPECT_EQ(facts.mappings, 123u);
  EXPECT_FALSE(facts.shm_bytes) << "this root has no /dev/shm";
  EXPECT_GT(facts.cores, 0u);
  EXPECT_THAT(facts.mpi, HasSubstr("MPI"));
}

}  // namespace
}  // namespace initrt

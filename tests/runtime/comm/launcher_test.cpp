// How a process was started, told from its environment.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "runtime/comm/mpi_session.h"

namespace initrt {
namespace {

Launcher launcher_in(const std::map<std::string, std::string>& environment) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_ID", "PMIX_RANK",
                           "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}) {
    unsetenv(name);
  }
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  return detect_launcher();
}

TEST(Launcher, WithoutAnyAProcessIsAlone) { EXPECT_EQ(launcher_in({}), Launcher::None); }

TEST(Launcher, MpirunAndSrunWithPmiAreMpi) {
  EXPECT_EQ(launcher_in({{"OMPI_COMM_WORLD_SIZE", "4"}}), Launcher::Mpi);
  EXPECT_EQ(launcher_in({{"PMIX_RANK", "0"}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}}),
            Launcher::Mpi);
  EXPECT_EQ(launcher_in({{"PMI_RANK", "3"}}), Launcher::Mpi);
}

TEST(Launcher, SeveralSlurmTasksWithoutPmiAreToldApart) {
  EXPECT_EQ(launcher_in({{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}}),
            Launcher::SlurmWithoutPmi);
}

TEST(Launcher, ABatchScriptAndASingleSlurmTaskAreAlone) {
  EXPECT_EQ(launcher_in({{"SLURM_PROCID", "0"}}), Launcher::None);
  EXPECT_EQ(launcher_in({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}}), Launcher::None);
}

}  // namespace
}  // namespace initrt

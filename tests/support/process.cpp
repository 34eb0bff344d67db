#include "tests/support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace initrt::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// As root, on fewer cores than ranks, without binding each rank to one core.
const Environment kOpenMpi = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                              {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                              {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
                              {"OMPI_MCA_hwloc_base_binding_policy", "none"}};

[[noreturn]] void become(const std::vector<std::string>& command, const Environment& environment,
                         const std::string& out, const std::string& err) {
  setpgid(0, 0);
  dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
  dup2(open(out.c_str(), O_CREAT | O_WRONLY, 0600), STDOUT_FILENO);
  dup2(open(err.c_str(), O_CREAT | O_WRONLY, 0600), STDERR_FILENO);
  for (const Environment* all : {&kOpenMpi, &environment}) {
    for (const auto& [name, value] : *all) setenv(name.c_str(), value.c_str(), 1);
  }
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  execvp(arguments.front(), arguments.data());
  _exit(127);
}

}  // namespace

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::vector<std::string> Finished::own_lines() const {
  std::vector<std::string> lines;
  std::istringstream text(err);
  for (std::string line; std::getline(text, line);) {
    if (line.rfind("initrt: ", 0) == 0) lines.push_back(line);
  }
  return lines;
}

Process::Process(const std::vector<std::string>& command, const Environment& environment)
    : directory_(std::filesystem::temp_directory_path() / "initrt-process-XXXXXX"),
      started_(Clock::now()) {
  if (mkdtemp(directory_.data()) == nullptr) throw std::runtime_error("mkdtemp");
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ == 0) become(command, environment, directory_ + "/out", directory_ + "/err");
}

Process::~Process() {
  if (pid_ > 0) {
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string Process::err() const { return contents(directory_ + "/err"); }

void Process::send(int signal) const { kill(pid_, signal); }

Finished Process::wait(std::chrono::seconds limit) {
  Finished finished;
  int status = 0;
  const Clock::time_point asked = Clock::now();
  struct rusage usage {};
  while (wait4(pid_, &status, WNOHANG, &usage) == 0) {
    if (!finished.timed_out && Clock::now() - asked > limit) {
      finished.timed_out = true;
      kill(-pid_, SIGKILL);
      kill(pid_, SIGKILL);
    }
    std::this_thread::sleep_for(5ms);
  }
  pid_ = -1;
  finished.took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_);
  finished.peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) << 10;
  finished.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  finished.out = contents(directory_ + "/out");
  finished.err = contents(directory_ + "/err");
  return finished;
}

Finished run(const std::vector<std::string>& command, const Environment& environment,
             std::chrono::seconds limit) {
  return Process(command, environment).wait(limit);
}

}  // namespace initrt::testing

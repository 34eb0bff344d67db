#include "launch/output/metrics_file.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <system_error>

#include "runtime/storage/output_file.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// As the format's label values have it.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\' || c == '"') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result;
}

void head(std::string& text, const char* name, const char* type, const char* help) {
  text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
}

template <class Value>
void single(std::string& text, const char* name, const char* type, const char* help, Value value) {
  head(text, name, type, help);
  text += fmt::format("{} {}\n", name, value);
}

void of_ranks(std::string& text, const char* name, const char* help,
              const std::vector<BytesDone>& ranks, std::uint64_t BytesDone::*field) {
  head(text, name, "gauge", help);
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    if (ranks[rank].known)
      text += fmt::format("{}{{rank=\"{}\"}} {}\n", name, rank, ranks[rank].*field);
  }
}

}  // namespace

std::string metrics_text(const Metrics& metrics) {
  std::string text;
  head(text, "initrt_info", "gauge", "The run's model.");
  text += fmt::format("initrt_info{{model=\"{}\"}} 1\n", escaped(metrics.model));
  single(text, "initrt_running", "gauge", "1 while the run goes on.", metrics.running ? 1 : 0);
  single(text, "initrt_ranks", "gauge", "Ranks of the run.", metrics.loading.size());
  of_ranks(text, "initrt_load_done_bytes", "Bytes of the checkpoint that a rank has read.",
           metrics.loading, &BytesDone::done);
  of_ranks(text, "initrt_load_planned_bytes", "Bytes of the checkpoint that a rank is to read.",
           metrics.loading, &BytesDone::total);
  single(text, "initrt_prompts", "gauge", "Prompts that this run has to do.", metrics.prompts);
  single(text, "initrt_prompts_done_total", "counter", "Prompts that are done.",
         metrics.prompts_done);
  single(text, "initrt_tokens_total", "counter", "Tokens of the answers that are done.",
         metrics.tokens);
  single(text, "initrt_sweeps_total", "counter", "Passes over the model that were begun.",
         metrics.sweeps);
  single(text, "initrt_run_seconds", "gauge", "Since the run began.", metrics.seconds);
  single(text, "initrt_updated_timestamp_seconds", "gauge", "When this file was written.",
         fmt::format("{:.3f}", metrics.unix_time));
  return text;
}

MetricsFile::MetricsFile(std::string path, std::function<Metrics()> look,
                         std::chrono::milliseconds every)
    : path_(std::move(path)), look_(std::move(look)) {
  write();
  const auto write_now_and_then = [this, every](const std::stop_token& left) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait_for(lock, left, every, [] { return false; });
      if (left.stop_requested()) return;
      try {
        write();
      } catch (const Error&) {
        // A disk that is full for a while is no reason to end the run; finish() tells.
      }
    }
  };
  try {
    thread_ = std::jthread(write_now_and_then);
  } catch (const std::system_error&) {
    // No thread left for it: the first and the last state are written.
  }
}

void MetricsFile::finish() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  write();
}

void MetricsFile::write() const {
  using std::chrono::duration;
  Metrics metrics = look_();
  metrics.seconds = duration<double>(Clock::now() - began_).count();
  metrics.unix_time = duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  OutputFile file(path_);
  file.write(metrics_text(metrics));
  file.commit();
}

}  // namespace initrt

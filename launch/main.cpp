// initrt: the command line, and the one place where errors end.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "launch/commands/commands.h"
#include "launch/job/job.h"
#include "launch/machine/stop_signals.h"
#include "launch/option_texts.h"
#include "launch/output/log.h"
#include "launch/output/progress.h"
#include "launch/output/standard_output.h"
#include "runtime/faults/faulty_communicator.h"
#include "runtime/machine/agreement.h"
#include "runtime/machine/limits.h"
#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// What the command line asks for.
struct Options {
  RunOptions run;
  PlanOptions plan;
  ScoreOptions score;
  ConvertOptions convert;
  InspectOptions inspect;
  VerifyOptions verify;
  DoctorOptions doctor;
  std::string convert_to, file_bytes, memory_bytes;
  std::uint32_t nodes = 0;  // for plan; 0: as launched
};

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Format& format : formats()) names.emplace_back(format.name);
  return names;
}

void add_format_option(CLI::App& app, std::string& format) {
  app.add_option("--format", format, "Which checkpoint to read, where a directory holds several")
      ->check(CLI::IsMember(format_names()));
}

void add_job_options(CLI::App& app, RunOptions& options) {
  app.add_option("--config", options.config, "Job file (configs/job.schema.json lists its keys)")
      ->type_name("FILE");
  app.add_option("--set", options.settings, "Set a key of the job, such as generate.seed=7")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option_function<std::string>(
         "--format", [&](const std::string& name) { options.settings.push_back("format=" + name); },
         "Which checkpoint to read, where the model's directory holds several")
      ->check(CLI::IsMember(format_names()));
  app.add_flag("--verbose", options.verbose,
               "Name all missing or unused tensors, not the first few");
}

void add_prompt_options(CLI::App& app, RunOptions& options) {
  app.add_flag_callback(
      "--chat", [&] { options.settings.push_back("generate.chat=true"); },
      "Take each prompt as a user's message, in the model's chat template; show answers alone");
}

void add_run_options(CLI::App& app, RunOptions& options) {
  add_job_options(app, options);
  app.add_option("--progress", options.progress, "How loading is shown on standard error")
      ->check(CLI::IsMember({"auto", "bar", "lines", "off"}))
      ->type_name("auto|bar|lines|off");
  app.add_option("--report", options.report, "Write the report as JSON")->type_name("FILE");
  app.add_option("--timeline", options.timeline,
                 "Write what every rank did when, as a trace for chrome://tracing or Perfetto; a "
                 "GPU's ops are then asked for one by one in every sweep, not as one recording")
      ->type_name("FILE");
}

void describe(CLI::App& app, Options& options) {
  app.description(
      "Brings a large model up on N ranks without ever holding it whole, and generates.");
  app.footer("mpirun -np N initrt --config job.json starts N ranks; alone it is one rank.");
  app.set_version_flag("--version", "initrt " INITRT_VERSION);
  app.require_subcommand(0, 1);
  add_run_options(app, options.run);
  add_prompt_options(app, options.run);
  app.add_option("--metrics", options.run.metrics,
                 "Write where the run is every 5 s, for node-exporter's textfile collector")
      ->type_name("FILE.prom");

  CLI::App* plan = app.add_subcommand("plan", "Print what a run would allocate and read");
  add_job_options(*plan, options.run);
  add_prompt_options(*plan, options.run);
  plan->add_option("--world", options.plan.world,
                   "Number of ranks to plan for (default: the launcher's)")
      ->check(CLI::Range(1u, 65536u));
  plan->add_option("--nodes", options.nodes, "Number of nodes they are on (default: as launched)")
      ->check(CLI::Range(1u, 65536u));
  plan->add_option("--memory", options.memory_bytes,
                   "What each GPU, or on CPUs each node, has (default: as this node)")
      ->type_name("BYTES");
  plan->add_flag("--json", options.plan.json, "As JSON");

  CLI::App* inspect = app.add_subcommand("inspect", "List a checkpoint");
  inspect->add_option("path", options.inspect.path, "File or directory")->required();
  add_format_option(*inspect, options.inspect.format);
  inspect->add_flag("--json", options.inspect.json, "As JSON");

  CLI::App* verify = app.add_subcommand(
      "verify", "Hash a checkpoint's values, or compare them with another checkpoint's");
  verify->add_option("path", options.verify.path, "File or directory")->required();
  add_format_option(*verify, options.verify.format);
  auto* against = verify->add_option("--against", options.verify.against,
                                     "Compare with this checkpoint, of any format: the first "
                                     "difference is an error");
  verify->add_option("--against-format", options.verify.against_format, "As --format, of the other")
      ->check(CLI::IsMember(format_names()))
      ->needs(against);
  verify->add_flag("--stored", options.verify.stored,
                   "All tensors as they are stored, not the model's in canonical order");
  verify->add_flag("--json", options.verify.json, "As JSON");

  CLI::App* score = app.add_subcommand("score", "How likely a text is to the model");
  add_run_options(*score, options.run);
  auto* text = score->add_option("--text", options.score.text_path, "Text file")->type_name("FILE");
  auto* tokens =
      score->add_option("--tokens", options.score.tokens, "Token ids, as 1,2,3")
          ->delimiter(',')
          ->check([](const std::string& id) -> std::string {
            const bool digits = id.find_first_not_of("0123456789") == std::string::npos;
            return digits && !id.empty() ? "" : fmt::format("{} is no token id", quote(id));
          });
  text->excludes(tokens);
  score
      ->add_option("--logits", options.score.logits_path,
                   "Write all logits, float32 [tokens, vocabulary]")
      ->type_name("FILE.npy");

  CLI::App* convert = app.add_subcommand("convert", "Write a checkpoint in another format");
  convert->add_option("from", options.convert.model.path, "Checkpoint: file or directory")
      ->required();
  convert->add_option("directory", options.convert.to, "Directory to make")->required();
  add_format_option(*convert, options.convert.model.format);
  convert->add_option("--to", options.convert_to, "Format")
      ->check(CLI::IsMember({"safetensors"}))
      ->required();
  convert
      ->add_option("--precision", options.convert.precision,
                   "What the elements are written as (default: the checkpoint's own "
                   "bf16-true or 16-true, else 32-true)")
      ->check(CLI::IsMember({"32-true", "bf16-true", "16-true"}));
  convert->add_option("--max-file-size", options.file_bytes,
                      "Most tensor bytes of a file (default: 5GB, or a quarter of the model)");
  convert->add_option("--model-config", options.convert.model.config, "config.json of the model");
  convert->add_option("--tokenizer", options.convert.model.tokenizer,
                      "tokenizer.json or tokenizer.model");
  convert->add_flag("--verbose", options.convert.model.all_names,
                    "Name all missing or unused tensors");

  CLI::App* doctor = app.add_subcommand(
      "doctor", "Say what this machine has, and what is lost where it lacks something");
  doctor->add_flag("--json", options.doctor.json, "As JSON");

  app.add_subcommand("manual", "Print a page for man(1)");
  app.add_subcommand("completion", "Print a completion script for bash");
  app.add_subcommand("schema", "Print the JSON schema of job files");
}

// What one process does for all, whatever the number of ranks.
void run_alone(const CLI::App& app, Options& options) {
  if (app.got_subcommand("plan")) {
    if (options.nodes > options.plan.world) {
      fail("plan: --nodes is {}, more than the ranks ({}): set --world", options.nodes,
           options.plan.world);
    }
    if (options.nodes > 0) options.plan.one_node = options.nodes == 1;
    options.plan.nodes = options.nodes > 0 ? options.nodes : options.plan.one_node ? 1 : 2;
    if (!options.memory_bytes.empty()) {
      options.plan.memory = parse_bytes(options.memory_bytes, "--memory");
    }
    print_plan(options.run, options.plan);
  } else if (app.got_subcommand("inspect")) {
    inspect(options.inspect);
  } else if (app.got_subcommand("verify")) {
    verify(options.verify);
  } else if (app.got_subcommand("convert")) {
    if (!options.file_bytes.empty()) {
      options.convert.file_bytes = parse_bytes(options.file_bytes, "--max-file-size");
    }
    convert(options.convert);
  } else if (app.got_subcommand("doctor")) {
    print_diagnosis(options.doctor);
  } else if (app.got_subcommand("manual")) {
    write_stdout(manual_page(app, INITRT_VERSION));
  } else if (app.got_subcommand("completion")) {
    write_stdout(bash_completion(app));
  } else if (app.got_subcommand("schema")) {
    write_stdout(job_schema().dump(2) + "\n");
  }
}

int run_together(const CLI::App& app, World& world, const Options& options) {
  if (!app.got_subcommand("score")) return run(world, options.run);
  if (options.score.text_path.empty() && options.score.tokens.empty()) {
    fail("score: nothing to score: give --text FILE or --tokens 1,2,3");
  }
  score(world, options.run, options.score);
  return 0;
}

// What INITRT_TEST_FAULT names happens from here on.
void arm_test_fault(World& world) {
  arm_fault(world.rank(), world.size(), [] { return asked_to_stop() != 0; });
  FaultInjector* const fault = armed_fault();
  if (fault == nullptr) return;
  world.wrap_comm(
      [fault](Communicator& comm) { return std::make_unique<FaultyCommunicator>(comm, *fault); });
}

int start(int argc, char** argv, World& world) {
  CLI::App app;
  Options options;
  options.plan.world = world.size();
  options.plan.one_node = world.one_node();
  describe(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    if (world.rank() == 0) write_stdout(app.help());
    return 0;
  } catch (const CLI::CallForVersion&) {
    if (world.rank() == 0) write_stdout(app.version() + "\n");
    return 0;
  } catch (const CLI::ParseError& error) {
    fail("{} (initrt --help lists the options)", error.what());
  }
  arm_test_fault(world);
  agree_on_start(world.comm(), INITRT_VERSION,
                 std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  if (argc == 1) fail("no job: give --config FILE (initrt --help lists the options)");
  const bool together = app.get_subcommands().empty() || app.got_subcommand("score");
  if (together) return run_together(app, world, options);
  world.end_watch();
  if (world.rank() == 0) run_alone(app, options);
  return 0;
}

// A standard stream that is closed would leave its number to the next file that is opened, which
// would get what is meant for the stream. In its place comes what cannot be read, or not be
// written.
void occupy_closed_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

// A checkpoint can be of thousands of files, each held open twice; the usual limit is 1024. Where
// it cannot be raised, opening says so.
void allow_many_files() {
  struct rlimit limit {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

// As the last line of all.
void say_failure(const std::string& message) {
  std::fflush(stdout);
  end_all_progress();
  write_log(LogLevel::Error, message);
}

}  // namespace
}  // namespace initrt

int main(int argc, char** argv) {
  try {
    initrt::occupy_closed_streams();
    initrt::allow_many_files();
    std::signal(SIGXFSZ, SIG_IGN);  // a file beyond its limit is an error that says so
    initrt::World world({initrt::end_all_progress, initrt::say_failure});
    initrt::set_log_speaker(world.speaker());
    try {
      return initrt::start(argc, argv, world);
    } catch (const std::exception& error) {
      world.fail(initrt::failure_text(error));
      return 1;
    }
  } catch (const std::exception& error) {
    initrt::say_failure(initrt::failure_text(error));
    return 1;
  }
}

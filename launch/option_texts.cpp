#include "launch/option_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "launch/job/job.h"

namespace initrt {
namespace {

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_name().empty(); });
}

std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return option->nonpositional(); });
}

// The choices of an option: "{a,b}" as CLI::IsMember has it, or a type such as "a|b".
std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t begin = type.find('{'), end = type.find('}');
  const bool listed = begin != std::string::npos && end != std::string::npos;
  if (!listed && type.find('|') == std::string::npos) return {};
  const std::string names =
      listed ? type.substr(begin + 1, end - begin - 1) : type.substr(0, type.find(':'));
  return CLI::detail::split(names, listed ? ',' : '|');
}

// What an option takes, as a person reads it: "FILE", "auto|bar".
std::string value_of(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "";
  const std::vector<std::string> choices = choices_of(option);
  if (!choices.empty()) return fmt::format("{}", fmt::join(choices, "|"));
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

// Text for troff: no request at a line's start, no escapes, hyphens that can be copied.
std::string troff(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      if ((c == '.' || c == '\'') && (result.empty() || result.back() == '\n')) result += "\\&";
      result += c;
    }
  }
  return result;
}

void add_options(std::string& page, const CLI::App& app) {
  for (const CLI::Option* option : options_of(app)) {
    const std::string value = value_of(*option);
    page += fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", troff(option->get_name(false, true)),
                        value.empty() ? "" : " \\fI" + troff(value) + "\\fR",
                        troff(option->get_description()));
  }
}

std::string words(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : options_of(app)) {
    for (const std::string& name : option->get_lnames()) text += " --" + name;
  }
  return text;
}

// A case for each option with choices; of commands that share an option, one.
std::string choice_cases(const CLI::App& app) {
  std::vector<std::string> cases;
  const auto add = [&](const CLI::App& command) {
    for (const CLI::Option* option : options_of(command)) {
      const std::vector<std::string> choices = choices_of(*option);
      if (choices.empty()) continue;
      cases.push_back(
          fmt::format("    {}) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return ;;\n",
                      option->get_name(), fmt::join(choices, " ")));
    }
  };
  add(app);
  for (const CLI::App* command : commands_of(app)) add(*command);
  std::ranges::sort(cases);
  cases.erase(std::unique(cases.begin(), cases.end()), cases.end());
  return fmt::format("{}", fmt::join(cases, ""));
}

}  // namespace

std::string manual_page(const CLI::App& app, const std::string& version) {
  std::string page = fmt::format(
      ".TH INITRT 1 \"\" \"initrt {}\" \"User Commands\"\n"
      ".SH NAME\ninitrt \\- {}\n"
      ".SH SYNOPSIS\n.B mpirun \\-np\n.I N\n.B initrt \\-\\-config\n.I "
      "JOB\n[\\fIoptions\\fR]\n.br\n"
      ".B initrt\n.I command\n[\\fIoptions\\fR]\n"
      ".SH DESCRIPTION\n{}\n{}\n.SH OPTIONS\n",
      version, troff("brings a large model up on N ranks, and generates"),
      troff(app.get_description()), troff(app.get_footer()));
  add_options(page, app);
  page += ".SH COMMANDS\n";
  for (const CLI::App* command : commands_of(app)) {
    page += fmt::format(".SS {}\n{}\n", command->get_name(), troff(command->get_description()));
    for (const CLI::Option* option : command->get_options()) {
      if (option->nonpositional()) continue;
      page += fmt::format(".TP\n\\fI{}\\fR\n{}\n", troff(option->get_name()),
                          troff(option->get_description()));
    }
    add_options(page, *command);
  }
  page +=
      ".SH KEYS OF A JOB\nIn the job file, or by \\fB\\-\\-set\\fR \\fIKEY\\fR=\\fIVALUE\\fR.\n";
  for (const JobKey& key : job_keys()) {
    page += fmt::format(".TP\n\\fB{}\\fR\n{}\n", troff(std::string(key.path)),
                        troff(std::string(key.about)));
  }
  page +=
      ".SH SIGNALS\nSIGTERM, SIGUSR1 and SIGINT let the sweep under way end; results are whole, "
      "and "
      "the same command goes on from there. A second SIGINT does not wait.\n"
      ".SH EXIT STATUS\n.TP\n0\nDone.\n.TP\n1\nFailed: the last line of standard error says why.\n"
      ".TP\n75\nStopped by SIGTERM or SIGUSR1: to be started again.\n"
      ".TP\n130\nStopped by SIGINT.\n";
  return page;
}

std::string bash_completion(const CLI::App& app) {
  std::string names, keys, cases;
  for (const CLI::App* command : commands_of(app)) {
    names += (names.empty() ? "" : " ") + command->get_name();
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(), words(*command));
  }
  for (const JobKey& key : job_keys()) keys += fmt::format(" {}=", key.path);
  std::string alternatives = names;
  std::ranges::replace(alternatives, ' ', '|');
  return fmt::format(
      R"(# bash completion for initrt, made from its own options (initrt completion).
_initrt() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command= words i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case ${{COMP_WORDS[i]}} in
      {0}) command=${{COMP_WORDS[i]}}; break ;;
    esac
  done
  case $before in
    --set) compopt -o nospace 2> /dev/null; COMPREPLY=($(compgen -W "{1}" -- "$word")); return ;;
{2}  esac
  case $command in
{3}    *) words="{4} {5}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _initrt initrt
)",
      alternatives, keys, choice_cases(app), cases, names, words(app));
}

}  // namespace initrt

// What is made of the command line's definitions: a manual page and a completion script.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace initrt {

/// A page for man(1), in the macros of man(7). @param version of the program
[[nodiscard]] std::string manual_page(const CLI::App& app, const std::string& version);

/// A script that bash sources: it completes commands, options, their choices and the job's keys.
[[nodiscard]] std::string bash_completion(const CLI::App& app);

}  // namespace initrt

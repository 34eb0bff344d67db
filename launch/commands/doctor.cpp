// initrt doctor: what this machine has, and what is lost where it lacks something.
#include <nlohmann/json.hpp>

#include "launch/commands/commands.h"
#include "launch/machine/doctor.h"
#include "launch/output/standard_output.h"
#include "sharding/error.h"

namespace initrt {

void print_diagnosis(const DoctorOptions& options) {
  const std::vector<Finding> findings = diagnose(look_at_machine());
  std::string text;
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    const auto& [about, found, cost] = finding;
    json.push_back({{"about", about}, {"found", found}, {"cost", cost}});
    text += fmt::format("{}  {:<17}  {}\n", cost.empty() ? "ok" : "--", about, one_line(found));
    if (!cost.empty()) text += fmt::format("    {:<17}  {}\n", "", one_line(cost));
  }
  write_stdout(options.json ? json.dump(2) + "\n" : text);
}

}  // namespace initrt

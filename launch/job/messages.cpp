#include "launch/job/messages.h"

#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

void check_message(const Json& message, const std::string& where) {
  if (!message.is_object()) fail("{} is not an object with \"role\" and \"content\"", where);
  const auto role = message.find("role");
  if (role == message.end() || !role->is_string() || role->get_ref<const std::string&>().empty()) {
    fail("{} has no string \"role\"", where);
  }
  const auto content = message.find("content");
  const bool called = message.contains("tool_calls");
  if (content == message.end() ? !called : content->is_number() || content->is_boolean()) {
    fail("{} has no \"content\" that is a text or a list of parts", where);
  }
}

}  // namespace

Json read_messages(const Json& list, const std::string& where) {
  if (!list.is_array() || list.empty()) {
    fail("{} is not a list of objects with \"role\" and \"content\"", where);
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    check_message(list[i], fmt::format("{}[{}]", where, i));
  }
  return list;
}

Json read_tools(const Json& list, const std::string& where) {
  if (list.is_null()) return nullptr;
  if (!list.is_array()) fail("{} is not a list of objects, each a tool", where);
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_object()) fail("{}[{}] is not an object that describes a tool", where, i);
  }
  return list.empty() ? Json() : list;
}

}  // namespace initrt

#include "launch/job/messages.h"

#include <nlohmann/json.hpp>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

const std::string& text_of(const nlohmann::json& message, const char* key,
                           const std::string& where) {
  const auto found = message.find(key);
  if (found == message.end() || !found->is_string()) {
    fail("{} has no string {}", where, quote(key));
  }
  return found->get_ref<const std::string&>();
}

Message read_message(const nlohmann::json& message, const std::string& where) {
  if (!message.is_object()) fail("{} is not an object with \"role\" and \"content\"", where);
  for (const auto& [key, value] : message.items()) {
    if (key != "role" && key != "content") {
      fail("{} has the key {}, expected \"role\" and \"content\"", where, quote(key));
    }
  }
  Message read{text_of(message, "role", where), text_of(message, "content", where)};
  if (!is_message_role(read.role)) {
    fail("{} has the role {}, expected \"system\", \"user\" or \"assistant\"", where,
         quote(read.role));
  }
  return read;
}

}  // namespace

std::vector<Message> read_messages(const nlohmann::json& list, const std::string& where) {
  if (!list.is_array() || list.empty()) {
    fail("{} is not a list of objects with \"role\" and \"content\"", where);
  }
  std::vector<Message> messages;
  for (const nlohmann::json& message : list) {
    messages.push_back(read_message(message, fmt::format("{}[{}]", where, messages.size())));
  }
  return messages;
}

nlohmann::ordered_json messages_json(std::span<const Message> messages) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Message& message : messages) {
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  return list;
}

}  // namespace initrt

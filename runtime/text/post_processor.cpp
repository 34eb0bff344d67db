// Reading of `post_processor`.
#include "runtime/text/post_processor.h"

#include "sharding/error.h"

namespace initrt {
namespace {

PostProcessor make_template(const JsonNode& json) {
  PostProcessor result;
  bool text_seen = false;
  const JsonNode single = json.at("single");
  for (std::size_t i = 0; i < single.size(); ++i) {
    const JsonNode piece = single.item(i);
    if (const std::optional<JsonNode> sequence = piece.find("Sequence")) {
      if (text_seen || sequence->at("id").string() != "A") {
        sequence->expected("the one sequence \"A\" of a single text");
      }
      text_seen = true;
      continue;
    }
    const std::string& name = piece.at("SpecialToken").at("id").string();
    const JsonNode ids = json.at("special_tokens").at(name).at("ids");
    for (std::size_t k = 0; k < ids.size(); ++k) {
      (text_seen ? result.after : result.before).push_back(ids.item(k).token_id());
    }
  }
  if (!text_seen) fail("{} has no sequence \"A\", so the text itself has no place", single.path());
  return result;
}

/// RobertaProcessing and BertProcessing: [token, id] for each end.
PostProcessor make_pair_of_tokens(const JsonNode& json) {
  const auto id_at = [&](const char* key) {
    const JsonNode token = json.at(key);
    if (token.size() != 2) token.expected("a token and its id");
    return token.item(1).token_id();
  };
  return {{id_at("cls")}, {id_at("sep")}};
}

void add(const JsonNode& json, bool nested, PostProcessor& result) {
  const JsonNode type = json.at("type");
  const std::string& name = type.string();
  const bool pair = name == "RobertaProcessing" || name == "BertProcessing";
  if (pair || name == "TemplateProcessing") {
    const PostProcessor outer = pair ? make_pair_of_tokens(json) : make_template(json);
    result.before.insert(result.before.begin(), outer.before.begin(), outer.before.end());
    result.after.insert(result.after.end(), outer.after.begin(), outer.after.end());
  } else if (name == "Sequence" && !nested) {
    const JsonNode parts = json.at("processors");
    for (std::size_t i = 0; i < parts.size(); ++i) add(parts.item(i), true, result);
  } else if (name != "ByteLevel") {
    type.expected(
        "\"ByteLevel\", \"TemplateProcessing\", \"RobertaProcessing\", \"BertProcessing\" or one "
        "\"Sequence\" of them");
  }
}

}  // namespace

PostProcessor make_post_processor(const std::optional<JsonNode>& json) {
  PostProcessor result;
  if (json) add(*json, false, result);
  return result;
}

}  // namespace initrt

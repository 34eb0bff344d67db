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

void add(const JsonNode& json, bool nested, PostProcessor& result) {
  const JsonNode type = json.at("type");
  if (type.string() == "TemplateProcessing") {
    const PostProcessor outer = make_template(json);
    result.before.insert(result.before.begin(), outer.before.begin(), outer.before.end());
    result.after.insert(result.after.end(), outer.after.begin(), outer.after.end());
  } else if (type.string() == "Sequence" && !nested) {
    const JsonNode parts = json.at("processors");
    for (std::size_t i = 0; i < parts.size(); ++i) add(parts.item(i), true, result);
  } else if (type.string() != "ByteLevel") {
    type.expected("\"ByteLevel\", \"TemplateProcessing\" or one \"Sequence\" of them");
  }
}

}  // namespace

PostProcessor make_post_processor(const std::optional<JsonNode>& json) {
  PostProcessor result;
  if (json) add(*json, false, result);
  return result;
}

}  // namespace initrt

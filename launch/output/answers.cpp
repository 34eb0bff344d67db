#include "launch/output/answers.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

#include "launch/output/standard_output.h"
#include "runtime/text/utf8.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

// A completion as 32-bit words: index, ended, tokens, logprobs of a token, and then these.
std::vector<std::byte> pack(const std::vector<Completion>& completions) {
  std::vector<std::uint32_t> words;
  for (const Completion& completion : completions) {
    const std::size_t width = completion.logprobs.empty() ? 0 : completion.logprobs.front().size();
    words.insert(words.end(), {completion.index, completion.ended ? 1u : 0u,
                               static_cast<std::uint32_t>(completion.tokens.size()),
                               static_cast<std::uint32_t>(width)});
    words.insert(words.end(), completion.tokens.begin(), completion.tokens.end());
    for (const std::vector<TokenLogprob>& of_token : completion.logprobs) {
      for (const TokenLogprob& one : of_token) {
        words.push_back(static_cast<std::uint32_t>(one.id));
        words.push_back(std::bit_cast<std::uint32_t>(one.logprob));
      }
    }
  }
  const auto bytes = std::as_bytes(std::span(words));
  return {bytes.begin(), bytes.end()};
}

std::vector<Completion> unpack(const std::vector<std::byte>& packed) {
  std::vector<std::uint32_t> words(packed.size() / sizeof(std::uint32_t));
  std::copy(packed.begin(), packed.end(), std::as_writable_bytes(std::span(words)).begin());
  std::vector<Completion> completions;
  for (auto at = words.begin(); at != words.end();) {
    Completion completion{at[0], {}, at[1] != 0, {}};
    const std::uint32_t tokens = at[2], width = at[3];
    at += 4;
    completion.tokens.assign(at, at + tokens);
    at += tokens;
    for (std::uint32_t token = 0; token < tokens && width > 0; ++token) {
      std::vector<TokenLogprob>& of_token = completion.logprobs.emplace_back();
      for (std::uint32_t i = 0; i < width; ++i, at += 2) {
        of_token.push_back({static_cast<TokenId>(at[0]), std::bit_cast<float>(at[1])});
      }
    }
    completions.push_back(std::move(completion));
  }
  return completions;
}

Json logprob_json(const Tokenizer& tokenizer, const TokenLogprob& one) {
  return {{"token", to_valid_utf8(tokenizer.token_bytes(one.id))},
          {"id", one.id},
          {"logprob", one.logprob}};
}

// The shape of OpenAI's chat completions, with a token's id where that has its bytes.
Json logprobs_json(const Tokenizer& tokenizer, const Completion& completion) {
  Json content = Json::array();
  for (const std::vector<TokenLogprob>& of_token : completion.logprobs) {
    Json& token = content.emplace_back(logprob_json(tokenizer, of_token.front()));
    Json& top = token["top_logprobs"] = Json::array();
    for (const TokenLogprob& one : std::span(of_token).subspan(1)) {
      top.push_back(logprob_json(tokenizer, one));
    }
  }
  return {{"content", content}};
}

}  // namespace

std::string AnswerText::finish() {
  const std::string held = stop_.push(utf8_.finish());
  return held + stop_.finish();
}

std::vector<Completion> exchange_completions(Communicator& comm,
                                             const std::vector<Completion>& mine) {
  const auto count = static_cast<std::uint32_t>(mine.size());
  std::vector<std::uint32_t> counts(comm.size());
  comm.all_gather(std::as_bytes(std::span(&count, 1)), std::as_writable_bytes(std::span(counts)));
  std::vector<Completion> all;
  for (std::uint32_t root = 0; root < comm.size(); ++root) {
    if (counts[root] == 0) continue;
    std::vector<std::byte> packed;
    if (root == comm.rank()) packed = pack(mine);
    comm.broadcast(packed, root);
    for (Completion& completion : unpack(packed)) all.push_back(std::move(completion));
  }
  return all;
}

void AnswerLines::add(std::vector<Completion> completions) {
  for (Completion& completion : completions) {
    const std::uint32_t index = completion.index;
    waiting_.emplace(index, std::move(completion));
  }
  for (auto found = waiting_.begin(); found != waiting_.end() && found->first == next_;
       found = waiting_.erase(found), ++next_) {
    show(found->second);
  }
}

void AnswerLines::show(const Completion& completion) const {
  AnswerText answer(tokenizer_, stop_);
  std::string text;
  for (const TokenId id : completion.tokens) text += answer.push(id);
  text += answer.finish();
  const PromptText& asked = prompts_[completion.index];
  Json line;
  if (asked.conversation.empty()) {
    line["prompt"] = asked.text;
  } else {
    line["messages"] = asked.conversation.messages;
  }
  line["completion"] = text;
  line["tokens"] = completion.tokens;
  line["finish_reason"] = completion.ended ? "stop" : "length";
  if (!completion.logprobs.empty()) line["logprobs"] = logprobs_json(tokenizer_, completion);
  write_stdout(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", reader_waits_);
}

}  // namespace initrt

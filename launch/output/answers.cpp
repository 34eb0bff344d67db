#include "launch/output/answers.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

#include "launch/output/standard_output.h"
#include "runtime/text/utf8.h"
#include "sharding/error.h"

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

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What every result begins with.
std::string id_text(const PromptText& prompt) {
  return prompt.id.empty() ? "{" : "{\"id\":" + prompt.id + ",";
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

void ResultStream::write(std::string_view line) { write_stdout(line, reader_waits_); }

std::string result_head(const PromptText& prompt) {
  if (prompt.conversation.empty())
    return id_text(prompt) + "\"prompt\":" + text_of(prompt.text) + ",";
  return id_text(prompt) + "\"messages\":" + text_of(prompt.conversation.messages) + ",";
}

std::string refusal_head(const PromptText& prompt) {
  return id_text(prompt) + fmt::format("\"line\":{},\"error\":", prompt.line);
}

AnswerLines::AnswerLines(const Tokenizer* tokenizer, const std::vector<PromptText>& prompts,
                         ResultOutput& output, PromptRange range)
    : tokenizer_(tokenizer),
      prompts_(prompts),
      output_(output),
      end_(range.last),
      next_(range.first) {}

void AnswerLines::begin(std::map<std::uint32_t, std::string> kept) {
  waiting_ = std::move(kept);
  for (std::uint32_t i = next_; i < end_; ++i) {
    const PromptText& prompt = prompts_[i];
    if (prompt.error.empty() || waiting_.contains(i)) continue;
    waiting_[i] = refusal_head(prompt) + text_of(prompt.error) + "}\n";
  }
  give_out();
}

void AnswerLines::add(std::vector<Completion> completions) {
  // Those that come next are written at once, and need not be kept.
  std::ranges::sort(completions, {}, &Completion::index);
  for (const Completion& completion : completions) {
    const auto [line, fresh] = waiting_.emplace(completion.index, line_of(completion));
    give_out();
    if (fresh && completion.index >= next_) output_.keep(completion.index, line->second);
  }
  output_.settle(waiting_.empty());
}

void AnswerLines::give_out() {
  for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_;
       first = waiting_.erase(first), ++next_) {
    output_.write(first->second);
  }
}

std::string AnswerLines::line_of(const Completion& completion) const {
  const PromptText& asked = prompts_[completion.index];
  AnswerText answer(*tokenizer_, asked.stop);
  std::string text;
  for (const TokenId id : completion.tokens) text += answer.push(id);
  text += answer.finish();
  Json rest;
  rest["completion"] = text;
  rest["tokens"] = completion.tokens;
  rest["finish_reason"] = completion.ended ? "stop" : "length";
  if (!completion.logprobs.empty()) rest["logprobs"] = logprobs_json(*tokenizer_, completion);
  return result_head(asked) + text_of(rest).substr(1) + "\n";
}

}  // namespace initrt

// Answers on their way out: tokens to text, all ranks' completions to rank 0, lines of JSON.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "launch/model/prepare.h"
#include "runtime/comm/communicator.h"
#include "runtime/exec/generate.h"
#include "runtime/text/stop_strings.h"
#include "runtime/text/tokenizer.h"

namespace initrt {

/// One prompt's answer as text: whole characters only, cut before the first stop string. @param
/// tokenizer must outlive this
class AnswerText {
 public:
  AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stop)
      : tokenizer_(tokenizer), stop_(std::move(stop)) {}

  /// Adds a token; returns what can be given out now.
  std::string push(TokenId id) { return stop_.push(utf8_.push(tokenizer_.token_bytes(id))); }
  /// No token follows: what was held back.
  std::string finish();
  [[nodiscard]] bool stopped() const { return stop_.stopped(); }

 private:
  const Tokenizer& tokenizer_;
  Utf8Stream utf8_;
  StopStrings stop_;
};

/// All ranks' new completions, on every rank. Collective.
[[nodiscard]] std::vector<Completion> exchange_completions(Communicator& comm,
                                                           const std::vector<Completion>& mine);

/// Answers on standard output as JSONL, in the prompts' order, each as soon as those before it are
/// there.
class AnswerLines {
 public:
  /// What is given must outlive this. @param reader_waits as write_stdout()'s `waiting`
  AnswerLines(const Tokenizer& tokenizer, const std::vector<PromptText>& prompts,
              const std::vector<std::string>& stop, std::function<void()> reader_waits = {})
      : tokenizer_(tokenizer),
        prompts_(prompts),
        stop_(stop),
        reader_waits_(std::move(reader_waits)) {}

  void add(std::vector<Completion> completions);

 private:
  void show(const Completion& completion) const;

  const Tokenizer& tokenizer_;
  const std::vector<PromptText>& prompts_;
  const std::vector<std::string>& stop_;
  const std::function<void()> reader_waits_;
  std::map<std::uint32_t, Completion> waiting_;
  std::uint32_t next_ = 0;
};

}  // namespace initrt

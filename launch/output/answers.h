// Answers on their way out: tokens to text, all ranks' completions to rank 0, lines of JSON.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "launch/job/prompt_file.h"
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

/// Where result lines go.
class ResultOutput {
 public:
  virtual ~ResultOutput() = default;
  /// The next line, with its newline.
  virtual void write(std::string_view line) = 0;
  /// A line that waits for others before it: kept where the job may end before they come.
  virtual void keep(std::uint32_t index, std::string_view line) {
    static_cast<void>(index), static_cast<void>(line);
  }
  /// After some were given. @param none_wait whether all that were kept have been written
  virtual void settle(bool none_wait) { static_cast<void>(none_wait); }
};

/// Standard output.
class ResultStream final : public ResultOutput {
 public:
  /// @param reader_waits as write_stdout()'s `waiting`
  explicit ResultStream(std::function<void()> reader_waits)
      : reader_waits_(std::move(reader_waits)) {}
  void write(std::string_view line) override;

 private:
  const std::function<void()> reader_waits_;
};

/// What the result of a prompt begins with, up to its answer.
[[nodiscard]] std::string result_head(const PromptText& prompt);
/// The same of a prompt that could not be run, up to its error.
[[nodiscard]] std::string refusal_head(const PromptText& prompt);

/// Results as lines of JSON in the prompts' order, each as soon as those before it are there. A
/// prompt that could not be run has one too, which says why.
class AnswerLines {
 public:
  /// What is given must outlive this. @param range whose results are to be given
  AnswerLines(const Tokenizer* tokenizer, const std::vector<PromptText>& prompts,
              ResultOutput& output, PromptRange range);

  /// Lines that were kept before. Called once, before anything else.
  void begin(std::map<std::uint32_t, std::string> kept);
  void add(std::vector<Completion> completions);
  /// How many of the range's results have been given out.
  [[nodiscard]] std::uint32_t given() const { return next_; }

 private:
  void give_out();
  [[nodiscard]] std::string line_of(const Completion& completion) const;

  const Tokenizer* const tokenizer_;  // null: no completion will come
  const std::vector<PromptText>& prompts_;
  ResultOutput& output_;
  const std::uint32_t end_;
  std::map<std::uint32_t, std::string> waiting_;
  std::uint32_t next_ = 0;
};

}  // namespace initrt

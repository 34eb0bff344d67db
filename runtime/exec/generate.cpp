#include "runtime/exec/generate.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace initrt {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A prompt in one of the rank's KV cache slots.
struct Sequence {
  const Prompt* prompt = nullptr;
  Completion completion;
  std::uint32_t position = 0;  // tokens already in the KV cache
  TokenId next = -1;           // the token to decode, once the prompt is in

  [[nodiscard]] bool in_prefill() const { return position < prompt->tokens.size(); }
};

// The rows of one sweep: every decoding sequence's next token, then as much prefill as fits.
struct Rows {
  std::vector<TokenId> tokens;
  std::vector<RowInfo> rows;
  std::vector<std::uint32_t> logit_rows;
  std::vector<std::uint32_t> logit_slots;  // which slot each logit row is of

  void add(TokenId token, RowInfo row, bool logits) {
    if (logits) {
      logit_rows.push_back(static_cast<std::uint32_t>(tokens.size()));
      logit_slots.push_back(row.sequence);
    }
    tokens.push_back(token);
    rows.push_back(row);
  }
};

Rows choose_rows(std::vector<std::optional<Sequence>>& slots, std::uint32_t prefill_chunk) {
  Rows chosen;
  for (std::uint32_t slot = 0; slot < slots.size(); ++slot) {
    if (!slots[slot] || slots[slot]->in_prefill()) continue;
    const std::uint32_t position = slots[slot]->position++;
    chosen.add(slots[slot]->next, {slot, position, position + 1}, true);
  }
  std::uint32_t room =
      prefill_chunk - std::min(prefill_chunk, static_cast<std::uint32_t>(chosen.tokens.size()));
  for (std::uint32_t slot = 0; slot < slots.size() && room > 0; ++slot) {
    if (!slots[slot] || !slots[slot]->in_prefill()) continue;
    Sequence& sequence = *slots[slot];
    const auto length = static_cast<std::uint32_t>(sequence.prompt->tokens.size());
    while (sequence.in_prefill() && room > 0) {
      const TokenId token = sequence.prompt->tokens[sequence.position];
      const bool last = sequence.position + 1 == length;
      chosen.add(token, {slot, sequence.position++, length}, last);
      --room;
    }
  }
  return chosen;
}

}  // namespace

GenerateStatistics generate(Engine& engine, std::span<const Prompt> prompts, std::uint32_t batch,
                            const GenerateOptions& options, const TokenHook& on_token,
                            const FinishHook& on_finish) {
  const Clock::time_point start = Clock::now();
  GenerateStatistics statistics;
  std::optional<Clock::time_point> first_token;
  std::vector<std::optional<Sequence>> slots(batch);
  std::vector<Completion> finished;
  std::size_t next_prompt = 0;
  while (true) {
    for (std::optional<Sequence>& slot : slots) {
      if (slot || next_prompt == prompts.size()) continue;
      slot.emplace();
      slot->prompt = &prompts[next_prompt++];
      slot->completion.index = slot->prompt->index;
    }
    const Rows chosen = choose_rows(slots, options.prefill_chunk);
    const SweepOutput output = engine.sweep({chosen.tokens, chosen.rows, chosen.logit_rows,
                                             static_cast<std::uint32_t>(finished.size())});
    if (output.any_finished) on_finish(std::exchange(finished, {}));
    if (!output.any) break;
    for (std::size_t i = 0; i < chosen.logit_slots.size(); ++i) {
      std::optional<Sequence>& slot = slots[chosen.logit_slots[i]];
      Completion& completion = slot->completion;
      slot->next = sample(output.logits.subspan(i * engine.vocabulary(), engine.vocabulary()),
                          options.sampler, completion.index, completion.tokens.size());
      completion.ended = std::find(options.end_tokens.begin(), options.end_tokens.end(),
                                   slot->next) != options.end_tokens.end();
      if (!completion.ended) completion.tokens.push_back(slot->next);
      if (on_token) on_token(completion.index, slot->next, completion.ended);
      if (completion.ended || completion.tokens.size() >= options.max_new_tokens) {
        finished.push_back(std::move(completion));
        slot.reset();
      }
    }
    statistics.tokens += chosen.logit_slots.size();
    if (first_token) {
      statistics.decode_tokens += chosen.logit_slots.size();
      statistics.decode_seconds = seconds_since(*first_token);
    } else if (!chosen.logit_slots.empty()) {
      first_token = Clock::now();
      statistics.first_token_seconds = seconds_since(start);
    }
  }
  statistics.seconds = seconds_since(start);
  return statistics;
}

void score(Engine& engine, std::span<const TokenId> tokens, std::uint32_t chunk,
           const std::function<void(std::size_t, std::span<const float>)>& on_logits) {
  std::size_t done = 0;
  while (true) {
    const std::size_t count = std::min<std::size_t>(chunk, tokens.size() - done);
    std::vector<RowInfo> rows;
    std::vector<std::uint32_t> logit_rows;
    for (std::size_t i = 0; i < count; ++i) {
      rows.push_back(
          {0, static_cast<std::uint32_t>(done + i), static_cast<std::uint32_t>(tokens.size())});
      logit_rows.push_back(static_cast<std::uint32_t>(i));
    }
    const SweepOutput output = engine.sweep({tokens.subspan(done, count), rows, logit_rows});
    if (!output.any) return;
    for (std::size_t i = 0; i < count; ++i) {
      on_logits(done + i, output.logits.subspan(i * engine.vocabulary(), engine.vocabulary()));
    }
    done += count;
  }
}

}  // namespace initrt

#include "runtime/exec/generate.h"

#include <algorithm>
#include <chrono>
#include <functional>
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
  std::vector<TokenId> again;  // all tokens, once they must be run from the start; before, none
  std::vector<TokenId> seen;   // distinct tokens so far, ascending; empty without a penalty
  SamplerOptions sampler;

  Sequence(const Prompt& of, const SamplerOptions& usual)
      : prompt(&of), sampler(of.sampler.value_or(usual)) {
    completion.index = of.index;
    completion.tokens.reserve(of.max_new_tokens);  // for which the KV cache has room
    if (sampler.repetition_penalty == 1) return;
    seen = of.tokens;
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  }

  [[nodiscard]] std::span<const TokenId> prefill() const {
    return again.empty() ? prompt->tokens : again;
  }
  [[nodiscard]] bool in_prefill() const { return position < prefill().size(); }

  // Starts over where the tokens so far reach the length at which their keys change.
  void restart_at(std::uint32_t length) {
    const std::vector<TokenId>& answer = completion.tokens;
    if (length == 0 || answer.empty() || prompt->tokens.size() + answer.size() != length) return;
    again = prompt->tokens;
    again.insert(again.end(), answer.begin(), answer.end());
    position = 0;
  }
};

// The rows of one sweep: every decoding sequence's next token, then as much prefill as fits. What
// they lie in is kept from sweep to sweep.
struct Rows {
  std::vector<TokenId> tokens;
  std::vector<RowInfo> rows;
  std::vector<std::uint32_t> logit_rows;
  std::vector<std::uint32_t> logit_slots;  // which slot each logit row is of
  std::vector<double> draws;               // of each logit row, where a device chooses tokens

  Rows(std::size_t most_rows, std::size_t slots) {
    tokens.reserve(most_rows);
    rows.reserve(most_rows);
    logit_rows.reserve(slots);
    logit_slots.reserve(slots);
    draws.reserve(slots);
  }

  void clear() {
    tokens.clear();
    rows.clear();
    logit_rows.clear();
    logit_slots.clear();
    draws.clear();
  }
  void add(TokenId token, RowInfo row, bool logits) {
    if (logits) {
      logit_rows.push_back(static_cast<std::uint32_t>(tokens.size()));
      logit_slots.push_back(row.sequence);
    }
    tokens.push_back(token);
    rows.push_back(row);
  }
};

void choose_rows(std::vector<std::optional<Sequence>>& slots, std::uint32_t prefill_chunk,
                 Rows& chosen) {
  chosen.clear();
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
    const auto length = static_cast<std::uint32_t>(sequence.prefill().size());
    while (sequence.in_prefill() && room > 0) {
      const TokenId token = sequence.prefill()[sequence.position];
      const bool last = sequence.position + 1 == length;
      chosen.add(token, {slot, sequence.position++, length}, last);
      --room;
    }
  }
}

// free = the free slots of every rank, in rank order. Collective.
void tell_free_slots(Communicator& comm, const std::vector<std::optional<Sequence>>& slots,
                     std::vector<std::uint32_t>& free) {
  const auto mine =
      static_cast<std::uint32_t>(std::count(slots.begin(), slots.end(), std::nullopt));
  free.resize(comm.size());
  comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(free)));
}

// Whether nothing is wanted of logits but the token that is chosen, and of no others before, with
// the same filters for all: a device takes those of a sweep's rows together.
bool wants_tokens_alone(std::span<const Prompt> prompts, const GenerateOptions& options) {
  const SamplerOptions& usual = options.sampler;
  return options.logprobs == 0 && usual.repetition_penalty == 1 &&
         std::ranges::all_of(prompts, [&](const Prompt& prompt) {
           if (!prompt.sampler) return true;
           SamplerOptions own = *prompt.sampler;
           own.seed = usual.seed;  // draws are made on the host
           return own == usual;
         });
}

// What makes each logit row's draw its own.
void add_draws(const std::vector<std::optional<Sequence>>& slots, Rows& rows) {
  for (const std::uint32_t slot : rows.logit_slots) {
    const Completion& completion = slots[slot]->completion;
    rows.draws.push_back(
        draw_of(slots[slot]->sampler.seed, completion.index, completion.tokens.size()));
  }
}

// Adds the token to the answer, unless it is an end token.
void add_token(Sequence& sequence, TokenId chosen, const GenerateOptions& options) {
  Completion& completion = sequence.completion;
  sequence.next = chosen;
  completion.ended = std::find(options.end_tokens.begin(), options.end_tokens.end(), chosen) !=
                     options.end_tokens.end();
  if (!completion.ended) completion.tokens.push_back(chosen);
}

// Chooses the sequence's next token and adds it to the answer, unless it is an end token.
void choose_token(Sequence& sequence, std::span<float> logits, const GenerateOptions& options) {
  Completion& completion = sequence.completion;
  const SamplerOptions& sampler = sequence.sampler;
  const std::vector<float> unpenalized =
      penalize(logits, sequence.seen, sampler.repetition_penalty);
  const TokenId chosen = sample(logits, sampler, completion.index, completion.tokens.size());
  add_token(sequence, chosen, options);
  if (completion.ended) return;
  if (options.logprobs > 0) {
    for (std::size_t i = 0; i < unpenalized.size(); ++i) {
      logits[static_cast<std::size_t>(sequence.seen[i])] = unpenalized[i];
    }
    completion.logprobs.push_back(log_probabilities(logits, chosen, options.logprobs));
  }
  if (sampler.repetition_penalty == 1) return;
  const auto place = std::lower_bound(sequence.seen.begin(), sequence.seen.end(), chosen);
  if (place == sequence.seen.end() || *place != chosen) sequence.seen.insert(place, chosen);
}

}  // namespace

void next_ranks(std::span<std::uint32_t> free_slots, std::size_t prompts,
                std::vector<std::uint32_t>& ranks) {
  ranks.clear();
  while (ranks.size() < prompts) {
    const auto most = std::max_element(free_slots.begin(), free_slots.end());
    if (*most == 0) break;
    --*most;
    ranks.push_back(static_cast<std::uint32_t>(most - free_slots.begin()));
  }
}

std::vector<Prompt> longest_first(std::vector<Prompt> prompts, std::size_t window) {
  const auto positions = [](const Prompt& prompt) {
    return prompt.tokens.size() + prompt.max_new_tokens;
  };
  for (std::size_t begin = 0; begin < prompts.size(); begin += window) {
    const std::size_t end = std::min(begin + window, prompts.size());
    std::ranges::stable_sort(std::span(prompts).subspan(begin, end - begin), std::greater{},
                             positions);
  }
  return prompts;
}

GenerateStatistics generate(Engine& engine, std::span<const Prompt> prompts, std::uint32_t batch,
                            const GenerateOptions& options, const TokenHook& on_token,
                            const FinishHook& on_finish) {
  const Clock::time_point start = Clock::now();
  GenerateStatistics statistics;
  std::optional<Clock::time_point> first_token;
  std::vector<std::optional<Sequence>> slots(batch);
  std::vector<Completion> finished;
  Rows chosen(std::max(batch, options.prefill_chunk), batch);
  std::vector<std::uint32_t> free, ranks;
  const std::uint32_t restart_length = engine.restart_length();
  const bool on_device = engine.samples() && wants_tokens_alone(prompts, options);
  check(options.sampler);
  for (const Prompt& prompt : prompts) check(prompt.sampler.value_or(options.sampler));
  while (true) {
    if (!prompts.empty()) {
      auto slot = slots.begin();
      tell_free_slots(engine.comm(), slots, free);
      next_ranks(free, prompts.size(), ranks);
      for (const std::uint32_t rank : ranks) {
        if (rank == engine.comm().rank()) {
          slot = std::find(slot, slots.end(), std::nullopt);
          slot->emplace(prompts.front(), options.sampler);
        }
        prompts = prompts.subspan(1);
      }
    }
    choose_rows(slots, options.prefill_chunk, chosen);
    SweepInput input{chosen.tokens, chosen.rows, chosen.logit_rows,
                     static_cast<std::uint32_t>(finished.size())};
    if (options.stop_asked) input.stop = options.stop_asked();
    if (on_device) {
      add_draws(slots, chosen);
      input.sampler = &options.sampler;
      input.draws = chosen.draws;
    }
    const SweepOutput output = engine.sweep(input);
    if (output.any_finished) on_finish(std::exchange(finished, {}));
    if (!output.any) break;
    ++statistics.sweeps;
    for (std::size_t i = 0; i < chosen.logit_slots.size(); ++i) {
      std::optional<Sequence>& slot = slots[chosen.logit_slots[i]];
      Completion& completion = slot->completion;
      if (on_device) {
        add_token(*slot, token_of(output.sampled[i], engine.vocabulary()), options);
      } else {
        choose_token(*slot, output.logits.subspan(i * engine.vocabulary(), engine.vocabulary()),
                     options);
      }
      if (on_token && on_token(completion.index, slot->next, completion.ended)) {
        completion.ended = true;
      }
      if (completion.ended || completion.tokens.size() >= slot->prompt->max_new_tokens) {
        finished.push_back(std::move(completion));
        slot.reset();
      } else {
        slot->restart_at(restart_length);
      }
    }
    if (output.stop != 0) {  // agreed: every rank brings nothing more
      statistics.stopped = output.stop;
      std::ranges::fill(slots, std::nullopt);
      prompts = {};
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
  std::vector<RowInfo> rows;
  std::vector<std::uint32_t> logit_rows;
  while (true) {
    const std::size_t count = std::min<std::size_t>(chunk, tokens.size() - done);
    rows.clear();
    logit_rows.clear();
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

// The state of a pickle that is being read: its values, the stack and the memo. Each opcode
// (pickle_reader.cpp) is one or two of these steps.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sharding/checkpoint/torch/pickle.h"
#include "sharding/error.h"

namespace initrt {

class PickleMachine {
 public:
  PickleMachine(WindowedReader& reader, std::uint64_t begin, std::uint64_t end, std::string where,
                std::span<const std::string_view> globals, const PickleLimits& limits)
      : limits_(limits), reader_(reader), begin_(begin), end_(end), position_(begin) {
    pickle_.where = std::move(where);
    pickle_.globals_ = globals;
  }

  using Kind = PickleValue::Kind;

  /// Begins the next opcode; `name` in errors until `named()`.
  std::uint8_t next_opcode();
  void named(std::string_view name) { name_ = name; }
  [[nodiscard]] bool stopped() const { return stopped_; }
  [[nodiscard]] Pickle take_pickle() { return std::move(pickle_); }

  /// Where the opcode is, from the start of the pickle.
  [[nodiscard]] std::uint64_t byte() const { return opcode_ - begin_; }

  // What follows an opcode.
  template <class T>
  T number() {
    return little_endian<T>(take(sizeof(T)), 0);
  }
  std::string_view characters(std::uint64_t bytes);  ///< valid until the next read
  std::string line();                                ///< up to a newline, which is taken too
  void frame();
  void proto();

  // The stack.
  void push(PickleValue value);
  void push_integer(std::int64_t value) { push({.kind = Kind::Int, .integer = value}); }
  void push_text(Kind kind, std::string_view text);
  void push_long(std::uint64_t bytes);                           ///< two's complement
  void push_items(Kind kind, std::span<const PickleRef> items);  ///< Tuple or PersistentId
  void push_growing(Kind kind, std::vector<PickleRef> items);    ///< List, Dict or Set
  PickleRef pop();
  void mark();
  std::vector<PickleRef> pop_mark();  ///< the values above the last mark, which goes too
  void pop_one();                     ///< or the mark that is on top
  void tuple_of_top(std::size_t count);
  void duplicate() { push_ref(top()); }
  void add_to_top(Kind kind, std::span<const PickleRef> items);
  void set_item();
  void stop();

  // The memo. Every pickler numbers its entries in turn (Python 2's from 1 on).
  void put(std::uint64_t index);
  void get(std::uint64_t index);
  void memoize() { put(memo_.size()); }

  // Globals and calls.
  void push_global(std::string_view module, std::string_view name);
  void stack_global();
  void call();
  void call_with_keywords();
  void build();

 private:
  template <class... Args>
  [[noreturn]] void wrong(fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: byte {}: {}: {}", pickle_.where, byte(), name_,
         fmt::format(format, std::forward<Args>(args)...));
  }

  std::span<const std::byte> take(std::uint64_t bytes);
  void count_push();
  void push_ref(PickleRef ref);
  void push_call(PickleRef global, PickleRef args);
  [[nodiscard]] std::size_t above_mark() const;
  [[nodiscard]] PickleRef top() const;
  [[nodiscard]] Kind kind(PickleRef ref) const { return pickle_.values_[ref].kind; }
  void expect_kind(PickleRef ref, Kind expected, std::string_view what) const;

  PickleLimits limits_;
  WindowedReader& reader_;
  std::uint64_t begin_, end_, position_;
  std::uint64_t opcode_ = 0;  // where the current one is
  std::string_view name_ = "an opcode";
  Pickle pickle_;
  bool stopped_ = false;
  std::vector<PickleRef> stack_, memo_;
  std::vector<PickleRef> marks_;  // the stack's size at each
  std::uint64_t pushes_ = 0;
};

}  // namespace initrt

#include "sharding/checkpoint/file_sets.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "sharding/checkpoint/piece_name.h"

namespace initrt {
namespace {

constexpr std::size_t kShownAbsent = 3;  // a name may claim any count

// The set of pieces of one cut, at least one.
FileSet set_of(const std::vector<PieceName>& pieces) {
  const PieceName& first = pieces.front();
  const std::uint64_t count = first.count;
  const bool from_zero = std::any_of(pieces.begin(), pieces.end(), [](const PieceName& piece) {
    return piece.number == 0;  // some programs count so
  });
  const std::uint64_t end = from_zero ? count : count + 1;
  std::set<std::uint64_t> numbers;
  FileSet set;
  set.name = fmt::format("{}*-of-{}{}", first.before, first.count_digits, first.after);
  for (const PieceName& piece : pieces) {
    if (piece.number >= end) continue;
    numbers.insert(piece.number);
    set.files.push_back(piece.name(piece.number));
  }
  const std::uint64_t absent = count - numbers.size();
  const std::uint64_t shown = std::min<std::uint64_t>(absent, kShownAbsent);
  for (std::uint64_t number = from_zero ? 0 : 1; set.absent.size() < shown; ++number) {
    if (!numbers.contains(number)) set.absent.push_back(first.name(number));
  }
  set.more_absent = absent - shown;
  return set;
}

// The cuts into pieces, those of the usual name first.
std::vector<FileSet> cuts_of(const std::vector<std::string>& names, std::string_view stem) {
  std::map<std::tuple<bool, std::string, std::string, std::string>, std::vector<PieceName>> cuts;
  for (const std::string& name : names) {
    const std::optional<PieceName> piece = parse_piece_name(name);
    if (!piece || piece->is_beyond()) continue;
    const bool usual = piece->before.size() == stem.size() + 1 && piece->before.starts_with(stem);
    cuts[{!usual, piece->before, piece->count_digits, piece->after}].push_back(*piece);
  }
  std::vector<FileSet> sets;
  sets.reserve(cuts.size());
  for (const auto& [cut, pieces] : cuts) sets.push_back(set_of(pieces));
  return sets;
}

FileSet index_set(const std::string& index) {
  return {fmt::format("the files of {}", index), {}, {}, index};
}

std::string joined(const std::vector<std::string>& names) {
  return names.size() > 3 ? fmt::format("{} files", names.size())
                          : fmt::format("{}", fmt::join(names, " and "));
}

// A shard under another name belongs to what is left of its cut, if all tensors are there once.
// Cuts of another count or suffix are other copies: joined, they would be half a model of each.
void add_last_resorts(const std::vector<std::string>& names, const std::vector<std::string>& loose,
                      std::vector<FileSet>& sets) {
  constexpr std::size_t kMaxKinds = 8;  // more are no person's directory
  struct Kind {
    std::set<std::string> stems;
    std::vector<std::string> files;
  };
  std::map<std::pair<std::string, std::string>, Kind> kinds;
  for (const std::string& name : names) {
    const std::optional<PieceName> piece = parse_piece_name(name);
    if (!piece) continue;
    Kind& kind = kinds[{piece->count_digits, piece->after}];
    kind.stems.insert(piece->before);
    kind.files.push_back(name);
  }
  if (kinds.size() > kMaxKinds) return;
  for (auto& [of, kind] : kinds) {
    if (loose.empty() && kind.stems.size() < 2) continue;
    std::string name = kinds.size() == 1
                           ? "all files together"
                           : fmt::format("*-of-{}{} and loose files together", of.first, of.second);
    kind.files.insert(kind.files.end(), loose.begin(), loose.end());
    std::sort(kind.files.begin(), kind.files.end());
    sets.push_back({std::move(name), std::move(kind.files), {}, {}, true, true});
  }
}

}  // namespace

std::vector<FileSet> file_sets(const std::vector<std::string>& names, const SetNames& form) {
  std::vector<std::string> tensors, loose, special, indexes;
  const std::string usual_index = fmt::format("{}.index.json", form.single);
  for (const std::string& name : names) {
    const auto begins = [&](std::string_view start) { return name.starts_with(start); };
    if (is_index(name, "")) {
      indexes.push_back(name);
    } else if (std::any_of(form.special.begin(), form.special.end(), begins)) {
      special.push_back(name);
    } else if (name != form.single) {
      const std::optional<PieceName> piece = parse_piece_name(name);
      if (piece && piece->is_beyond()) {
        special.push_back(name);
        continue;
      }
      tensors.push_back(name);
      if (!piece) loose.push_back(name);
    }
  }
  std::vector<FileSet> sets;
  const auto there = [](const auto& all, const auto& name) {
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  if (there(names, form.single)) {
    sets.push_back({std::string(form.single), {std::string(form.single)}, {}, {}});
  }
  if (there(indexes, usual_index)) sets.push_back(index_set(usual_index));
  const std::vector<FileSet> cuts = cuts_of(tensors, form.stem);
  const auto add_cuts = [&](const std::vector<FileSet>& from, bool complete) {
    for (const FileSet& cut : from) {
      if (cut.absent.empty() == complete) sets.push_back(cut);
    }
  };
  add_cuts(cuts, true);
  for (const std::string& index : indexes) {
    if (index != usual_index) sets.push_back(index_set(index));
  }
  if (!loose.empty()) {
    sets.push_back({joined(loose), loose, {}, {}});
    sets.back().loose = true;
  }
  add_cuts(cuts, false);
  for (const std::string& name : special) {
    const std::optional<PieceName> piece = parse_piece_name(name);
    if (!piece || piece->is_beyond()) sets.push_back({name, {name}, {}, {}});
  }
  const std::vector<FileSet> special_cuts = cuts_of(special, form.stem);
  add_cuts(special_cuts, true);
  add_cuts(special_cuts, false);
  add_last_resorts(tensors, loose, sets);
  return sets;
}

std::vector<FileSet> sets_of_index(const std::string& index, std::vector<FileSet> in_directory) {
  std::erase_if(in_directory, [&](const FileSet& set) { return set.index == index; });
  in_directory.insert(in_directory.begin(), index_set(index));
  return in_directory;
}

bool is_index(std::string_view name, std::string_view suffix) {
  constexpr std::string_view kIndex = ".index.";
  if (!name.ends_with(".json")) return false;
  for (std::size_t at = name.find(kIndex); at != std::string_view::npos;
       at = name.find(kIndex, at + 1)) {
    if (name.substr(0, at).ends_with(suffix)) return true;
  }
  return false;
}

bool is_piece(std::string_view name) {
  const std::optional<PieceName> piece = parse_piece_name(name);
  return piece && piece->count > 1 && !piece->is_beyond();
}

std::vector<FileSet> sets_of_file(const std::string& file, const std::vector<std::string>& names) {
  std::vector<FileSet> sets = {{file, {file}, {}, {}}};
  if (!is_piece(file)) return sets;
  const PieceName given = *parse_piece_name(file);
  std::vector<PieceName> pieces;
  for (const std::string& name : names) {
    const std::optional<PieceName> other = parse_piece_name(name);
    if (other && other->cut() == given.cut() && !other->is_beyond()) pieces.push_back(*other);
  }
  if (!pieces.empty()) sets.push_back(set_of(pieces));
  return sets;
}

}  // namespace initrt

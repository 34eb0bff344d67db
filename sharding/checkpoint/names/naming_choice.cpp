#include "sharding/checkpoint/names/naming_choice.h"

#include <algorithm>
#include <array>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/names/canonical_name.h"
#include "sharding/checkpoint/names/names_gguf.h"
#include "sharding/checkpoint/names/names_hf.h"
#include "sharding/checkpoint/names/names_lit.h"
#include "sharding/checkpoint/names/names_meta.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// A new naming is a file of its own and a line here; the first that matches is used.
constexpr std::array kNamings = {
    Naming{"gguf", gguf_anchors, locate_gguf},
    Naming{"lit-gpt", lit_gpt_anchors, locate_lit_gpt},
    Naming{"lit-gpt-stacked", lit_gpt_stacked_anchors, locate_lit_gpt_stacked},
    Naming{"lit-llama", lit_llama_anchors, locate_lit_llama},
    Naming{"meta", meta_anchors, locate_meta},
    Naming{"huggingface", hf_anchors, locate_hf},
    Naming{"huggingface-base", hf_base_anchors, locate_hf_base},
};

// The model's tensors behind the prefix of `names`, or none where one is missing.
std::vector<std::uint32_t> whole_model(const Graph& graph, const Naming& naming,
                                       const StoredNames& names) {
  std::vector<std::uint32_t> whole;
  for (const Tensor& tensor : graph.tensors) {
    Located located = locate(tensor, tensor.name, graph, naming, names);
    for (const std::string& alias : tensor.aliases) {
      if (!located.is_there()) located = locate(tensor, alias, graph, naming, names);
    }
    if (!located.is_there()) return {};
    whole.push_back(static_cast<std::uint32_t>(located.found >= 0 ? located.found : located.codes));
  }
  return whole;
}

// Sets the prefix, of several the one behind which the whole model is.
void choose_prefix(const Graph& graph, const Catalog& catalog, const Naming& naming,
                   const std::vector<std::string>& prefixes, StoredNames& names) {
  names.set_prefix(prefixes.front());
  if (prefixes.size() == 1) return;
  const std::string* chosen = nullptr;
  std::vector<std::uint32_t> whole;
  const auto lie_together = [&](std::uint32_t a, std::uint32_t b) {
    return catalog.tensors[a].parts == catalog.tensors[b].parts;
  };
  for (const std::string& prefix : prefixes) {
    names.set_prefix(prefix);
    std::vector<std::uint32_t> other = whole_model(graph, naming, names);
    if (other.empty()) continue;
    if (chosen == nullptr) {
      chosen = &prefix;
      whole = std::move(other);
    } else if (!std::equal(whole.begin(), whole.end(), other.begin(), lie_together)) {
      fail("{}: whole models are under the prefixes {} and {}: which is meant? Save the one alone",
           catalog.path, quote(*chosen), quote(prefix));
    }
  }
  names.set_prefix(chosen == nullptr ? prefixes.front() : *chosen);
}

// Finds all pieces, or none and the name of one that is not there.
void find_pieces(Located& located, const StoredNames& names) {
  const std::string name = located.stored.name;
  for (std::uint64_t piece = 0; piece < located.stored.pieces; ++piece) {
    located.stored.name = numbered(name, piece);
    located.found = names.find(located.stored.name);
    if (located.found < 0) return;
    located.pieces.push_back(static_cast<std::uint32_t>(located.found));
  }
  located.found = located.pieces.front();
}

}  // namespace

std::span<const Naming> namings() { return kNamings; }

Located locate(const Tensor& tensor, const std::string& canonical, const Graph& graph,
               const Naming& naming, const StoredNames& names) {
  Located located;
  if (canonical == tensor.name) {
    located.stored = naming.locate(tensor, graph, names);
  } else {
    Tensor alias = tensor;
    alias.name = canonical;
    located.stored = naming.locate(alias, graph, names);
  }
  if (located.stored.name.empty()) return located;
  if (located.stored.pieces > 0) {
    find_pieces(located, names);
    return located;
  }
  // The head may be outside of what all else is in.
  const bool head = canonical.starts_with("lm_head.");
  const auto find = [&](const std::string& name) {
    return head ? names.find_outside(name) : names.find(name);
  };
  located.found = find(located.stored.name);
  if (located.found >= 0) return located;
  for (const std::string& packed : packed_names(located.stored.name)) {
    if (located.codes < 0) located.codes = find(packed);
  }
  return located;
}

const Naming& naming_of(const Graph& graph, const Catalog& catalog, StoredNames& names) {
  std::vector<std::string> anchors;
  std::vector<const Naming*> of;
  for (const Naming& naming : kNamings) {
    for (std::string& anchor : naming.anchors(graph)) {
      anchors.push_back(std::move(anchor));
      of.push_back(&naming);
    }
  }
  const std::vector<std::vector<std::string>> prefixes = names.prefixes_of(anchors);
  for (std::size_t i = 0; i < anchors.size(); ++i) {
    if (prefixes[i].empty()) continue;
    choose_prefix(graph, catalog, *of[i], prefixes[i], names);
    return *of[i];
  }
  // Its missing names are what the user should see.
  return *std::find_if(kNamings.begin(), kNamings.end(),
                       [](const Naming& naming) { return naming.name == "huggingface"; });
}

}  // namespace initrt

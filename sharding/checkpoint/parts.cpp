#include "sharding/checkpoint/parts.h"

#include <algorithm>

#include "sharding/error.h"

namespace initrt {
namespace {

// Cuts one within the other: a mesh of ranks has two or three dimensions.
constexpr int kMaxCuts = 16;

using Boxes = std::vector<const TensorPart*>;

/// The boxes in groups whose ranges along `dimension` do not meet; one group where all hang
/// together.
std::vector<Boxes> groups_along(Boxes boxes, std::size_t dimension) {
  std::sort(boxes.begin(), boxes.end(), [&](const TensorPart* a, const TensorPart* b) {
    return a->begin[dimension] < b->begin[dimension];
  });
  std::vector<Boxes> groups;
  std::uint64_t end = 0;
  for (const TensorPart* box : boxes) {
    if (groups.empty() || box->begin[dimension] >= end) groups.emplace_back();
    groups.back().push_back(box);
    end = std::max(end, box->begin[dimension] + box->shape[dimension]);
  }
  return groups;
}

/// Whether no two boxes share an element.
bool are_apart(const Boxes& boxes, std::size_t dimensions, int cuts_left) {
  if (boxes.size() <= 1) return true;
  if (cuts_left == 0) return false;
  for (std::size_t d = 0; d < dimensions; ++d) {
    const std::vector<Boxes> groups = groups_along(boxes, d);
    if (groups.size() == 1) continue;
    return std::all_of(groups.begin(), groups.end(), [&](const Boxes& group) {
      return are_apart(group, dimensions, cuts_left - 1);
    });
  }
  return false;
}

}  // namespace

void check_parts_cover(const TensorEntry& tensor, std::string_view who) {
  if (!tensor.is_cut()) return;
  std::uint64_t held = 0;  // at most parts x elements; wraps are caught by the boxes being apart
  Boxes boxes;
  for (const TensorPart& part : tensor.parts) {
    if (part.shape.empty()) fail("{}: a part that is the whole of it is not the only one", who);
    std::uint64_t elements = 1;
    for (const std::uint64_t extent : part.shape) elements *= extent;
    if (elements == 0) continue;
    held += elements;
    boxes.push_back(&part);
  }
  if (!are_apart(boxes, tensor.shape.size(), kMaxCuts)) {
    fail("{}: some of its {} parts overlap", who, tensor.parts.size());
  }
  if (held != tensor.elements()) {
    fail("{}: its parts hold {} of {} elements", who, held, tensor.elements());
  }
}

}  // namespace initrt

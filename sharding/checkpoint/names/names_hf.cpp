#include "sharding/checkpoint/names/names_hf.h"

namespace initrt {

Stored locate_hf(const Tensor& canonical, const Graph&, const Catalog&) {
  Stored stored;
  stored.name = canonical.name;
  return stored;
}

Stored locate_hf_base(const Tensor& canonical, const Graph&, const Catalog&) {
  constexpr std::string_view kModel = "model.";
  Stored stored;
  stored.name = canonical.name;
  if (canonical.name.starts_with(kModel)) stored.name.erase(0, kModel.size());
  return stored;
}

}  // namespace initrt

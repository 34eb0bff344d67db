// Apart from read_plan.h, so that the loader does not see checkpoints.
#pragma once

namespace initrt {

struct Graph;
struct Layout;
struct Cut;
struct Bindings;
class Catalog;

/// Everything that decides what ranks read. References outlive what is made of it.
struct ReadSource {
  const Graph& graph;
  const Layout& layout;
  const Cut& cut;
  const Bindings& bindings;
  const Catalog& catalog;
};

}  // namespace initrt

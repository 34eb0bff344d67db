// A visitor for std::visit made of one lambda per alternative.
#pragma once

namespace initrt {

template <class... F>
struct Overload : F... {
  using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;

}  // namespace initrt

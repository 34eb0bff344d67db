// The error of plan_memory() that a larger budget, or more ranks, would end.
#pragma once

#include "sharding/error.h"

namespace initrt {

/// RunShape::budget is below what a run needs; the text says both.
class BudgetTooSmall : public Error {
 public:
  using Error::Error;
};

}  // namespace initrt

#include "runtime/exec/unit_times.h"

namespace initrt {

void UnitTimes::record() {
  for (const Measured& measured : measured_) {
    timeline_->add({{measured.begin->time(), measured.end->time()},
                    measured.bytes,
                    measured.unit,
                    0,
                    measured.lane});
  }
  measured_.clear();
}

}  // namespace initrt

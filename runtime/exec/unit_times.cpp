#include "runtime/exec/unit_times.h"

namespace initrt {

void UnitTimes::record() {
  for (const Measured& measured : measured_) {
    timeline_->add({{measured.begin->time(), measured.end->time()},
                    layout_.units[measured.unit].bytes,
                    measured.unit,
                    0,
                    Lane::Execute});
  }
  measured_.clear();
}

}  // namespace initrt

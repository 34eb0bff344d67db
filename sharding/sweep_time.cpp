#include "sharding/sweep_time.h"

#include <algorithm>

#include "sharding/checked.h"
#include "sharding/last_rows.h"

namespace initrt {
namespace {

double over(double amount, double speed) { return speed > 0 ? amount / speed : 0; }

double time_of_products(const Speeds& speeds, double bytes, double operations) {
  return std::max(over(bytes, speeds.memory), over(operations, speeds.compute));
}

}  // namespace

double SweepTime::seconds() const {
  return overlaps ? std::max(products, moving) : products + moving;
}

SweepTime time_of_weights(const MoveCosts& costs, const Speeds& speeds, const WeightPath& path,
                          std::uint64_t rows, std::uint64_t own_rows) {
  SweepTime time{
      .products = time_of_products(speeds, costs.read_of_weights(path.in_place ? own_rows : rows),
                                   costs.operations_per_row * static_cast<double>(own_rows)),
      .overlaps = path.overlaps};
  if (!path.in_place) {
    time.moving = over(costs.of_weights(rows), speeds.link) + costs.gathers * speeds.latency;
  }
  return time;
}

SweepTime time_of_rows(const MoveCosts& costs, const Speeds& speeds, std::uint64_t at_once,
                       std::uint64_t rows, std::uint64_t own_rows) {
  const auto passes = static_cast<double>(divide_up(rows, std::max<std::uint64_t>(at_once, 1)));
  return {.products =
              time_of_products(speeds, passes * costs.read_of_weights(rows) / costs.world,
                               costs.operations_per_row * static_cast<double>(rows) / costs.world),
          .moving = over(costs.of_rows(rows, own_rows), speeds.link) +
                    passes * costs.exchanges * speeds.latency};
}

std::uint64_t rows_at_crossing(const MoveCosts& costs, const Speeds& speeds, const WeightPath& path,
                               std::uint64_t at_once) {
  return last_rows(costs.world, [&](std::uint64_t rows, std::uint64_t own_rows) {
    return time_of_rows(costs, speeds, at_once, rows, own_rows).seconds() <=
           time_of_weights(costs, speeds, path, rows, own_rows).seconds();
  });
}

}  // namespace initrt

// The numbers of dynamic_map.h as a constant, which a GPU has in its memory.
#pragma once

namespace initrt {

struct DynamicMap {
  float of[256];
};

/// torch.linspace(0.1, 1, parts + 1), whose products and sums are fused, and means of neighbours,
/// for each power of ten twice as many as for the one below: 127 numbers, the same below zero, 0
/// and 1.
[[nodiscard]] constexpr DynamicMap make_dynamic_map() {
  constexpr int kZero = 127;
  constexpr float kPowers[] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
  DynamicMap map{};
  int above = kZero + 1;
  int parts = 1;
  for (const float power : kPowers) {
    const double step = (1.0f - 0.1f) / static_cast<float>(parts);
    const auto bound = [&](int at) {
      return static_cast<float>(at < (parts + 1) / 2 ? static_cast<double>(0.1f) + step * at
                                                     : 1.0 - step * (parts - at));
    };
    for (int part = 0; part < parts; ++part) {
      const float mean = power * ((bound(part) + bound(part + 1)) / 2.0f);
      map.of[2 * kZero - above] = -mean;
      map.of[above++] = mean;
    }
    parts *= 2;
  }
  map.of[above] = 1.0f;
  return map;
}

}  // namespace initrt

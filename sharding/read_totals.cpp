#include "sharding/read_totals.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "sharding/read_plan.h"

namespace initrt {
namespace {

// Where the first of a unit's tensors begins.
struct Origin {
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
};

// All that a unit's plans depend on, as bytes to be compared: places relative to an origin.
class Signature {
 public:
  explicit Signature(const ReadSource& source, std::uint32_t unit) : source_(source) {
    const Unit& of = source.graph.units[unit];
    if (of.params.empty()) return;
    origin_ = origin_of(of.params.front());
    for (std::size_t i = 0; i < of.params.size(); ++i) {
      add_param(of.params[i], source.layout.units[unit].params[i],
                source.cut.units[unit].params[i]);
    }
  }

  [[nodiscard]] const Origin& origin() const { return origin_; }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  [[nodiscard]] Origin origin_of(const Param& param) const {
    const Binding& binding = source_.bindings.tensors[param.tensor];
    const TensorEntry& entry = source_.catalog.tensors[binding.runs.front().source];
    return {entry.parts.front().file, entry.parts.front().offset};
  }

  void add_param(const Param& param, const ParamPlace& place, const ParamCut& cut) {
    const Tensor& tensor = source_.graph.tensor_of(param);
    add(param.row_begin, param.rows, tensor.columns, tensor.vector, place.rows, place.row_bytes,
        place.scale_row_bytes, static_cast<std::uint64_t>(place.format), cut.block_rows);
    const Binding& binding = source_.bindings.tensors[param.tensor];
    add(binding.runs.size());
    for (const RowRun& run : binding.runs) {
      add(run.row, run.rows, run.source_row, run.source_stride, run.column, run.columns,
          run.source_column, run.transposed, run.map.changes());
      add_entry(run.source);
    }
    add(binding.quantized != nullptr);
    if (binding.quantized) add_weight(*binding.quantized);
  }

  void add_weight(const QuantizedWeight& weight) {
    add(static_cast<std::uint64_t>(weight.method), weight.rows, weight.columns, weight.block_rows,
        weight.block_columns, weight.components.size());
    for (const QuantComponent& component : weight.components) {
      add(component.rows, component.columns, static_cast<std::uint64_t>(component.axis),
          component.per, component.of, static_cast<std::uint64_t>(component.column_axis),
          component.column_of);
      add_entry(component.tensor);
    }
  }

  void add_entry(std::uint32_t tensor) {
    const TensorEntry& entry = source_.catalog.tensors[tensor];
    add(static_cast<std::uint64_t>(entry.dtype), entry.parts.size());
    add_all(entry.shape);
    for (const TensorPart& part : entry.parts) {
      add(part.file - origin_.file, part.offset - origin_.offset);
      add_all(part.begin);
      add_all(part.shape);
      add_all(part.strides);
    }
  }

  void add_all(const std::vector<std::uint64_t>& values) {
    add(values.size());
    for (const std::uint64_t value : values) add(value);
  }

  template <class... Values>
  void add(Values... values) {
    (add_one(static_cast<std::uint64_t>(values)), ...);
  }
  void add_one(std::uint64_t value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  const ReadSource& source_;
  Origin origin_;
  std::string bytes_;
};

}  // namespace

ReadCounter::ReadCounter(const ReadSource& source, const ReadLimits& limits)
    : source_(source), limits_(limits) {
  std::unordered_map<std::string, std::size_t> known;
  for (std::uint32_t unit = 0; unit < source.graph.units.size(); ++unit) {
    const Signature signature(source, unit);
    const auto [found, is_new] = known.emplace(signature.bytes(), kinds_.size());
    if (is_new) kinds_.emplace_back().unit = unit;
    Kind& kind = kinds_[found->second];
    ++kind.units;
    std::vector<std::uint32_t>& files = kind.first_files;
    if (std::ranges::find(files, signature.origin().file) == files.end()) {
      files.push_back(signature.origin().file);
    }
  }
}

ReadTotals ReadCounter::of_rank(std::uint32_t rank) const {
  ReadTotals totals;
  totals.files.assign(source_.catalog.files.size(), false);
  for (const Kind& kind : kinds_) {
    const UnitReads plan = plan_reads(source_.graph, source_.layout, source_.cut, source_.bindings,
                                      source_.catalog, kind.unit, rank, limits_);
    totals.bytes += kind.units * plan.bytes();
    totals.reads += kind.units * plan.reads.size();
    for (const Read& read : plan.reads) {
      for (const std::uint32_t file : kind.first_files) {
        totals.files[read.file + file - kind.first_files.front()] = true;
      }
    }
  }
  return totals;
}

}  // namespace initrt

// What holds of every graph that a family builds.
#pragma once

#include <cmath>
#include <string>

#include "sharding/graph.h"

namespace initrt::testing {

/// Says whether the ops of a unit refer to what is there, and whether shapes go together.
class UnitInvariants {
 public:
  UnitInvariants(const Graph& graph, const Unit& unit) : graph_(graph), unit_(unit) {}

  /// What is wrong, or "".
  [[nodiscard]] std::string broken() const {
    for (const Op& op : unit_.ops) {
      if (!std::visit([&](const auto& of_kind) { return holds(of_kind); }, op)) {
        return unit_.name + ": op " + std::to_string(op.index());
      }
    }
    return "";
  }

 private:
  [[nodiscard]] bool is(ActivationId id, std::uint64_t columns) const {
    return id < graph_.activations.size() && graph_.activations[id].columns == columns;
  }
  [[nodiscard]] std::uint64_t columns(ActivationId id) const {
    return id < graph_.activations.size() ? graph_.activations[id].columns : 0;
  }
  [[nodiscard]] bool is(ParamId id, std::uint64_t rows, std::uint64_t width) const {
    return id < unit_.params.size() && unit_.params[id].rows == rows &&
           graph_.tensor_of(unit_.params[id]).columns == width;
  }
  [[nodiscard]] bool is_vector(std::optional<ParamId> id, std::uint64_t rows) const {
    return !id || (is(*id, rows, 1) && graph_.tensor_of(unit_.params[*id]).vector);
  }

  [[nodiscard]] bool holds(const NormOp& op) const {
    const auto is_weight = [&](std::optional<ParamId> id, std::uint64_t rows) {
      return is_vector(op.weight, rows) && is_vector(id, rows) && (op.weight || !id);
    };
    return op.group > 0 && columns(op.in) % op.group == 0 && is(op.out, columns(op.in)) &&
           (is_weight(op.bias, op.group) || is_weight(op.bias, columns(op.in))) &&
           std::isfinite(op.epsilon) && op.epsilon > 0;
  }
  [[nodiscard]] bool holds(const LinearOp& op) const {
    return columns(op.in) > 0 && op.groups > 0 && columns(op.in) % op.groups == 0 &&
           columns(op.out) % op.groups == 0 &&
           is(op.weight, columns(op.out), columns(op.in) / op.groups) &&
           is_vector(op.bias, columns(op.out));
  }
  [[nodiscard]] bool holds(const RotaryOp& op) const {
    return op.rotary < graph_.rotary.size() &&
           graph_.rotary[op.rotary].dimensions <= op.head_size && op.head_size > 0 &&
           columns(op.x) > 0 && columns(op.x) % op.head_size == 0;
  }
  [[nodiscard]] bool holds(const JoinOp& op) const {
    return op.heads > 0 && columns(op.a) % op.heads == 0 && columns(op.b) % op.heads == 0 &&
           columns(op.a) > 0 && columns(op.b) > 0 && is(op.out, columns(op.a) + columns(op.b));
  }
  [[nodiscard]] bool holds(const SliceOp& op) const {
    return columns(op.out) > 0 && op.first + columns(op.out) <= columns(op.in);
  }
  [[nodiscard]] bool holds(const AttentionOp& op) const {
    const std::uint64_t q = std::uint64_t{op.heads} * op.head_size;
    const std::uint64_t k = std::uint64_t{op.kv_heads} * op.head_size;
    const std::uint64_t v = std::uint64_t{op.kv_heads} * op.value_size;
    return op.layer < graph_.layers && op.heads % op.kv_heads == 0 && is(op.q, q) &&
           (op.k ? is(*op.k, k) : !op.v && has_cache_of(op)) &&
           (op.v ? is(*op.v, v) : op.value_size <= op.head_size) && op.value_size > 0 &&
           is(op.out, std::uint64_t{op.heads} * op.value_size) && std::isfinite(op.scale) &&
           op.softcap >= 0 && is_vector(op.sinks, op.heads);
  }
  // Whether another op of the same sizes fills the cache that one reads.
  [[nodiscard]] bool has_cache_of(const AttentionOp& reader) const {
    for (const Unit& unit : graph_.units) {
      for (const Op& op : unit.ops) {
        const auto* other = std::get_if<AttentionOp>(&op);
        if (other != nullptr && other->k && other->layer == reader.layer) {
          return other->kv_heads == reader.kv_heads && other->head_size == reader.head_size &&
                 other->value_size == reader.value_size && other->window == reader.window;
        }
      }
    }
    return false;
  }
  [[nodiscard]] bool is_float32(ParamId id, std::uint64_t rows) const {
    return is_vector(id, rows) && graph_.tensor_of(unit_.params[id]).float32;
  }
  [[nodiscard]] bool holds(const ConvolutionOp& op) const {
    return op.weight < unit_.params.size() && unit_.params[op.weight].rows > 1 &&
           is(op.weight, unit_.params[op.weight].rows, columns(op.x)) && columns(op.x) > 0 &&
           (!op.bias || is_float32(*op.bias, columns(op.x))) && op.state < graph_.states;
  }
  [[nodiscard]] bool holds(const DeltaOp& op) const {
    const std::uint64_t keys = std::uint64_t{op.key_heads} * op.key_size;
    const std::uint64_t values = std::uint64_t{op.value_heads} * op.value_size;
    return keys > 0 && values > 0 && op.value_heads % op.key_heads == 0 && is(op.q, keys) &&
           is(op.k, keys) && is(op.v, values) && is(op.out, values) &&
           is(op.decay, op.value_heads) && is(op.beta, op.value_heads) &&
           is_float32(op.a_log, op.value_heads) && is_float32(op.dt_bias, op.value_heads) &&
           op.state < graph_.states;
  }
  [[nodiscard]] bool holds(const StateSpaceOp& op) const {
    const std::uint64_t inner = std::uint64_t{op.heads} * op.head_size;
    const std::uint64_t of_groups = std::uint64_t{op.groups} * op.state_size;
    return inner > 0 && of_groups > 0 && op.heads % op.groups == 0 && is(op.x, inner) &&
           is(op.out, inner) && is(op.b, of_groups) && is(op.c, of_groups) &&
           is(op.step, op.heads) && is(op.decay, op.heads) && is_float32(op.a_log, op.heads) &&
           is_float32(op.dt_bias, op.heads) && is_float32(op.d, op.heads) &&
           op.state < graph_.states;
  }
  [[nodiscard]] bool holds(const RowGateOp& op) const {
    return columns(op.x) > 0 && is(op.gate, 1);
  }
  [[nodiscard]] bool holds(const GateOp& op) const {
    return columns(op.gate) > 0 && (!op.up || is(*op.up, columns(op.gate))) &&
           is(op.out, columns(op.gate));
  }
  [[nodiscard]] bool holds(const AddOp& op) const {
    return columns(op.x) > 0 && is(op.into, columns(op.x));
  }
  [[nodiscard]] bool holds(const ScaleOp& op) const {
    return columns(op.x) > 0 && std::isfinite(op.factor);
  }
  [[nodiscard]] bool holds(const FactorOp& op) const {
    return columns(op.x) > 0 && is_float32(op.factor, 1);
  }
  [[nodiscard]] bool holds(const PositionOp& op) const {
    return is(op.table, graph_.context, columns(op.into));
  }
  [[nodiscard]] bool holds(const RouteOp& op) const {
    const auto index = static_cast<std::size_t>(&unit_ - graph_.units.data());
    const Routing& routing = op.routing;
    if (!is(op.scores, routing.experts) || routing.chosen == 0 || routing.kept_groups == 0 ||
        routing.kept_groups > routing.groups || routing.experts % routing.groups != 0 ||
        routing.chosen > routing.experts / routing.groups * routing.kept_groups) {
      return false;
    }
    if (!is_vector(op.correction, routing.experts)) return false;
    if (op.correction && !graph_.tensor_of(unit_.params[*op.correction]).float32) return false;
    if (op.factors && !is_float32(*op.factors, routing.experts)) return false;
    for (std::size_t e = 1; e <= routing.experts; ++e) {
      const bool there = index + e < graph_.units.size();
      if (!there || graph_.units[index + e].kind != UnitKind::Expert) return false;
    }
    return true;
  }
  [[nodiscard]] bool holds(const TakeRowsOp& op) const {
    return unit_.kind == UnitKind::Expert && is(op.out, columns(op.in));
  }
  [[nodiscard]] bool holds(const AddRowsOp& op) const {
    return unit_.kind == UnitKind::Expert && is(op.into, columns(op.x));
  }
  [[nodiscard]] bool holds(const HeadOp& op) const {
    return op.weight < unit_.params.size() &&
           is(op.weight, unit_.params[op.weight].rows, columns(op.in)) &&
           is_vector(op.bias, unit_.params[op.weight].rows) &&
           op.vocabulary_begin + unit_.params[op.weight].rows <= graph_.vocabulary &&
           op.softcap >= 0;
  }

  const Graph& graph_;
  const Unit& unit_;
};

}  // namespace initrt::testing

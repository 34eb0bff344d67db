#include "tests/support/reference_llama.h"

#include <cmath>
#include <string>

namespace initrt::testing {
namespace {

using Vector = std::vector<double>;

Vector matrix_product(const SmallTensor& weight, const Vector& x) {
  Vector out(weight.rows);
  for (std::size_t row = 0; row < weight.rows; ++row) {
    for (std::size_t column = 0; column < weight.columns; ++column) {
      out[row] += static_cast<double>(weight.values[row * weight.columns + column]) * x[column];
    }
  }
  return out;
}

Vector rms_norm(const SmallTensor& weight, double epsilon, const Vector& x) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  const double scale = 1.0 / std::sqrt(squares / static_cast<double>(x.size()) + epsilon);
  Vector out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    out[i] = x[i] * scale * static_cast<double>(weight.values[i]);
  }
  return out;
}

/// Each head's pairs (i, i + half) as complex numbers, turned by position · theta^(-i / half).
void rotate(Vector& x, std::uint32_t head_size, double theta, std::size_t position) {
  const std::size_t half = head_size / 2;
  for (std::size_t head = 0; head < x.size(); head += head_size) {
    for (std::size_t i = 0; i < half; ++i) {
      const double exponent = static_cast<double>(i) / static_cast<double>(half);
      const double angle = static_cast<double>(position) * std::pow(theta, -exponent);
      const double real = x[head + i], imaginary = x[head + half + i];
      x[head + i] = real * std::cos(angle) - imaginary * std::sin(angle);
      x[head + half + i] = real * std::sin(angle) + imaginary * std::cos(angle);
    }
  }
}

/// The newest position's attention over all of them.
Vector attend(const SmallLlama& model, const Vector& q, const std::vector<Vector>& keys,
              const std::vector<Vector>& values) {
  const std::size_t size = model.head_size, group = model.heads / model.kv_heads;
  Vector out(q.size());
  for (std::size_t head = 0; head < model.heads; ++head) {
    const std::size_t kv = head / group * size;
    Vector weights;
    double sum = 0;
    for (const Vector& key : keys) {
      double dot = 0;
      for (std::size_t i = 0; i < size; ++i) dot += q[head * size + i] * key[kv + i];
      weights.push_back(std::exp(dot / std::sqrt(static_cast<double>(size))));
      sum += weights.back();
    }
    for (std::size_t past = 0; past < values.size(); ++past) {
      for (std::size_t i = 0; i < size; ++i) {
        out[head * size + i] += weights[past] / sum * values[past][kv + i];
      }
    }
  }
  return out;
}

void add_to(Vector& into, const Vector& x) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] += x[i];
}

}  // namespace

std::vector<double> reference_logits(const SmallLlama& model,
                                     const std::vector<SmallTensor>& tensors,
                                     std::span<const TokenId> tokens) {
  const SmallTensor& table = tensor_named(tensors, "model.embed_tokens.weight");
  const SmallTensor& head = model.tied ? table : tensor_named(tensors, "lm_head.weight");
  std::vector<std::vector<Vector>> keys(model.layers), values(model.layers);
  Vector logits;
  for (std::size_t position = 0; position < tokens.size(); ++position) {
    const auto row = table.values.begin() + tokens[position] * static_cast<int>(table.columns);
    Vector hidden(row, row + static_cast<int>(table.columns));
    for (std::uint32_t layer = 0; layer < model.layers; ++layer) {
      const auto weight = [&](const char* name) -> const SmallTensor& {
        return tensor_named(tensors,
                            "model.layers." + std::to_string(layer) + "." + name + ".weight");
      };
      Vector x = rms_norm(weight("input_layernorm"), model.epsilon, hidden);
      Vector q = matrix_product(weight("self_attn.q_proj"), x);
      Vector k = matrix_product(weight("self_attn.k_proj"), x);
      rotate(q, model.head_size, model.theta, position);
      rotate(k, model.head_size, model.theta, position);
      keys[layer].push_back(k);
      values[layer].push_back(matrix_product(weight("self_attn.v_proj"), x));
      add_to(hidden, matrix_product(weight("self_attn.o_proj"),
                                    attend(model, q, keys[layer], values[layer])));
      x = rms_norm(weight("post_attention_layernorm"), model.epsilon, hidden);
      Vector gate = matrix_product(weight("mlp.gate_proj"), x);
      const Vector up = matrix_product(weight("mlp.up_proj"), x);
      for (std::size_t i = 0; i < gate.size(); ++i) {
        gate[i] = gate[i] / (1.0 + std::exp(-gate[i])) * up[i];
      }
      add_to(hidden, matrix_product(weight("mlp.down_proj"), gate));
    }
    const Vector normed =
        rms_norm(tensor_named(tensors, "model.norm.weight"), model.epsilon, hidden);
    const Vector out = matrix_product(head, normed);
    logits.insert(logits.end(), out.begin(), out.end());
  }
  return logits;
}

}  // namespace initrt::testing

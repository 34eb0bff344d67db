// GGUF files of models whose layers with a window have rotary frequencies of their own.
#include <gtest/gtest.h>

#include "sharding/checkpoint/config/gguf_config.h"
#include "tests/sharding/dense_entry.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using Json = nlohmann::json;
using testing::error_of;

/// A file of an architecture whose layers have windows, those with one in another base where it is
/// not 0.
Json config_of(const std::string& architecture, double base_of_windows,
               const std::string& scaling = "") {
  Json metadata = {{"general.architecture", architecture}};
  const auto set = [&](const char* key, Json value) {
    metadata[architecture + key] = std::move(value);
  };
  set(".embedding_length", 48);
  set(".feed_forward_length", 80);
  set(".block_count", 4);
  set(".attention.head_count", 4);
  set(".context_length", 128);
  set(".rope.freq_base", 500000.0);
  set(".attention.sliding_window", 12);
  set(".attention.sliding_window_pattern", {true, true, true, false});
  if (base_of_windows > 0) set(".rope.freq_base_swa", base_of_windows);
  if (!scaling.empty()) {
    set(".rope.scaling.type", scaling);
    set(".rope.scaling.factor", 4.0);
  }
  const std::vector<TensorEntry> tensors = {
      testing::dense_entry("token_embd.weight", DType::F32, {50, 48}, 0, 0)};
  return config_from_gguf(metadata, tensors,
                          [](const TensorEntry&) { return std::vector<float>(); });
}

TEST(GgufRope, AnOlmo3sBaseOfWindowsIsThatOfItsSlidingLayersAlone) {
  const Json rope = config_of("olmo2", 10000.0, "yarn")["rope_parameters"];
  EXPECT_EQ(rope["full_attention"]["rope_theta"], 500000.0);
  EXPECT_EQ(rope["full_attention"]["rope_type"], "yarn");
  EXPECT_EQ(rope["full_attention"]["factor"], 4.0);
  EXPECT_EQ(rope["sliding_attention"], Json({{"rope_type", "default"}, {"rope_theta", 10000.0}}));
  const Json plain = config_of("olmo2", 10000.0);
  EXPECT_EQ(plain["rope_parameters"]["full_attention"],
            Json({{"rope_type", "default"}, {"rope_theta", 500000.0}}));
  EXPECT_FALSE(plain.contains("rope_theta"));
}

TEST(GgufRope, OneBaseIsSaidOnce) {
  for (const double base : {0.0, 500000.0}) {
    const Json config = config_of("olmo2", base, "yarn");
    EXPECT_EQ(config["rope_theta"], 500000.0);
    EXPECT_EQ(config["rope_scaling"]["rope_type"], "yarn");
    EXPECT_FALSE(config.contains("rope_parameters"));
  }
}

TEST(GgufRope, RefusesASecondBaseOfModelsThatHaveOne) {
  for (const std::string architecture : {"llama", "cohere2", "exaone4", "gemma2"}) {
    EXPECT_EQ(error_of([&] { (void)config_of(architecture, 10000.0); }),
              "GGUF metadata key \"" + architecture + ".rope.freq_base_swa\" is 10000, but \"" +
                  architecture +
                  ".rope.freq_base\" is 500000: two bases of rotary frequencies are not known of "
                  "this architecture");
    EXPECT_EQ(config_of(architecture, 500000.0)["rope_theta"], 500000.0);
  }
}

}  // namespace
}  // namespace initrt

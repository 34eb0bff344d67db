// Names with what wrappers, training programs and larger models put into them.
#include "sharding/checkpoint/names/stored_names.h"

#include <gtest/gtest.h>

#include "sharding/checkpoint/names/names.h"
#include "tests/sharding/checkpoint/names/small_graph.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::catalog_of;
using testing::error_of;
using testing::small_graph;
using testing::source_of;

TEST(StoredNames, WrappersAreTakenOutWhereverTheyAre) {
  const auto expect = [](const char* name, const char* plain) {
    EXPECT_EQ(without_wrappers(name), plain);
  };
  expect("module.model.norm.weight", "model.norm.weight");
  expect("_orig_mod.module._fsdp_wrapped_module.a.b", "a.b");
  expect("layers.0._checkpoint_wrapped_module._orig_mod.mlp.up.weight", "layers.0.mlp.up.weight");
  expect("q_proj.base_layer.weight", "q_proj.weight");
  expect("_forward_module._fpw_module.x", "x");
}

TEST(StoredNames, OnlyWholeComponentsAreTakenOut) {
  for (const char* name : {"submodule.a", "module_list.a", "a.my_module.b", "a._orig_mod2.b",
                           "a..b", "module", "a.module", "", ".", "a."}) {
    EXPECT_EQ(without_wrappers(name), name);
  }
}

TEST(StoredNames, OfEveryNamingMayHaveWrappersWithinThem) {
  for (const std::vector<std::string>& plain :
       {std::vector<std::string>{"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
                                 "model.layers.0.mlp.down_proj.weight"},
        {"embed_tokens.weight", "norm.weight", "lm_head.weight", "layers.0.mlp.down_proj.weight"},
        {"token_embd.weight", "output_norm.weight", "output.weight", "blk.0.ffn_down.weight"},
        {"tok_embeddings.weight", "norm.weight", "output.weight", "layers.0.feed_forward.w2.weight",
         "layers.0.attention.wq.weight"},
        {"transformer.wte.weight", "transformer.ln_f.weight", "lm_head.weight",
         "transformer.h.0.mlp.proj.weight", "transformer.h.0.attn.qkv.weight"}}) {
    const Bindings expected = bind(small_graph(), catalog_of(plain), false);
    std::vector<std::string> wrapped = plain;
    for (std::string& name : wrapped) {
      if (const auto block = name.find(".0."); block != std::string::npos) {
        name.insert(block + 3, "_checkpoint_wrapped_module.module.");
      }
      name.insert(0, "_orig_mod.");
    }
    const Catalog catalog = catalog_of(wrapped);
    const Bindings bindings = bind(small_graph(), catalog, false);
    EXPECT_EQ(bindings.naming, expected.naming);
    for (std::size_t i = 0; i < bindings.tensors.size(); ++i) {
      EXPECT_EQ(bindings.tensors[i].runs[0].source, expected.tensors[i].runs[0].source);
    }
  }
}

TEST(StoredNames, TheHeadMayBeOutsideOfWhatTheRestIsIn) {
  for (const std::string outer : {"", "model.", "base_model.model."}) {
    const Catalog catalog =
        catalog_of({outer + "model.language_model.embed_tokens.weight",
                    outer + "model.language_model.norm.weight", outer + "lm_head.weight",
                    outer + "model.language_model.layers.0.mlp.down_proj.weight",
                    outer + "model.visual.blocks.0.mlp.down_proj.weight"});
    const Bindings bindings = bind(small_graph(), catalog, false);
    EXPECT_EQ(source_of(bindings, catalog, 2), outer + "lm_head.weight");
    EXPECT_EQ(bindings.unexpected.size(), 1u) << "what sees is not this model's";
  }
}

TEST(StoredNames, TwoWholeModelsUnderPrefixesAreAnError) {
  const std::vector<std::string> plain = {"model.embed_tokens.weight", "model.norm.weight",
                                          "lm_head.weight", "model.layers.0.mlp.down_proj.weight"};
  std::vector<std::string> names;
  for (const char* prefix : {"policy.", "ref."}) {
    for (const std::string& name : plain) names.push_back(prefix + name);
  }
  Catalog catalog = catalog_of(names);
  EXPECT_EQ(error_of([&] { (void)bind(small_graph(), catalog, false); }),
            "model: whole models are under the prefixes \"ref.\" and \"policy.\": which is meant? "
            "Save the one alone");
  for (std::size_t i = 0; i < plain.size(); ++i) {
    catalog.tensors[i + plain.size()].parts = catalog.tensors[i].parts;
  }
  EXPECT_NO_THROW((void)bind(small_graph(), catalog, false)) << "one model of two names";

  names.erase(names.begin() + 6);  // the shorter prefix's head: it holds no whole model
  const Catalog one = catalog_of(names);
  EXPECT_EQ(source_of(bind(small_graph(), one, false), one, 0), "policy.model.embed_tokens.weight");
  for (std::string& name : names) {
    if (name.starts_with("policy.")) name.replace(0, 6, "language_model");
  }
  names.push_back("ref.lm_head.weight");
  const Catalog held = catalog_of(names);
  EXPECT_EQ(source_of(bind(small_graph(), held, false), held, 0),
            "language_model.model.embed_tokens.weight");
}

TEST(StoredNames, AHeadOutsideIsATwinOfATiedTable) {
  Graph graph = small_graph();
  graph.tensors.erase(graph.tensors.begin() + 2);
  graph.tensors[0].aliases = {"lm_head.weight"};
  const Catalog catalog =
      catalog_of({"model.language_model.embed_tokens.weight", "model.language_model.norm.weight",
                  "model.language_model.layers.0.mlp.down_proj.weight", "lm_head.weight"});
  EXPECT_EQ(bind(graph, catalog, false).twins.size(), 1u);
}

TEST(StoredNames, AModelWithoutItsHeadIsToldFromABrokenOne) {
  const std::vector<std::string> names = {"embed_tokens.weight", "norm.weight",
                                          "layers.0.mlp.down_proj.weight"};
  EXPECT_NE(error_of([&] {
              (void)bind(small_graph(), catalog_of(names), false);
            }).find("1 tensor is missing: \"lm_head.weight\"; a model that was saved without"),
            std::string::npos);
}

TEST(StoredNames, OptimizerStatesOfAnyPlaceAreHarmless) {
  std::vector<std::string> names = {"model.embed_tokens.weight", "model.norm.weight",
                                    "lm_head.weight", "model.layers.0.mlp.down_proj.weight"};
  for (std::string& name : names) name.insert(0, "app.model.");
  names.push_back("app.optim.state.model.norm.weight.exp_avg");
  names.push_back("optimizer.state.model.norm.weight.step");
  const Bindings bindings = bind(small_graph(), catalog_of(names), false);
  EXPECT_TRUE(bindings.unexpected.empty());
  EXPECT_EQ(bindings.skipped, 2u);
}

TEST(StoredNames, TwoTensorsOfOneNameAreAnErrorUnlessTheyLieInOnePlace) {
  std::vector<std::string> names = {"model.embed_tokens.weight", "model.norm.weight",
                                    "lm_head.weight", "model.layers.0.mlp.down_proj.weight",
                                    "module.model.norm.weight"};
  Catalog catalog = catalog_of(names);
  EXPECT_EQ(error_of([&] { (void)bind(small_graph(), catalog, false); }),
            "model/file: tensors \"model.norm.weight\" and \"module.model.norm.weight\" are both "
            "\"model.norm.weight\" without what wrappers add to names: which is meant?");
  catalog.tensors.back().parts = catalog.tensors[1].parts;
  catalog.finish(SharedBytes::Allowed);
  EXPECT_NO_THROW((void)bind(small_graph(), catalog, false));
}

}  // namespace
}  // namespace initrt

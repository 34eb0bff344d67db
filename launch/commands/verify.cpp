// initrt verify: what a checkpoint's tensors hold, as hashes; or whether two checkpoints hold the
// same, whatever their formats.
#include "runtime/values/verify.h"

#include "launch/commands/commands.h"
#include "launch/output/log.h"
#include "launch/output/standard_output.h"
#include "runtime/storage/local_files.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/note_choice.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

void print_table(const VerifyOptions& options, const TensorListing& listing) {
  write_stdout(fmt::format("{}: {}, {}\n\n{:<32}  {:>10} {:>8} {:>8}  {}\n", one_line(options.path),
                           listing.catalog.format,
                           listing.canonical ? "the model's tensors under canonical names"
                                             : "tensors as they are stored",
                           "hash (XXH3-128 of the values)", "elements", "NaN", "Inf", "name"));
  const TotalDigest all = digest_all(listing, [](const ListedTensor& listed, const Digest& one) {
    write_stdout(fmt::format("{:<32}  {:>10} {:>8} {:>8}  {} {} {}\n", hash_text(one.hash),
                             listed.tensor.elements(), one.nans, one.infinities,
                             printable(listed.tensor.name), name(listed.stored),
                             shape_text(listed.shape)));
  });
  write_stdout(fmt::format(
      "{:<32}  {:>10} {:>8} {:>8}  total of {} tensors{}\n", hash_text(all.hash), all.elements,
      all.nans, all.infinities, listing.tensors.size(),
      listing.left_out == 0 ? "" : fmt::format(", {} not the model's left out", listing.left_out)));
}

void print_json(const VerifyOptions& options, const TensorListing& listing) {
  Json rows = Json::array();
  const TotalDigest all = digest_all(listing, [&](const ListedTensor& listed, const Digest& one) {
    rows.push_back({{"name", listed.tensor.name},
                    {"dtype", name(listed.stored)},
                    {"shape", listed.shape},
                    {"nan", one.nans},
                    {"inf", one.infinities},
                    {"hash", hash_text(one.hash)}});
  });
  const Json json = {{"path", options.path},
                     {"format", listing.catalog.format},
                     {"canonical", listing.canonical},
                     {"left_out", listing.left_out},
                     {"tensors", rows},
                     {"elements", all.elements},
                     {"nan", all.nans},
                     {"inf", all.infinities},
                     {"hash", hash_text(all.hash)}};
  write_stdout(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void print_comparison(const VerifyOptions& options, Files& files) {
  const Comparison same =
      compare_checkpoints(files, {options.path, options.format},
                          {options.against, options.against_format}, options.stored, log_notices());
  if (!same.difference.empty()) throw Error(same.difference);
  if (options.json) {
    const Json json = {{"equal", true}, {"tensors", same.tensors}, {"elements", same.elements}};
    write_stdout(json.dump(2) + "\n");
    return;
  }
  write_stdout(fmt::format("equal: {} tensors, {} elements\n", same.tensors, same.elements));
}

}  // namespace

void verify(const VerifyOptions& options) {
  LocalFiles files;
  if (!options.against.empty()) {
    print_comparison(options, files);
    return;
  }
  const TensorListing listing = list_tensors(files, options.path, options.format, options.stored);
  note_choice(listing.catalog, log_notices());
  options.json ? print_json(options, listing) : print_table(options, listing);
}

}  // namespace initrt

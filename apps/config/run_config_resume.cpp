// Which keys of a config may differ from those that a run was saved with.
#include "apps/config/run_config.hpp"
#include "apps/config/run_config_keys.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

using nlohmann::json;
using Trait = ConfigKey::Trait;

/// Other paths may have the same data, and the digests tell. The weights decide which sample is read when, so
/// they may not differ.
std::string objection_to_data(const RunConfig& saved, const RunConfig& now) {
  const auto was = saved.data.sources(), is = now.data.sources();
  if (was.size() != is.size()) return "the run has another number of sources";
  for (std::size_t i = 0; was.size() > 1 && i < was.size(); ++i) {
    if (was[i].weight != is[i].weight) return "only the paths of data.mix may change, not its weights";
  }
  return {};
}

/// If the objective depends on micro-batches, other micro-batches would change it.
std::string objection_to_micro_batches(const MoeConfig& moe) {
  if (moe.n_routed_experts == 0) return {};
  if (!moe.seq_aux && moe.aux_loss_alpha > 0.0)
    return "moe.seq_aux = false takes the balance loss of each micro-batch";
  if (moe.capacity_factor > 0.0)
    return fmt::format("moe.capacity_factor = {} limits the tokens of each micro-batch", moe.capacity_factor);
  return {};
}

/// Why a key of Trait::agreed may not differ. Empty if it may.
std::string objection(std::string_view key, const RunConfig& saved, const RunConfig& now) {
  if (key == "train.micro_batch_size") return objection_to_micro_batches(now.moe);
  return objection_to_data(saved, now);
}

}  // namespace

void check_resumable(const RunConfig& saved, const RunConfig& now, std::string_view checkpoint) {
  for (const ConfigKey& key : config_keys()) {
    const json was = key.get(saved);
    const json is = key.get(now);
    const bool from_data = key.name == "model.vocab_size" && (was == 0 || is == 0);
    if (key.trait == Trait::layout || was == is || from_data) continue;
    std::string reason;
    if (key.trait == Trait::agreed && (reason = objection(key.name, saved, now)).empty()) continue;
    const bool fits = key.trait != Trait::shape;  // a fork keeps the shapes
    user_error(fmt::format("{} = {} now, but {} when the run was saved{}{}", key.name, is.dump(), was.dump(),
                           reason.empty() ? "" : ": ", reason),
               checkpoint,
               fits ? "resume with the saved value, or start a new run from this one with --fork"
                    : "resume with the saved value; a model of another shape begins as a new run");
  }
}

}  // namespace granule

#include "apps/specialisation/ablation_request.hpp"

#include <charconv>
#include <cmath>
#include <string_view>

#include "apps/program/console.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

constexpr const char* kMask = "--mask-top-experts";
constexpr const char* kNoShared = "--no-shared-experts";

/// The whole text as a number.
std::optional<double> number_in(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "a/b" or a number.
std::optional<double> share_in(std::string_view text) {
  const std::size_t bar = text.find('/');
  if (bar == std::string_view::npos) return number_in(text);
  const std::optional<double> part = number_in(text.substr(0, bar)), whole = number_in(text.substr(bar + 1));
  if (!part || !whole || !(*whole > 0.0)) return std::nullopt;
  return *part / *whole;
}

void require_experts(const MoeConfig& moe, const char* option) {
  if (moe.n_routed_experts > 0) return;
  user_error(fmt::format("{}: the model is dense and has no experts", option), "command line",
             "leave the option out, or give an MoE model");
}

/// R · E as a number of experts.
std::int64_t masked_experts(double share, const MoeConfig& moe) {
  const double exact = share * static_cast<double>(moe.n_routed_experts);
  const auto masked = static_cast<std::int64_t>(std::llround(exact));
  // R may be 1/3 in as many digits as a user cares to type, so it need not be the nearest double.
  constexpr double kTyped = 1e-3;
  if (std::abs(exact - std::round(exact)) > kTyped) {
    say("granule: warning: a share of {} of {} routed experts is {:.6g} experts: {} are masked", share,
        moe.n_routed_experts, exact, masked);
  }
  return masked;
}

void require_enough(std::int64_t masked, const MoeConfig& moe) {
  const std::int64_t reach = moe.experts_in_reach(), k = moe.num_experts_per_tok;
  if (masked + k <= reach) return;
  const std::string among =
      reach < moe.n_routed_experts
          ? fmt::format("{} routed experts in moe.topk_group = {} groups, where all masked ones may be",
                        reach, moe.topk_group)
          : fmt::format("{} routed experts", reach);
  user_error(fmt::format("{} masks {} of the {}, which leaves fewer than the {} that a token activates",
                         kMask, masked, among, k),
             "command line", "mask a smaller share, or lower moe.num_experts_per_tok");
}

/// One routed expert takes the place of all shared ones, as in the paper.
void replace_shared_experts(const AblationRequest& request, MoeConfig& moe) {
  require_experts(moe, kNoShared);
  if (moe.n_shared_experts == 0) {
    user_error(fmt::format("{}: the model has no shared experts", kNoShared), "command line",
               "leave the option out");
  }
  if (request.sets_experts_per_token) return;
  const std::int64_t k = moe.num_experts_per_tok;
  if (k + 1 > moe.experts_in_reach()) {
    user_error(fmt::format("{} activates one routed expert more, and a token has only {} to choose from",
                           kNoShared, moe.experts_in_reach()),
               "command line",
               fmt::format("set moe.num_experts_per_tok={} to activate as many as before", k));
  }
  moe.num_experts_per_tok = k + 1;
}

}  // namespace

double AblationRequest::masked_share() const {
  if (!mask_top_experts) return 0.0;
  const std::optional<double> share = share_in(*mask_top_experts);
  if (share && *share >= 0.0 && *share < 1.0) return *share;
  user_error(fmt::format("{} {} is not a share of the experts", kMask, *mask_top_experts), "command line",
             "give a number from 0 to below 1, such as 0.0625 or 1/16");
}

Ablation take_ablation(const AblationRequest& request, RunConfig& config) {
  MoeConfig& moe = config.moe;
  Ablation ablation{.shared = request.shared};
  const double share = request.masked_share();
  if (request.shared == SharedExperts::left_out) replace_shared_experts(request, moe);
  if (!request.mask_top_experts) return ablation;
  require_experts(moe, kMask);
  if (moe.router == RouterKind::hash) {
    user_error(fmt::format("{}: a hash router has no affinities by which experts could be masked", kMask),
               "command line", "leave the option out, or give a model with moe.router = \"topk\"");
  }
  ablation.masked_experts = masked_experts(share, moe);
  require_enough(ablation.masked_experts, moe);
  return ablation;
}

}  // namespace granule

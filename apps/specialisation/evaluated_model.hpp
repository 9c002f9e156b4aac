// What `granule eval` evaluates: a model's config with the wishes of the command line, and what is left out
// of the model.
#pragma once
#include <span>
#include <string>

#include "apps/models/model_files.hpp"
#include "apps/specialisation/ablation_request.hpp"

namespace granule {

struct EvaluatedModel {
  RunConfig config;
  double masked_share = 0.0;
  Ablation ablation{};

  /// A text of so many tokens may be shorter than a sequence. Then it is one sequence. Says so on stderr, and
  /// how many tokens at the end fill no sequence.
  void fit_to_text(std::int64_t tokens);
};

/// Throws a user error for an override that an evaluation does not read. Whether the request sets the experts
/// per token is taken from the overrides.
[[nodiscard]] EvaluatedModel evaluated_model(const ModelFiles& files, std::span<const std::string> overrides,
                                             AblationRequest request);

}  // namespace granule

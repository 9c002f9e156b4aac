// What each expert of a model was chosen for while it was evaluated: tokens, classes of tokens, documents,
// and other experts.
#pragma once
#include <optional>

#include "apps/inputs/evaluation.hpp"
#include "apps/specialisation/document_tally.hpp"
#include "apps/specialisation/token_frequencies.hpp"
#include "apps/specialisation/token_table.hpp"
#include "core/transfer.hpp"

namespace granule {

/// The memory does not grow with the length of the text. Counts by token and expert take at most 256 MiB:
/// beyond that, rarer tokens are not told apart.
class ChoiceCounts final : public TokenFollower {
 public:
  struct Expert {
    std::int64_t load = 0;  ///< tokens that chose it
    double weight = 0.0;    ///< the sum of their weights
    std::array<std::int64_t, kTokenClassNames.size()> classes{};
  };
  struct Layer {
    std::vector<Expert> experts{};
    std::vector<std::int64_t> together_EE{};   ///< tokens that chose both
    std::vector<std::uint32_t> of_token_RE{};  ///< by the row of a frequent token
  };

  /// `data` has one source, of which the first `tokens` tokens are evaluated.
  ChoiceCounts(const Model& model, const DataMix& data, std::int64_t tokens, TokenTable table);
  void on_choice(const ChoiceNote& note) override;
  void on_batch(const Batch& batch) override;
  /// Call it after the last micro-batch.
  void finish();

  [[nodiscard]] std::int64_t tokens() const { return tokens_; }
  [[nodiscard]] std::int64_t experts() const { return experts_; }
  [[nodiscard]] const std::vector<std::int64_t>& layer_numbers() const { return layer_numbers_; }
  [[nodiscard]] const std::vector<Layer>& layers() const { return layers_; }
  [[nodiscard]] const TokenTable& table() const { return table_; }
  [[nodiscard]] const TokenFrequencies& frequencies() const { return frequencies_; }
  /// Absent if a shard does not say where documents begin.
  [[nodiscard]] const std::optional<DocumentTally>& documents() const { return documents_; }

 private:
  /// A layer's choices on their way to the host. One of the copies of weights is defined.
  struct Arriving {
    HostCopy<std::int32_t> ids{};
    HostCopy<float> weights_f32{};
    HostCopy<double> weights_f64{};
    [[nodiscard]] double weight(std::size_t i) const {
      return weights_f64.defined() ? weights_f64.get()[i] : double{weights_f32.get()[i]};
    }
  };
  void count_token(Layer& layer, std::int32_t token, std::span<const std::int32_t> ids) const;
  void count_documents(const Batch& batch);

  const TokenSource& source_;
  std::vector<std::int64_t> layer_numbers_;
  std::int64_t experts_, tokens_ = 0;
  TokenTable table_;
  TokenFrequencies frequencies_;
  std::vector<Layer> layers_;
  std::vector<Arriving> arriving_;
  std::vector<std::int64_t> first_document_{0};  // of each shard, and how many there are
  std::optional<DocumentTally> documents_;
};

}  // namespace granule

// Which documents an expert serves more than others. Documents come one after the other, so only the counts
// of the present one and the best of each expert are kept.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace granule {

/// An expert must have been chosen so often in a document before the document counts as one of its own.
inline constexpr std::int64_t kLeastOfDocument = 10;
inline constexpr std::size_t kDocumentsOfExpert = 5;

struct DocumentCount {
  std::int64_t document = 0;
  std::int64_t tokens = 0;  ///< of the document, as far as it was evaluated
  std::int64_t count = 0;   ///< how many of them chose the expert
};

class DocumentTally {
 public:
  DocumentTally(std::size_t layers, std::int64_t experts);
  /// The next `tokens` tokens belong to this document. Parts of one document follow each other.
  void enter(std::int64_t document, std::int64_t tokens);
  /// The choices of these tokens in the MoE layer with this index.
  void add(std::size_t layer, std::span<const std::int32_t> ids);
  /// Closes the last document.
  void finish();

  [[nodiscard]] std::int64_t documents() const { return documents_; }
  /// The documents with the largest share of tokens that chose the expert, the largest first. Of equal shares
  /// the earlier document comes first.
  [[nodiscard]] const std::vector<DocumentCount>& best(std::size_t layer, std::int64_t expert) const {
    return best_LE_[layer * static_cast<std::size_t>(experts_) + static_cast<std::size_t>(expert)];
  }

 private:
  std::int64_t experts_, documents_ = 0, document_ = -1, tokens_ = 0;
  std::vector<std::int64_t> count_LE_;  // of the present document
  std::vector<std::vector<DocumentCount>> best_LE_;
};

}  // namespace granule

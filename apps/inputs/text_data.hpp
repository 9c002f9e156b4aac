// A data set made from text for one command, and removed when it ends.
#pragma once
#include <cstdint>
#include <filesystem>

#include "apps/inputs/text_input.hpp"
#include "apps/models/model_files.hpp"

namespace granule {

class TextData {
 public:
  /// What `granule data build` makes of these files, with the tokenizer of the model and documents that begin
  /// as they did in its training. All of it is in the train split. "-" is stdin. Throws a
  /// user error if the model has no tokenizer.
  TextData(const ModelFiles& model, const TextInput& input);
  ~TextData();
  TextData(const TextData&) = delete;
  TextData& operator=(const TextData&) = delete;

  [[nodiscard]] std::filesystem::path directory() const { return place_ / "data"; }
  [[nodiscard]] std::int64_t tokens() const { return tokens_; }

 private:
  void build(const ModelFiles& model, const TextInput& input);

  std::filesystem::path place_;
  std::int64_t tokens_ = 0;
};

}  // namespace granule

// A GGUF file brought back to a model of this program. It verifies exports, so it shares nothing with the
// code that writes them, not even a table of names.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "apps/exports/read_back.hpp"
#include "data/gguf/gguf_reader.hpp"

namespace granule {

class GgufModel : public ReadBack {
 public:
  /// Throws what refuse_export() throws if the file does not describe such a model.
  explicit GgufModel(const std::filesystem::path& path);

  [[nodiscard]] const ModelConfig& model() const override { return model_; }
  [[nodiscard]] const MoeConfig& moe() const override { return moe_; }
  void read(const std::string& name, std::span<float> out) const override;

 private:
  [[nodiscard]] nlohmann::json required(const std::string& key) const;
  [[nodiscard]] std::int64_t count(const std::string& key) const;
  [[nodiscard]] double number(const std::string& key) const;
  void read_config();
  void read_rope();
  [[nodiscard]] const GgufView& tensor(const std::string& name, std::size_t least) const;
  void read_part(const GgufView& from, std::int64_t part, std::span<float> out) const;
  void read_rotated(const GgufView& from, std::span<float> out) const;
  void read_of_layer(const std::string& block, const std::string& rest, std::span<float> out) const;

  GgufFile file_;
  std::string prefix_;
  ModelConfig model_;
  MoeConfig moe_;
};

}  // namespace granule

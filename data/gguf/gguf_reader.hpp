// Reads GGUF files of version 3. A file is accepted only if every byte of it is accounted for. Source of the
// format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/files/files.hpp"
#include "data/gguf/gguf_type.hpp"

namespace granule {

/// The bytes live as long as their file.
struct GgufView {
  std::string name;
  GgufType type = GgufType::f32;
  std::vector<std::int64_t> shape;  ///< the last extent is the length of a row
  std::span<const std::byte> bytes;

  [[nodiscard]] std::int64_t elements() const;
};

struct GgufContent {
  /// Numbers, booleans, strings, and arrays of one of these.
  std::map<std::string, nlohmann::json> metadata;
  std::vector<GgufView> tensors;  ///< in the order of the data
};

/// `file` is the whole file and must outlive the views. Errors name `where` and are user errors.
[[nodiscard]] GgufContent parse_gguf(std::span<const std::byte> file, std::string_view where);

class GgufFile {
 public:
  [[nodiscard]] static GgufFile open(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::vector<GgufView>& tensors() const { return content_.tensors; }
  /// Null if the file does not have the key.
  [[nodiscard]] nlohmann::json value(const std::string& key) const;
  /// nullptr if there is no such tensor.
  [[nodiscard]] const GgufView* find(std::string_view name) const;

 private:
  GgufFile(std::filesystem::path path, MappedFile file);

  std::filesystem::path path_;
  MappedFile file_;
  GgufContent content_;
  std::map<std::string, std::size_t, std::less<>> places_;
};

/// Elements [begin, begin + size(out)) of a tensor. Both ends must be ends of blocks.
void read_floats(const GgufView& tensor, std::int64_t begin, std::span<float> out);

}  // namespace granule

#include "data/shards/manifest.hpp"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/files/strict_json.hpp"
#include "data/shards/shard.hpp"

namespace granule {
namespace {

using Json = nlohmann::json;

// One object of the manifest and how messages call it.
struct Node {
  const Json& json;
  std::string file;
  std::string name;  // "", or "shards[3]."

  [[noreturn]] void refuse(const std::string& key, const std::string& wanted) const {
    user_error(fmt::format("{}{} {}", name, key, wanted), file,
               "the manifest is damaged; build the data set again");
  }
  [[nodiscard]] const Json& at(const std::string& key) const {
    const auto found = json.find(key);
    if (found == json.end()) refuse(key, "is missing");
    return *found;
  }
  [[nodiscard]] std::string text(const std::string& key) const {
    const Json& value = at(key);
    if (!value.is_string()) refuse(key, "is not a string");
    return value.get<std::string>();
  }
  [[nodiscard]] std::int64_t count(const std::string& key) const {
    const Json& value = at(key);
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) ||
        value.get<std::int64_t>() < 0) {
      refuse(key, "is not a count");
    }
    return value.get<std::int64_t>();
  }
};

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// Any part of the data set's format, version 1: manifests written by hand name it differently.
bool is_known_format(const std::string& format) {
  return format.starts_with("granule-") && format.ends_with("/1");
}

ManifestShard read_shard(const Node& node) {
  if (!node.json.is_object()) node.refuse("", "is not an object");
  ManifestShard shard{node.text("file"), node.text("split"), node.count("n_tokens"), node.count("n_docs"),
                      node.text("sha256")};
  if (!is_plain_name(shard.file)) node.refuse("file", "is not a plain file name");
  if (shard.split != "train" && shard.split != "val") node.refuse("split", "is neither train nor val");
  if (!is_sha256(shard.sha256)) node.refuse("sha256", "is not 64 lower-case hexadecimal digits");
  return shard;
}

}  // namespace

Manifest read_manifest(const std::filesystem::path& path) {
  const Json json = load_json_object(path);
  const Node root{json, path.string(), ""};
  if (!is_known_format(root.text("format"))) {
    user_error(fmt::format("the manifest's format is {}", root.text("format")), path.string(),
               fmt::format("this version reads {}", kShardFormat));
  }
  Manifest manifest{root.count("vocab_size"), root.text("tokenizer_sha256"), {}};
  const Json& shards = root.at("shards");
  if (!shards.is_array()) root.refuse("shards", "is not a list");
  std::set<std::string> seen;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    manifest.shards.push_back(read_shard({shards[i], path.string(), fmt::format("shards[{}].", i)}));
    if (!seen.insert(manifest.shards.back().file).second)
      root.refuse(manifest.shards.back().file, "is listed twice");
  }
  std::ranges::sort(manifest.shards, {}, &ManifestShard::file);
  return manifest;
}

void write_manifest(const std::filesystem::path& path, const Manifest& manifest) {
  nlohmann::ordered_json json{{"format", kShardFormat},
                              {"vocab_size", manifest.vocab_size},
                              {"tokenizer_sha256", manifest.tokenizer_sha256},
                              {"shards", nlohmann::ordered_json::array()}};
  for (const ManifestShard& shard : manifest.shards) {
    json["shards"].push_back({{"file", shard.file},
                              {"split", shard.split},
                              {"n_tokens", shard.n_tokens},
                              {"n_docs", shard.n_docs},
                              {"sha256", shard.sha256}});
  }
  write_file(path, json.dump(2) + "\n");
}

}  // namespace granule

#include "data/shards/manifest.hpp"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/files/json_field.hpp"
#include "data/files/strict_json.hpp"
#include "data/shards/shard.hpp"

namespace granule {
namespace {

using Json = nlohmann::json;

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// Any name of the data set's format, version 1, because manifests that people wrote differ in it.
bool is_known_format(const std::string& format) {
  return format.starts_with("granule-") && format.ends_with("/1");
}

ManifestShard read_shard(const JsonField& node) {
  ManifestShard shard{node.at("file").text(), node.at("split").text(), node.at("n_tokens").count(),
                      node.at("n_docs").count(), node.at("sha256").text()};
  if (!is_plain_name(shard.file)) node.at("file").refuse("is not a plain file name");
  if (shard.split != "train" && shard.split != "val") node.at("split").refuse("is neither train nor val");
  if (!is_sha256(shard.sha256)) node.at("sha256").refuse("is not 64 lower-case hexadecimal digits");
  return shard;
}

}  // namespace

Manifest read_manifest(const std::filesystem::path& path) {
  const Json json = load_json_object(path);
  const JsonField root(json, path.string(), "the manifest is damaged; build the data set again");
  const std::string format = root.at("format").text();
  if (!is_known_format(format)) {
    user_error(fmt::format("the manifest's format is {}", format), path.string(),
               fmt::format("this version reads {}", kShardFormat));
  }
  Manifest manifest{root.at("vocab_size").count(), root.at("tokenizer_sha256").text(), {}};
  const JsonField shards = root.at("shards");
  std::set<std::string> seen;
  for (std::size_t i = 0; i < shards.list_size(); ++i) {
    manifest.shards.push_back(read_shard(shards.element(i)));
    if (!seen.insert(manifest.shards.back().file).second)
      shards.element(i).refuse(
          fmt::format("names a file again: {} is listed twice", manifest.shards.back().file));
  }
  std::ranges::sort(manifest.shards, {}, &ManifestShard::file);
  return manifest;
}

std::vector<std::string> unlisted_shards(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  if (!std::filesystem::exists(directory / kManifestFile, error)) return names;
  const Manifest manifest = read_manifest(directory / kManifestFile);
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    const bool listed =
        std::ranges::find(manifest.shards, name, &ManifestShard::file) != manifest.shards.end();
    if (name.ends_with(".h5") && !listed) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
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

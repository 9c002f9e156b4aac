// granule data inspect: what a data set or a shard contains, and whether it is sound.
#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/commands/data/data_command.hpp"
#include "apps/program/console.hpp"
#include "core/error.hpp"
#include "data/files/digest.hpp"
#include "data/open_tokenizer.hpp"
#include "data/sampling/token_source.hpp"
#include "data/shards/manifest.hpp"
#include "data/shards/unwritten_tail.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::int64_t kShownTokens = 32;

struct Listed {
  fs::path path;
  std::string split;   // empty if not known
  std::string sha256;  // empty if not known
  const char* unchecked = "no manifest";
};

struct Inspection {
  Json json;
  std::vector<std::string> problems;
};

std::vector<Listed> shards_in(const fs::path& directory) {
  std::vector<Listed> shards;
  std::error_code error;
  if (fs::exists(directory / kManifestFile, error)) {
    for (const ManifestShard& shard : read_manifest(directory / kManifestFile).shards) {
      shards.push_back({directory / shard.file, shard.split, shard.sha256});
    }
    return shards;
  }
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() != ".h5") continue;
    const std::string name = entry->path().filename();
    const char* const split = name.starts_with("train-") ? "train" : name.starts_with("val-") ? "val" : "";
    shards.push_back({entry->path(), split, ""});
  }
  std::ranges::sort(shards, {}, &Listed::path);
  // If some files are shards of a split, files with other names are not shards. Shards may link to such a
  // file.
  const auto is_other = [](const Listed& shard) { return shard.split.empty(); };
  if (!std::ranges::all_of(shards, is_other)) std::erase_if(shards, is_other);
  if (error)
    user_error(fmt::format("cannot list the directory: {}", error.message()), directory.string(),
               "check its permissions");
  if (shards.empty()) user_error("no shards (*.h5)", directory.string(), "see granule data build");
  return shards;
}

std::vector<std::string> unread_files(const fs::path& directory, const std::vector<Listed>& shards) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    const bool read = std::ranges::any_of(shards, [&](const Listed& s) { return s.path.filename() == name; });
    if (name.ends_with(".h5") && !read) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json describe_attributes(const ShardAttributes& said) {
  return {{"format", or_null(said.format)},
          {"vocab_size", or_null(said.vocab_size)},
          {"bos_id", or_null(said.bos_id)},
          {"eos_id", or_null(said.eos_id)},
          {"tokenizer_sha256", or_null(said.tokenizer_sha256)},
          {"created_by", or_null(said.created_by)}};
}

void describe_tokens(Json& json, const ShardReader& shard, std::optional<std::int64_t> vocab_size,
                     Tokenizer* tokenizer) {
  std::int64_t bytes = 0;
  for (const std::int64_t n : shard.document_bytes()) bytes += n;
  const bool documents_known = !shard.document_offsets().empty();
  json["tokens"] = shard.tokens();
  json["documents"] = documents_known ? Json(std::ssize(shard.document_offsets()) - 1) : Json(nullptr);
  json["bytes"] = shard.document_bytes().empty() ? Json(nullptr) : Json(bytes);
  json["type"] = fmt::format("{}{}", shard.layout().is_signed ? "i" : "u", 8 * shard.layout().element_size);
  json["stored_bytes"] = shard.layout().stored_bytes;
  json["mapped"] = shard.mapped();
  json["self_contained"] = shard.place() == Hdf5Place::this_file;
  json["attributes"] = describe_attributes(shard.attributes());
  std::vector<std::int32_t> first(static_cast<std::size_t>(std::min(shard.tokens(), kShownTokens)));
  shard.read(0, first);
  json["first_tokens"] = first;
  json["unwritten_tail"] = unwritten_tail(shard);
  const auto limit = shard.attributes().vocab_size ? shard.attributes().vocab_size : vocab_size;
  json["ids"] = limit ? "ok" : "not checked: the vocabulary is not known";
  // Without a vocabulary it still shows that every token can be read.
  shard.check_ids(limit.value_or(std::numeric_limits<std::int32_t>::max()));
  const bool decodable = tokenizer != nullptr && std::ranges::all_of(first, [&](std::int32_t id) {
                           return id >= 0 && id < tokenizer->vocab_size();
                         });
  if (decodable) json["first_text"] = tokenizer->decode(first);
}

// A shard that differs from the manifest is not opened, because it could be anything.
Json inspect_shard(const Listed& listed, std::optional<std::int64_t> vocab_size, Tokenizer* tokenizer,
                   std::vector<std::string>& problems) {
  Json json{{"file", listed.path.filename().string()},
            {"split", listed.split.empty() ? Json(nullptr) : Json(listed.split)}};
  try {
    require_regular_file(listed.path);
    const bool differs = !listed.sha256.empty() && sha256_of_file(listed.path) != listed.sha256;
    json["digest"] = differs ? "differs from the manifest" : listed.sha256.empty() ? listed.unchecked : "ok";
    if (differs) {
      problems.push_back(fmt::format("{} differs from the manifest", listed.path.string()));
    } else {
      describe_tokens(json, ShardReader(listed.path), vocab_size, tokenizer);
    }
  } catch (const Error& error) {
    json["error"] = error.what();
    problems.emplace_back(error.what());
  }
  return json;
}

Json sum_of_splits(const Json& shards) {
  Json splits = Json::object();
  for (const Json& shard : shards) {
    if (!shard.contains("tokens")) continue;
    Json& split = splits[shard["split"].is_null() ? "other" : shard["split"].get<std::string>()];
    if (split.is_null()) split = {{"shards", 0}, {"tokens", 0}, {"documents", 0}, {"bytes", 0}};
    split["shards"] = split["shards"].get<std::int64_t>() + 1;
    for (const char* const key : {"tokens", "documents", "bytes"}) {
      const bool known = !shard[key].is_null() && !split[key].is_null();
      split[key] =
          known ? Json(split[key].get<std::int64_t>() + shard[key].get<std::int64_t>()) : Json(nullptr);
    }
  }
  return splits;
}

std::string cell(const Json& object, const char* key) {
  const auto value = object.find(key);
  if (value == object.end() || value->is_null()) return "-";
  return value->is_string() ? value->get<std::string>() : value->dump();
}

void print_table(const Json& json) {
  say("{}\n{:<20} {:>6} {:>12} {:>10} {:>12} {:>5}  {}", cell(json, "path"), "shard", "split", "tokens",
      "documents", "bytes", "type", "digest");
  for (const Json& shard : json["shards"]) {
    say("{:<20} {:>6} {:>12} {:>10} {:>12} {:>5}  {}", cell(shard, "file"), cell(shard, "split"),
        cell(shard, "tokens"), cell(shard, "documents"), cell(shard, "bytes"), cell(shard, "type"),
        cell(shard, "digest"));
  }
  for (const auto& [name, split] : json["splits"].items()) {
    say("{:<20} {:>6} {:>12} {:>10} {:>12}", "all", name, cell(split, "tokens"), cell(split, "documents"),
        cell(split, "bytes"));
  }
  say("vocabulary {}, tokenizer {}", cell(json, "vocab_size"), cell(json, "tokenizer"));
  const Json& first = json["shards"].front();
  for (const Json& name : json["unlisted"])
    say("granule: warning: {} is no shard of the data set, so nothing reads it", name.get<std::string>());
  for (const Json& shard : json["shards"]) {
    if (shard.value("unwritten_tail", 0) > 0)
      say("granule: warning: the last {} tokens of {} are 0, as if they had never been written",
          cell(shard, "unwritten_tail"), cell(shard, "file"));
  }
  if (first.contains("first_text")) say("{} begins: {}", cell(first, "file"), first["first_text"].dump());
}

// Shards can be inspected without their tokenizer, so its errors are only reported.
std::unique_ptr<Tokenizer> open_or_report(const fs::path& path, std::vector<std::string>& problems) {
  try {
    return open_tokenizer(path);
  } catch (const Error& error) {
    problems.emplace_back(error.what());
    return nullptr;
  }
}

Inspection inspect(const fs::path& path) {
  std::error_code error;
  const bool is_set = fs::is_directory(path, error);
  if (!is_set) require_regular_file(path);
  const fs::path directory = is_set ? path : path.parent_path();
  const std::vector<Listed> shards =
      is_set ? shards_in(path) : std::vector<Listed>{{path, "", "", "not checked"}};
  const auto tokenizer_path = find_tokenizer(directory);
  Inspection result{{{"path", path.string()}}, {}};
  const auto tokenizer = tokenizer_path ? open_or_report(*tokenizer_path, result.problems) : nullptr;
  std::optional<std::int64_t> vocab_size;
  if (tokenizer) vocab_size = tokenizer->vocab_size();
  result.json["tokenizer"] = tokenizer_path ? Json(tokenizer_path->filename().string()) : Json(nullptr);
  result.json["tokenizer_sha256"] = tokenizer ? Json(tokenizer->sha256()) : Json(nullptr);
  Json described = Json::array();
  for (const Listed& shard : shards) {
    described.push_back(inspect_shard(shard, vocab_size, tokenizer.get(), result.problems));
    const Json& said = described.back()["attributes"]["tokenizer_sha256"];
    if (tokenizer && said.is_string() && said != tokenizer->sha256()) {
      result.problems.push_back(fmt::format("{} was built with another tokenizer than {}",
                                            shard.path.string(), tokenizer_path->filename().string()));
    }
    if (!vocab_size && described.back()["attributes"]["vocab_size"].is_number()) {
      vocab_size = described.back()["attributes"]["vocab_size"].get<std::int64_t>();
    }
  }
  result.json["vocab_size"] = or_null(vocab_size);
  result.json["splits"] = sum_of_splits(described);
  result.json["shards"] = std::move(described);
  result.json["unlisted"] = is_set ? unread_files(directory, shards) : std::vector<std::string>{};
  result.json["problems"] = result.problems;
  return result;
}

void run(const fs::path& path) {
  const Inspection found = inspect(path);
  print_table(found.json);
  print_json(found.json, 2);
  if (found.problems.empty()) return;
  user_error(fmt::format("{} problem{}, first: {}", found.problems.size(),
                         found.problems.size() == 1 ? "" : "s", found.problems.front()),
             path.string(), "build the data set again");
}

}  // namespace

void add_data_inspect_command(CLI::App& data) {
  CLI::App& command = *data.add_subcommand("inspect", "Show what a data set or a shard holds, and check it.");
  const auto path = std::make_shared<fs::path>();
  command.add_option("path", *path, "The directory of a data set, or one .h5 file.")
      ->required()
      ->type_name("PATH");
  command.footer("Example: granule data inspect dataset");
  command.callback([path] { run(*path); });
}

}  // namespace granule

#include "distributed/checkpoints/checkpoint_manifest.hpp"

#include <algorithm>
#include <set>

#include "data/files/digest.hpp"
#include "data/files/files.hpp"
#include "data/files/strict_json.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "granule-checkpoint";
constexpr std::int64_t kMaxManifest = std::int64_t{64} << 20;
constexpr std::size_t kDigestDigits = 16;
constexpr std::string_view kBodyEnd = "\n}";

std::string checksum_line(std::string_view body) {
  return fmt::format(",\n  \"checksum\": \"{}\"\n}}\n", xxh3_of(std::as_bytes(std::span(body))));
}

/// The text is compared byte for byte. Reading the digits as a number would also accept letters of the other
/// case.
void check_checksum(std::string_view text, std::string_view where) {
  const std::size_t length = checksum_line("").size();
  if (text.size() < length) refuse_checkpoint("the manifest is cut off", where);
  const std::string_view body = text.substr(0, text.size() - length);
  if (text.substr(body.size()) != checksum_line(body))
    refuse_checkpoint("the manifest's own checksum differs", where);
}

void check_keys(const json& object, std::initializer_list<const char*> keys, std::string_view where) {
  if (!object.is_object()) refuse_checkpoint("the manifest has a value that should be an object", where);
  for (const char* key : keys) {
    if (!object.contains(key)) refuse_checkpoint(fmt::format("the manifest has no {}", key), where);
  }
  if (object.size() != keys.size()) refuse_checkpoint("the manifest holds unknown keys", where);
}

std::int64_t count_of(const json& object, const char* key, std::string_view where) {
  const json& value = object.at(key);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > INT64_MAX) {
    refuse_checkpoint(fmt::format("{} is no count", key), where);
  }
  return value.get<std::int64_t>();
}

void check_version(const json& object, std::string_view where) {
  if (!object.is_object() || object.value("format", json()) != kFormat) {
    refuse_checkpoint(fmt::format("the manifest's format is not {}", kFormat), where);
  }
  if (!object.contains("version")) refuse_checkpoint("the manifest has no version", where);
  const std::int64_t version = count_of(object, "version", where);
  if (version > kCheckpointVersion) {
    throw NewerCheckpoint(
        ExitCode::user,
        fmt::format("checkpoint of version {}, this program reads version {}", version, kCheckpointVersion),
        where, "use the newer granule that wrote it");
  }
  if (version != kCheckpointVersion) refuse_checkpoint(fmt::format("there is no version {}", version), where);
}

bool is_digest(const json& value) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  return text.size() == kDigestDigits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

WrittenFile file_from(const json& entry, std::string_view where) {
  check_keys(entry, {"name", "size", "xxh3"}, where);
  const json& name = entry.at("name");
  if (!name.is_string() || !is_plain_file_name(name.get_ref<const std::string&>()) || name == kManifestName) {
    refuse_checkpoint("the manifest holds a file name that is not allowed", where);
  }
  if (!is_digest(entry.at("xxh3"))) refuse_checkpoint("the manifest has a checksum that is not valid", where);
  return {name.get<std::string>(), count_of(entry, "size", where), entry.at("xxh3").get<std::string>()};
}

std::vector<WrittenFile> files_from(const json& list, std::string_view where) {
  if (!list.is_array()) refuse_checkpoint("files is no list", where);
  std::vector<WrittenFile> files;
  std::set<std::string> names;
  for (const json& entry : list) {
    files.push_back(file_from(entry, where));
    if (!names.insert(files.back().name).second) refuse_checkpoint("the manifest names a file twice", where);
  }
  return files;
}

std::string body_of(const CheckpointManifest& manifest) {
  nlohmann::ordered_json document;  // ordered, so that a reader sees what matters first
  document["format"] = kFormat;
  document["version"] = kCheckpointVersion;
  document["step"] = manifest.step;
  document["consumed_samples"] = manifest.consumed_samples;
  document["files"] = nlohmann::ordered_json::array();
  for (const WrittenFile& file : manifest.files) {
    document["files"].push_back({{"name", file.name}, {"size", file.size}, {"xxh3", file.xxh3}});
  }
  document["sections"] = manifest.sections;
  std::string text = document.dump(2);
  text.resize(text.size() - kBodyEnd.size());
  return text;
}

}  // namespace

void refuse_checkpoint(std::string_view reason, std::string_view where) {
  user_error(fmt::format("damaged checkpoint: {}", reason), where, "use another checkpoint");
}

bool is_plain_file_name(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const auto allowed = [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; };
  return !name.empty() && name.size() < 200 && plain(name.front()) &&
         std::all_of(name.begin(), name.end(), allowed);
}

std::string manifest_text(const CheckpointManifest& manifest) {
  try {
    const std::string body = body_of(manifest);
    std::string text = body + checksum_line(body);
    GRANULE_CHECK(parse_manifest(text, "new manifest").sections == manifest.sections,
                  "checkpoint: the sections of step {} hold values that JSON cannot (NaN, infinity)",
                  manifest.step);
    return text;
  } catch (const json::exception& error) {
    GRANULE_CHECK(false, "checkpoint: the sections of step {} cannot be written: {}", manifest.step,
                  error.what());
    throw;
  }
}

CheckpointManifest parse_manifest(std::string_view text, std::string_view where) {
  check_checksum(text, where);
  const json document = parse_json(text, where);
  check_version(document, where);
  check_keys(document, {"format", "version", "step", "consumed_samples", "files", "sections", "checksum"},
             where);
  if (!document.at("sections").is_object()) refuse_checkpoint("sections is no object", where);
  return {count_of(document, "step", where), count_of(document, "consumed_samples", where),
          document.at("sections"), files_from(document.at("files"), where)};
}

CheckpointManifest load_manifest(const std::filesystem::path& checkpoint) {
  const std::filesystem::path path = checkpoint / kManifestName;
  return parse_manifest(read_file(path, kMaxManifest), path.string());
}

}  // namespace granule

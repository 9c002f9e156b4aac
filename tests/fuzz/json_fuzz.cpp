// JSON that other programs write: a model's config.json, a manifest, a line of documents.
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "apps/models/hf_config.hpp"
#include "data/files/strict_json.hpp"
#include "data/shards/manifest.hpp"
#include "data/text/json_line.hpp"
#include "tests/fuzz/memory_file.hpp"
#include "tests/fuzz/reader.hpp"

namespace granule::fuzz {
namespace {

/// So that one reader's error does not keep the bytes from the next.
template <class Read>
void attempt(Read&& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.code() != ExitCode::user) throw;
  }
}

}  // namespace

void read(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  attempt([&] { static_cast<void>(document_of_line(text, "text")); });
  attempt([&] {
    const MemoryFile file(bytes);
    static_cast<void>(read_manifest(file.path()));
  });
  const nlohmann::json document = parse_json(text, "input");
  static_cast<void>(document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  static_cast<void>(hf_config_from_json(document, "input"));
}

}  // namespace granule::fuzz

// The file of `granule eval --by-expert`. docs/specialisation.md says what is in it.
#pragma once
#include <filesystem>

#include <nlohmann/json.hpp>

#include "apps/models/model_files.hpp"
#include "apps/specialisation/choice_counts.hpp"

namespace granule {

inline constexpr std::string_view kByExpertFormat = "granule-by-expert/1";

/// Throws a user error unless a file can be written there. Call it before the work.
void require_place_for_file(const std::filesystem::path& path);

/// Pieces and classes by the tokenizer of the model, or else by that of the data. If neither has one, nothing
/// is known, and stderr says so.
[[nodiscard]] TokenTable token_table_of(const ModelFiles& files, const std::filesystem::path& data);

/// The list under "by_layer": for each MoE layer its experts, with the tokens, classes and documents that
/// they serve, and how often two were chosen together.
[[nodiscard]] nlohmann::ordered_json by_layer_of(const ChoiceCounts& choices);

/// Writes the file whole or not at all.
void write_by_expert(const std::filesystem::path& path, const nlohmann::ordered_json& document);

}  // namespace granule

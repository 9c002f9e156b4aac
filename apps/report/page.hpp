// The page of a report: one HTML file with its style, its scripts and its data. The files of the page are
// in apps/report/web/, and the build compiles them into the program.
#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace granule {

struct PageFiles {
  std::string_view page, style, script;
};
/// Defined by scripts/cmake/GranulePage.cmake.
[[nodiscard]] PageFiles page_files();

/// Puts the files and the document in the places of /*STYLE*/, /*SCRIPT*/ and /*DATA*/. No text of the
/// document can end the script element that it is in.
[[nodiscard]] std::string report_page(const nlohmann::ordered_json& document);

}  // namespace granule

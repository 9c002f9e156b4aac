#include "apps/report/page.hpp"

#include <nlohmann/json.hpp>

#include "core/error.hpp"

namespace granule {
namespace {

/// In JSON a "<" is only found in texts, where it may be written so. Without one, HTML sees no tag and no
/// comment in the data.
std::string harmless(const std::string& json) {
  std::string text;
  text.reserve(json.size());
  for (const char letter : json) {
    if (letter == '<') {
      text += "\\u003c";
    } else {
      text += letter;
    }
  }
  return text;
}

/// Appends what is before the marker, and returns what is after it. What was put in is not searched again.
std::string_view append_until(std::string& page, std::string_view rest, std::string_view marker) {
  const std::size_t at = rest.find(marker);
  GRANULE_ASSERT(at != std::string_view::npos, "page.html has no {}", marker);
  page += rest.substr(0, at);
  return rest.substr(at + marker.size());
}

}  // namespace

std::string report_page(const nlohmann::ordered_json& document) {
  const PageFiles files = page_files();
  const std::string data = harmless(document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  std::string page;
  page.reserve(files.page.size() + files.style.size() + files.script.size() + data.size());
  std::string_view rest = append_until(page, files.page, "/*STYLE*/");
  page += files.style;
  rest = append_until(page, rest, "/*DATA*/");
  page += data;
  rest = append_until(page, rest, "/*SCRIPT*/");
  page += files.script;
  page += rest;
  return page;
}

}  // namespace granule

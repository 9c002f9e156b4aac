#include "data/files/strict_json.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/files.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr std::int64_t kMaxFile = std::int64_t{64} << 20;
constexpr std::size_t kMaxShown = 100;

/// Gets every parse event and keeps the keys of each open object.
class Watcher {
 public:
  explicit Watcher(std::string_view where) : where_(where) {}

  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    using Event = json::parse_event_t;
    const bool opens = event == Event::object_start || event == Event::array_start;
    if (opens && depth >= kMaxDepth) {
      user_error(fmt::format("JSON nested deeper than {} levels", kMaxDepth), where_, "flatten it");
    }
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(parsed.get<std::string>()).second) {
      const std::string key = parsed.dump(-1, ' ', true).substr(0, kMaxShown);
      user_error(fmt::format("the key {} is given twice", key), where_, "remove one of the two");
    }
    return true;
  }

 private:
  std::string_view where_;
  std::vector<std::set<std::string>> keys_;
};

/// nlohmann's own text may quote megabytes of input and raw bytes. So only the kind and the place are passed
/// on.
[[noreturn]] void syntax_error(std::string_view text, std::size_t byte, std::string_view what,
                               std::string_view where) {
  const std::string_view before = text.substr(0, std::min(byte > 0 ? byte - 1 : 0, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t newline = before.rfind('\n');
  const std::size_t column = before.size() - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
  const bool ended = byte > text.size();
  const bool utf8 = what.find("UTF-8") != std::string_view::npos;
  user_error(fmt::format("not valid JSON: {}", ended  ? "it ends too early"
                                               : utf8 ? "ill-formed UTF-8"
                                                      : "syntax error"),
             fmt::format("{}:{}:{}", where, line, column), "correct it or get the file again");
}

}  // namespace

json parse_json(std::string_view text, std::string_view where) {
  // nlohmann-json takes a NUL for the end of the input and would not look at the rest.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)
    syntax_error(text, nul + 1, "", where);
  Watcher watcher(where);
  try {
    return json::parse(text.begin(), text.end(),
                       [&](int depth, json::parse_event_t event, const json& parsed) {
                         return watcher(depth, event, parsed);
                       });
  } catch (const json::parse_error& error) {
    syntax_error(text, error.byte, error.what(), where);
  } catch (const json::out_of_range&) {
    user_error("a number in the JSON is out of range", where, "correct it or get the file again");
  }
}

json load_json_object(const std::filesystem::path& path) {
  json value = parse_json(read_file(path, kMaxFile), path.string());
  if (!value.is_object()) user_error("not a JSON object", path.string(), "check that it is the right file");
  return value;
}

}  // namespace granule

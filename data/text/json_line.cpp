#include "data/text/json_line.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data/files/utf8.hpp"

namespace granule {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kForm = "each line holds one object such as {\"text\": \"...\"}";

/// A fault in the line's syntax, and the byte where it begins, from 0.
struct Fault {
  std::string what;
  std::size_t at = 0;
  std::string_view advice = kForm;
};

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '+' ||
         c == '.' || c == '_';
}

/// Words that programs write for values that JSON does not have.
std::optional<Fault> foreign_word(std::string_view line, std::size_t at) {
  std::size_t begin = std::min(at, line.size()), end = begin;
  while (begin > 0 && is_word(line[begin - 1])) --begin;
  while (end < line.size() && is_word(line[end])) ++end;
  const std::string word(line.substr(begin, end - begin));
  for (const char* const number : {"NaN", "nan", "NAN", "Infinity", "-Infinity", "inf", "-inf", "Inf"}) {
    if (word == number)
      return Fault{fmt::format("{}, which is no number of JSON", word), begin, "write null for it"};
  }
  for (const char* const value : {"None", "True", "False", "undefined"}) {
    if (word == value)
      return Fault{fmt::format("{}, which JSON does not know", word), begin, "write null, true or false"};
  }
  return std::nullopt;
}

Fault control_character(std::string_view line, std::size_t at) {
  const auto code = static_cast<unsigned char>(line[at]);
  const std::string name = code == '\t' ? "tab" : fmt::format("control character U+{:04X}", code);
  return {fmt::format("an unescaped {} in a string", name), at,
          code == '\t' ? "write it as \\t" : "escape it, as \\u0001"};
}

/// `at` is the last byte that was looked at, and `library` is what nlohmann-json says.
Fault fault_of(std::string_view line, std::size_t at, std::string_view library) {
  const auto says = [&](std::string_view part) { return library.find(part) != std::string_view::npos; };
  if (at >= line.size())
    return {says("closing quote") ? "it ends inside of a string" : "it ends too early", line.size(),
            "the line is cut off: get the file again"};
  if (says("surrogate")) {
    const std::size_t escape = std::min(line.rfind("\\u", at), at);
    return {fmt::format("a lone surrogate, {}", line.substr(escape, 6)), escape,
            "write the whole character, or U+FFFD for it"};
  }
  if (says("control character")) return control_character(line, at);
  if (const auto word = foreign_word(line, at)) return *word;
  if (line[at] == '\'')
    return {"a single quote", at, "JSON has double quotes: Python writes it with json.dumps"};
  if (says("backslash")) return {"a backslash before what needs none", at, "write \\\\ for a backslash"};
  if (says("expected end of input")) return {"something follows the object", at};
  return {"syntax error", at};
}

/// The library puts the number, as it is in the line, between single quotes.
Fault number_out_of_range(std::string_view line, std::string_view library) {
  const std::size_t end = library.rfind('\'');
  const std::size_t begin = end == std::string_view::npos || end == 0 ? end : library.rfind('\'', end - 1);
  const std::string_view number =
      begin == std::string_view::npos ? std::string_view() : library.substr(begin + 1, end - begin - 1);
  const std::size_t at = line.find(number);
  return {"a number out of range", at == std::string_view::npos ? 0 : at,
          "write a number that a float64 holds"};
}

BadLine bad_json(const Fault& fault) {
  return {fmt::format("not JSON: {}, at byte {} of the line", fault.what, fault.at + 1),
          std::string(fault.advice)};
}

std::string keys_of(const Json& object) {
  std::string keys;
  std::size_t shown = 0;
  for (const auto& [key, value] : object.items()) {
    if (shown++ == 5) return keys + ", …";
    keys += fmt::format("{}{}", keys.empty() ? "" : ", ", key.substr(0, 40));
  }
  return keys.empty() ? "none" : keys;
}

/// How to get the text out of a value that is no string.
std::string advice_for_value(const std::string& key, const Json& value) {
  const bool has_documents = value.is_array() && !value.empty() && value.front().is_object();
  if (value.is_object())
    return fmt::format("keys inside of it are not read: jq -c '.\"{}\"' FILE > FILE.jsonl takes it out", key);
  if (has_documents)
    return fmt::format("write its objects as one line each: jq -c '.\"{}\"[]' FILE > FILE.jsonl", key);
  return "name the key of the text with --text-key";
}

std::variant<std::string, BadLine> document_in(const Json& json, const std::string& key) {
  if (!json.is_object())
    return BadLine{fmt::format("not a JSON object: it is {}", json.type_name()), std::string(kForm)};
  const auto text = json.find(key);
  if (text == json.end()) {
    return BadLine{fmt::format("the object has no \"{}\"", key),
                   fmt::format("name the key of the text with --text-key; its keys are: {}", keys_of(json))};
  }
  if (!text->is_string()) {
    return BadLine{fmt::format("\"{}\" is not a string: it is {}", key, text->type_name()),
                   advice_for_value(key, *text)};
  }
  return text->get<std::string>();
}

}  // namespace

BadLine not_utf8(std::size_t byte) {
  return {fmt::format("not UTF-8: byte {} of the line", byte + 1),
          "convert the text to UTF-8; where it is Latin-1: iconv -f LATIN1 -t UTF-8"};
}

std::variant<std::string, BadLine> document_of_line(std::string_view line, const std::string& key) {
  if (const auto bad = first_invalid_utf8(line)) return not_utf8(*bad);
  // For nlohmann-json a NUL ends the input, and the rest would not be seen.
  if (const std::size_t nul = line.find('\0'); nul != std::string_view::npos)
    return bad_json({"a NUL byte", nul, "the file is damaged: get it again"});
  try {
    return document_in(Json::parse(line), key);
  } catch (const Json::parse_error& error) {
    return bad_json(fault_of(line, error.byte == 0 ? 0 : error.byte - 1, error.what()));
  } catch (const Json::out_of_range& error) {
    return bad_json(number_out_of_range(line, error.what()));
  }
}

}  // namespace granule

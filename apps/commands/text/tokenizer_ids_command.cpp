// granule tokenizer encode | decode: the ids of a text, and the text of ids.
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "apps/commands/text/tokenizer_command.hpp"
#include "apps/inputs/whole_text.hpp"
#include "apps/program/console.hpp"
#include "core/error.hpp"
#include "data/open_tokenizer.hpp"

namespace granule {
namespace {

struct Arguments {
  std::filesystem::path tokenizer;
  std::optional<std::string> text;  // to encode
  std::vector<std::string> words;   // to decode
  bool pieces = false, lines = false;
};

constexpr const char* kTokenizerHelp =
    "A SentencePiece .model, a tokenizer.json, or a directory that holds one of them.";

/// What the command line gives, or stdin if it gives nothing or "-".
struct Input {
  std::string text, where;
};
Input input_of(const std::optional<std::string>& text) {
  if (!text || *text == kStdin) return {read_whole_text(kStdin), "stdin"};
  require_utf8(*text, "command line");
  return {*text, "command line"};
}

void print_ids(Tokenizer& tokenizer, std::string_view text, const std::string& where, bool with_pieces) {
  std::vector<std::int32_t> ids;
  try {
    ids = tokenizer.encode(text);
  } catch (const EncodingError& error) {
    error.refuse(where);
  }
  if (!with_pieces) {
    print_json(nlohmann::json(ids));
    return;
  }
  nlohmann::ordered_json pieces = nlohmann::ordered_json::array();
  for (const std::int32_t id : ids) pieces.push_back({{"id", id}, {"piece", tokenizer.token_name(id)}});
  print_json(pieces);
}

void encode(const Arguments& arguments) {
  const auto tokenizer = open_tokenizer(arguments.tokenizer);
  const Input input = input_of(arguments.text);
  if (!arguments.lines) {
    print_ids(*tokenizer, input.text, input.where, arguments.pieces);
    return;
  }
  std::int64_t number = 0;
  for (std::string_view rest = input.text; !rest.empty();) {
    const std::string_view line = take_line(rest);
    print_ids(*tokenizer, line, fmt::format("{}:{}", input.where, ++number), arguments.pieces);
  }
}

/// Numbers with white space or commas between them.
std::vector<std::int64_t> separate_numbers(std::string text, const std::string& where) {
  std::ranges::replace(text, ',', ' ');
  std::istringstream words(text);
  std::vector<std::int64_t> numbers;
  for (std::string word; words >> word;) {
    const char* const end = word.data() + word.size();
    std::int64_t number = 0;
    const auto read = std::from_chars(word.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end)
      user_error(fmt::format("'{}' is not a token id", word), where, "give numbers, such as [5, 17, 3]");
    numbers.push_back(number);
  }
  return numbers;
}

/// The numbers of a JSON list, or of a text without brackets.
std::vector<std::int64_t> numbers_of(const Input& input) {
  if (input.text.find('[') == std::string::npos) return separate_numbers(input.text, input.where);
  const auto list = nlohmann::json::parse(input.text, nullptr, false);
  const auto is_number = [](const nlohmann::json& element) {
    return element.is_number_unsigned() ? element <= std::uint64_t{INT64_MAX} : element.is_number_integer();
  };
  if (!list.is_array() || !std::ranges::all_of(list, is_number))
    user_error("this is not one list of token ids", input.where, "give numbers, such as [5, 17, 3]");
  return list.get<std::vector<std::int64_t>>();
}

std::vector<std::int32_t> ids_of(const Input& input, const Tokenizer& tokenizer) {
  std::vector<std::int32_t> ids;
  for (const std::int64_t number : numbers_of(input)) {
    if (number < 0 || number >= tokenizer.vocab_size()) {
      user_error(fmt::format("there is no token {}", number), input.where,
                 fmt::format("give ids from 0 to {}", tokenizer.vocab_size() - 1));
    }
    ids.push_back(static_cast<std::int32_t>(number));
  }
  return ids;
}

/// Prints the text alone, so that it can be encoded again. Only on a terminal a line end follows.
void decode(const Arguments& arguments) {
  const auto tokenizer = open_tokenizer(arguments.tokenizer);
  std::optional<std::string> ids;
  if (!arguments.words.empty()) ids = fmt::format("{}", fmt::join(arguments.words, " "));
  print_out(tokenizer->decode(ids_of(input_of(ids), *tokenizer)));
  if (isatty(STDOUT_FILENO) == 1) print_out("\n");
}

}  // namespace

void add_tokenizer_ids_commands(CLI::App& tokenizer) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App& encoding = *tokenizer.add_subcommand("encode", "Print the token ids of a text, as a JSON list.");
  encoding.add_option("tokenizer", arguments->tokenizer, kTokenizerHelp)->required();
  encoding
      .add_option("text,--text", arguments->text,
                  "The text. Without it, or with -, stdin is read to its end.")
      ->type_name("TEXT");
  encoding.add_flag("--pieces", arguments->pieces, "Print each id together with its piece.");
  encoding.add_flag("--lines", arguments->lines, "Encode each line by itself, without its end, into a line.");
  encoding.footer(
      "Example: granule tokenizer encode tok.model \"The white whale\"\n"
      "Nothing is added to the text: no BOS, no EOS.");
  encoding.callback([arguments] { encode(*arguments); });
  CLI::App& decoding = *tokenizer.add_subcommand("decode", "Print the text of token ids.");
  decoding.add_option("tokenizer", arguments->tokenizer, kTokenizerHelp)->required();
  decoding
      .add_option("ids", arguments->words,
                  "The ids, such as 5 17 3 or [5,17,3]. Without them, or with -, stdin is read to its end.")
      ->type_name("ID");
  decoding.footer(
      "Example: granule tokenizer encode tok.model < book.txt | granule tokenizer decode tok.model");
  decoding.callback([arguments] { decode(*arguments); });
}

}  // namespace granule

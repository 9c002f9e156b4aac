// granule tokenizer encode | decode: the ids of a text, and the text of ids.
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
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
  bool pieces = false;
};

constexpr const char* kTokenizerHelp =
    "A SentencePiece .model, a tokenizer.json, or a directory that holds one of them.";

/// What the command line gives, or stdin if it gives nothing or "-".
struct Input {
  std::string text, where;
};
Input input_of(const std::optional<std::string>& text) {
  if (!text || *text == kStdin) return {read_stdin(), "stdin"};
  return {*text, "command line"};
}

void encode(const Arguments& arguments) {
  const auto tokenizer = open_tokenizer(arguments.tokenizer);
  const Input input = input_of(arguments.text);
  require_utf8(input.text, input.where);
  std::vector<std::int32_t> ids;
  try {
    ids = tokenizer->encode(input.text);
  } catch (const EncodingError& error) {
    error.refuse(input.where);
  }
  if (!arguments.pieces) {
    print_json(nlohmann::json(ids));
    return;
  }
  nlohmann::ordered_json pieces = nlohmann::ordered_json::array();
  for (const std::int32_t id : ids) pieces.push_back({{"id", id}, {"piece", tokenizer->token_name(id)}});
  print_json(pieces);
}

/// Numbers with white space or commas between them, in brackets or not.
std::vector<std::int32_t> ids_of(const Input& input, const Tokenizer& tokenizer) {
  constexpr std::string_view kBetween = " \t\r\n,[]";
  std::vector<std::int32_t> ids;
  std::string_view rest = input.text;
  while (true) {
    rest.remove_prefix(std::min(rest.find_first_not_of(kBetween), rest.size()));
    if (rest.empty()) return ids;
    const std::string_view word = rest.substr(0, rest.find_first_of(kBetween));
    std::int32_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size())
      user_error(fmt::format("'{}' is not a token id", word), input.where,
                 "give numbers, such as [5, 17, 3]");
    if (id < 0 || id >= tokenizer.vocab_size()) {
      user_error(fmt::format("there is no token {}", id), input.where,
                 fmt::format("give ids from 0 to {}", tokenizer.vocab_size() - 1));
    }
    ids.push_back(id);
    rest.remove_prefix(word.size());
  }
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

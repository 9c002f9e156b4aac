#include "apps/inputs/text_data.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "apps/generation/text_start.hpp"
#include "core/error.hpp"
#include "data/shards/shard_builder.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

fs::path new_directory() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  std::string name = (parent / "granule-text-XXXXXX").string();
  if (error || ::mkdtemp(name.data()) == nullptr) {
    io_error(fmt::format("cannot make a directory for the tokens of the text: {}",
                         error ? error.message() : std::strerror(errno)),
             name, "set TMPDIR to a directory with room");
  }
  return name;
}

}  // namespace

TextData::TextData(const ModelFiles& model, const TextInput& input) : place_(new_directory()) {
  try {
    build(model, input);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(place_, ignored);
    throw;
  }
}

TextData::~TextData() {
  std::error_code ignored;
  fs::remove_all(place_, ignored);
}

void TextData::build(const ModelFiles& model, const TextInput& input) {
  const auto tokenizer = text_tokenizer(model);
  TextSource text(input.paths, DocumentUnit::file, input.lines);
  tell_left_out(text);
  const DataSetReport report =
      build_shards(text, *tokenizer, {.out = directory(), .vocab_size = model.config().model.vocab_size}, {},
                   model.bos_of_documents() ? AddBos::yes : AddBos::no);
  tell_skipped_lines(text);
  tokens_ = report.train.tokens;
}

}  // namespace granule

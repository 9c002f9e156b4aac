#include "data/shards/shard_builder.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.hpp"

namespace granule {
namespace {

class Builder {
 public:
  Builder(Tokenizer& tokenizer, const DataSetOptions& options)
      : tokenizer_(tokenizer),
        eos_(eos_of(tokenizer)),
        writer_(options, vocabulary_of(tokenizer, options.vocab_size)) {}

  void add(std::string_view text, DocumentPlace place) {
    const double share = writer_.validation_share(place);
    if (share > 0 && share < 1) {
      const std::size_t cut =
          tail_cut(text, static_cast<std::size_t>(share * static_cast<double>(text.size())));
      if (cut == 0) user_error("too little text to hold any back", "--val-fraction", "give more text");
      write(Split::train, text.substr(0, cut));
      write(Split::val, text.substr(cut));
    } else {
      write(share > 0 ? Split::val : Split::train, text);
    }
    writer_.next_document();
  }
  void finish() { writer_.finish(&tokenizer_); }
  [[nodiscard]] DataSetReport report() const { return writer_.report(); }

 private:
  static std::int32_t eos_of(const Tokenizer& tokenizer) {
    if (!tokenizer.eos_id()) {
      user_error("the tokenizer has no EOS", tokenizer.path().string(),
                 "documents end with one: name it with --eos TOKEN, or use another tokenizer");
    }
    return *tokenizer.eos_id();
  }
  void write(Split split, std::string_view text) {
    std::vector<std::int32_t> ids = tokenizer_.encode(text);
    ids.push_back(eos_);
    writer_.add(split, ids, static_cast<std::int64_t>(text.size()));
  }

  Tokenizer& tokenizer_;
  std::int32_t eos_;
  DataSetWriter writer_;
};

}  // namespace

std::size_t tail_cut(std::string_view text, std::size_t tail_bytes) {
  std::size_t cut = text.size() - std::clamp<std::size_t>(tail_bytes, 1, text.size());
  if (const std::size_t line = text.substr(0, cut).rfind('\n'); line != std::string_view::npos)
    return line + 1;
  if (const std::size_t space = text.substr(0, cut).rfind(' '); space != std::string_view::npos && space > 0)
    return space;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80) --cut;
  return cut;
}

DataSetReport build_shards(TextSource& text, Tokenizer& tokenizer, const DataSetOptions& options,
                           const std::function<void(const DataSetReport&)>& progress) {
  Builder builder(tokenizer, options);
  const auto first = text.next();
  if (!first) user_error("there is no text", text.describe(), "give files that hold text");
  // One document behind the source, because the last one may be cut.
  std::string pending(first->text);
  while (const auto document = text.next()) {
    builder.add(pending, DocumentPlace::inside);
    if (progress) progress(builder.report());
    pending = document->text;
  }
  builder.add(pending, DocumentPlace::last);
  builder.finish();
  if (progress) progress(builder.report());
  return builder.report();
}

}  // namespace granule

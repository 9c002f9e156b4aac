#include "data/shards/shard_builder.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"

namespace granule {
namespace {

struct PendingDocument {
  std::string text, where;
};

class Builder {
 public:
  Builder(Tokenizer& tokenizer, const DataSetOptions& options, AddBos bos)
      : tokenizer_(tokenizer),
        bos_(bos == AddBos::yes ? std::optional(bos_of(tokenizer)) : std::nullopt),
        eos_(eos_of(tokenizer)),
        writer_(options, vocabulary_of(tokenizer, options.vocab_size)) {}

  void add(const PendingDocument& document, DocumentPlace place) {
    const std::string_view text = document.text;
    const double share = writer_.validation_share(place);
    if (share > 0 && share < 1) {
      const std::size_t cut =
          tail_cut(text, static_cast<std::size_t>(share * static_cast<double>(text.size())));
      if (cut == 0) user_error("too little text to hold any back", "--val-fraction", "give more text");
      write(Split::train, text.substr(0, cut), document.where);
      write(Split::val, text.substr(cut), document.where);
    } else {
      write(share > 0 ? Split::val : Split::train, text, document.where);
    }
    writer_.next_document();
  }
  void finish() { writer_.finish(&tokenizer_); }
  [[nodiscard]] DataSetReport report() const {
    DataSetReport report = writer_.report();
    report.unknown_tokens = unknown_;
    return report;
  }

 private:
  static std::int32_t eos_of(const Tokenizer& tokenizer) {
    if (!tokenizer.eos_id()) {
      const bool can_be_named = tokenizer.standard_name() == kTokenizerJsonFile;
      user_error("the tokenizer has no EOS", tokenizer.path().string(),
                 can_be_named ? "documents end with one: name it with --eos TOKEN, or use another tokenizer"
                              : kNoEosAdvice);
    }
    return *tokenizer.eos_id();
  }
  static std::int32_t bos_of(const Tokenizer& tokenizer) {
    if (!tokenizer.bos_id()) {
      const bool can_be_named = tokenizer.standard_name() == kTokenizerJsonFile;
      user_error("the tokenizer has no BOS, or several that it could be", tokenizer.path().string(),
                 can_be_named
                     ? "leave out --bos, or name it as bos_token in a tokenizer_config.json beside it"
                     : "leave out --bos");
    }
    return *tokenizer.bos_id();
  }
  std::vector<std::int32_t> encode(std::string_view text, const std::string& where) {
    try {
      return tokenizer_.encode(text);
    } catch (const EncodingError& error) {
      error.refuse(where);
    }
  }
  void write(Split split, std::string_view text, const std::string& where) {
    std::vector<std::int32_t> ids = encode(text, where);
    if (const auto unknown = tokenizer_.unknown_id()) unknown_ += std::ranges::count(ids, *unknown);
    if (bos_) ids.insert(ids.begin(), *bos_);
    ids.push_back(eos_);
    writer_.add(split, ids, static_cast<std::int64_t>(text.size()));
  }

  Tokenizer& tokenizer_;
  std::optional<std::int32_t> bos_;
  std::int32_t eos_;
  DataSetWriter writer_;
  std::int64_t unknown_ = 0;
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
                           const std::function<void(const DataSetReport&)>& progress, AddBos bos) {
  Builder builder(tokenizer, options, bos);
  const auto first = text.next();
  if (!first) user_error("there is no text", text.describe(), "give files that hold text");
  // Write each document when the next one has been read, because the last one may be cut.
  PendingDocument pending{std::string(first->text), first->where};
  while (const auto document = text.next()) {
    builder.add(pending, DocumentPlace::inside);
    if (progress) progress(builder.report());
    pending.text = document->text;
    pending.where = document->where;
  }
  builder.add(pending, DocumentPlace::last);
  builder.finish();
  if (progress) progress(builder.report());
  return builder.report();
}

}  // namespace granule

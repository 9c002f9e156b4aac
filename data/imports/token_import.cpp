#include "data/imports/token_import.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "core/error.hpp"

namespace granule {
namespace {

using Ids = std::vector<std::int32_t>;

void require_id(const std::optional<std::int32_t>& id, const char* option, std::int64_t vocab_size) {
  if (id && (*id < 0 || *id >= vocab_size)) {
    user_error(fmt::format("id {} is outside the vocabulary of {}", *id, vocab_size), option,
               "check the id and --vocab-size");
  }
}

ShardWriter::Vocabulary vocabulary_for(const ImportOptions& options, const Tokenizer* tokenizer) {
  const DocumentMarks& marks = options.marks;
  const std::int64_t size = options.set.vocab_size;
  if (tokenizer == nullptr && (size <= 0 || size > std::numeric_limits<std::int32_t>::max())) {
    user_error(size == 0 ? "the vocabulary is not known" : fmt::format("a vocabulary of {}", size),
               "--vocab-size", "give the size of the model's, or the tokenizer that made the files");
  }
  ShardWriter::Vocabulary vocabulary =
      tokenizer != nullptr ? vocabulary_of(*tokenizer, size) : ShardWriter::Vocabulary{size, -1, -1, ""};
  require_id(marks.start, "--document-start", vocabulary.vocab_size);
  require_id(marks.end, "--document-end", vocabulary.vocab_size);
  if (marks.end && tokenizer != nullptr && tokenizer->eos_id() && *tokenizer->eos_id() != *marks.end) {
    user_error(fmt::format("id {} is not the tokenizer's EOS, which is {}", *marks.end, *tokenizer->eos_id()),
               "--document-end", "leave it out, or name the token with --eos");
  }
  if (marks.start) vocabulary.bos_id = *marks.start;
  if (marks.end) vocabulary.eos_id = *marks.end;
  if (options.add_eos == AddEos::yes && vocabulary.eos_id < 0) {
    user_error("the id of EOS is not known", "--add-eos",
               "give --document-end ID, or a tokenizer that has one");
  }
  return vocabulary;
}

// How many bytes of text ids stand for.
class TextLength {
 public:
  explicit TextLength(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {
    if (tokenizer == nullptr) return;
    for (std::int32_t id = 0; id < tokenizer->vocab_size(); ++id)
      bytes_.push_back(std::ssize(tokenizer->token_bytes(id)));
  }
  [[nodiscard]] std::optional<std::int64_t> of(std::span<const std::int32_t> ids) const {
    if (tokenizer_ == nullptr) return std::nullopt;
    std::int64_t sum = 0;
    for (const std::int32_t id : ids) {
      // Ids that only the model has stand for nothing.
      const std::int64_t bytes = id < std::ssize(bytes_) ? bytes_[static_cast<std::size_t>(id)] : 0;
      const bool added = sum == 0 && bytes > 0 && tokenizer_->adds_leading_space() &&
                         tokenizer_->token_bytes(id).starts_with(' ');
      sum += bytes - (added ? 1 : 0);
    }
    return sum;
  }

 private:
  const Tokenizer* tokenizer_;
  std::vector<std::int64_t> bytes_;
};

class Importer {
 public:
  Importer(const ImportOptions& options, const Tokenizer* tokenizer)
      : add_eos_(options.add_eos),
        vocabulary_(vocabulary_for(options, tokenizer)),
        length_(tokenizer),
        writer_(options.set, vocabulary_) {}

  [[nodiscard]] std::int64_t vocab_size() const { return vocabulary_.vocab_size; }
  [[nodiscard]] DataSetReport report() const { return writer_.report(); }
  void finish(const Tokenizer* tokenizer) { writer_.finish(tokenizer); }

  void add(Ids ids, DocumentPlace place) {
    if (add_eos_ == AddEos::yes && ids.back() != vocabulary_.eos_id)
      ids.push_back(static_cast<std::int32_t>(vocabulary_.eos_id));
    const double share = writer_.validation_share(place);
    std::size_t cut = share == 1 ? 0 : ids.size();
    if (share > 0 && share < 1) {
      cut -= std::max<std::size_t>(static_cast<std::size_t>(share * static_cast<double>(ids.size())), 1);
      if (cut == 0)
        user_error("too few tokens to hold any back", "--val-fraction", "give files that hold more");
    }
    const std::span<const std::int32_t> all(ids), train = all.first(cut), val = all.subspan(cut);
    if (!train.empty()) writer_.add(Split::train, train, length_.of(train));
    if (!val.empty()) writer_.add(Split::val, val, length_.of(val));
    writer_.next_document();
  }

 private:
  AddEos add_eos_;
  ShardWriter::Vocabulary vocabulary_;
  TextLength length_;
  DataSetWriter writer_;
};

}  // namespace

DataSetReport import_tokens(const ImportOptions& options, const Tokenizer* tokenizer,
                            const std::function<void(const DataSetReport&)>& progress) {
  GRANULE_CHECK(!options.files.empty(), "import_tokens: {} files", options.files.size());
  std::vector<TokenFile> files;
  for (const auto& path : options.files)
    files.push_back(TokenFile::open(options.format, path, options.marks));
  Importer importer(options, tokenizer);
  Ids pending;  // one document behind, because the last one may be cut
  for (const TokenFile& file : files) {
    for (std::int64_t d = 0; d < file.documents(); ++d) {
      Ids ids = file.document(d, importer.vocab_size());
      if (ids.empty()) continue;
      if (!pending.empty()) importer.add(std::move(pending), DocumentPlace::inside);
      pending = std::move(ids);
      if (progress) progress(importer.report());
    }
  }
  if (pending.empty())
    user_error("there are no tokens", files.front().path().string(), "give files that hold some");
  importer.add(std::move(pending), DocumentPlace::last);
  importer.finish(tokenizer);
  return importer.report();
}

}  // namespace granule

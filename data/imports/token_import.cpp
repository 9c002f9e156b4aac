#include "data/imports/token_import.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "core/error.hpp"

namespace granule {
namespace {

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

// How many bytes of text each id has.
class TokenLengths {
 public:
  explicit TokenLengths(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {
    if (tokenizer == nullptr) return;
    for (std::int32_t id = 0; id < tokenizer->vocab_size(); ++id)
      bytes_.push_back(std::ssize(tokenizer->token_bytes(id)));
  }
  [[nodiscard]] bool known() const { return tokenizer_ != nullptr; }
  /// The length of a text after these ids, if it was `before` without them.
  [[nodiscard]] std::int64_t sum(std::int64_t before, std::span<const std::int32_t> ids) const {
    std::int64_t sum = before;
    for (const std::int32_t id : ids) {
      // Ids that only the model has are no text.
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

// A document of a token file. Only a part of it is in memory at a time.
struct FileDocument {
  const TokenFile& file;
  TokenReader& reader;
  std::int64_t begin, end;
};

class Importer {
 public:
  Importer(const ImportOptions& options, const Tokenizer* tokenizer)
      : add_eos_(options.add_eos),
        vocabulary_(vocabulary_for(options, tokenizer)),
        lengths_(tokenizer),
        writer_(options.set, vocabulary_) {}

  [[nodiscard]] DataSetReport report() const { return writer_.report(); }
  void finish(const Tokenizer* tokenizer) { writer_.finish(tokenizer); }

  void add(const FileDocument& document, DocumentPlace place) {
    std::int64_t size = document.end - document.begin;
    const bool ended = document.reader.ids(document.end - 1, document.end).front() == vocabulary_.eos_id;
    if (add_eos_ == AddEos::yes && !ended) ++size;
    const double share = writer_.validation_share(place);
    std::int64_t cut = share == 1 ? 0 : size;
    if (share > 0 && share < 1) {
      cut -= std::max<std::int64_t>(static_cast<std::int64_t>(share * static_cast<double>(size)), 1);
      if (cut == 0)
        user_error("too few tokens to hold any back", "--val-fraction", "give files that hold more");
    }
    if (cut > 0) writer_.add(Split::train, part_of(document, 0, cut));
    if (cut < size) writer_.add(Split::val, part_of(document, cut, size));
    writer_.next_document();
  }

 private:
  /// The document's tokens [from, to). The token after its own last one is the EOS that was added.
  [[nodiscard]] DocumentStream part_of(const FileDocument& document, std::int64_t from,
                                       std::int64_t to) const {
    return {to - from, [=, this](const DocumentStream::Sink& sink) -> std::optional<std::int64_t> {
              std::int64_t bytes = 0;
              const auto give = [&](std::span<const std::int32_t> ids) {
                if (lengths_.known()) bytes = lengths_.sum(bytes, ids);
                sink(ids);
              };
              const std::int64_t end = std::min(document.begin + to, document.end);
              for (std::int64_t at = document.begin + from; at < end;) {
                const std::vector<std::int32_t> ids = checked(document, at, document.reader.ids(at, end));
                give(ids);
                at += std::ssize(ids);
              }
              const auto eos = static_cast<std::int32_t>(vocabulary_.eos_id);
              if (document.begin + to > document.end) give(std::span(&eos, 1));
              return lengths_.known() ? std::optional(bytes) : std::nullopt;
            }};
  }

  [[nodiscard]] std::vector<std::int32_t> checked(const FileDocument& document, std::int64_t first,
                                                  std::span<const std::int64_t> ids) const {
    std::vector<std::int32_t> result;
    result.reserve(ids.size());
    for (const std::int64_t id : ids) {
      if (id < 0 || id >= vocabulary_.vocab_size) {
        user_error(fmt::format("token {} has id {}, outside the vocabulary of {}", first + std::ssize(result),
                               id, vocabulary_.vocab_size),
                   document.file.path().string(), "check --vocab-size and --format");
      }
      result.push_back(static_cast<std::int32_t>(id));
    }
    return result;
  }

  AddEos add_eos_;
  ShardWriter::Vocabulary vocabulary_;
  TokenLengths lengths_;
  DataSetWriter writer_;
};

// Ids that the file's type cannot represent would have been cut when the file was written.
void require_ids_fit(const TokenFile& file, const ImportOptions& options, const Tokenizer* tokenizer) {
  const std::int64_t vocabulary = tokenizer != nullptr ? tokenizer->vocab_size() : options.set.vocab_size;
  if (vocabulary - 1 <= largest_of(file.type())) return;
  user_error(fmt::format("the file's ids are at most {}, which cannot be a vocabulary of {}",
                         largest_of(file.type()), vocabulary),
             file.path().string(),
             "larger ids were lost when it was written: write it again with wider ids; if the tokenizer's "
             "vocabulary "
             "is smaller than the model's, give --tokenizer too");
}

std::vector<TokenFile> open_files(const ImportOptions& options, const Tokenizer* tokenizer) {
  std::vector<TokenFile> files;
  for (const auto& path : options.files) {
    files.push_back(TokenFile::open(options.format, path, options.marks));
    require_ids_fit(files.back(), options, tokenizer);
  }
  return files;
}

std::int64_t documents_with_tokens(std::span<const TokenFile> files) {
  std::int64_t documents = 0;
  for (const TokenFile& file : files) {
    const auto bounds = file.bounds();
    for (std::size_t d = 0; d + 1 < bounds.size(); ++d) documents += bounds[d + 1] > bounds[d] ? 1 : 0;
  }
  return documents;
}

}  // namespace

DataSetReport import_tokens(const ImportOptions& options, const Tokenizer* tokenizer,
                            const std::function<void(const DataSetReport&)>& progress) {
  GRANULE_CHECK(!options.files.empty(), "import_tokens: {} files", options.files.size());
  const std::vector<TokenFile> files = open_files(options, tokenizer);
  Importer importer(options, tokenizer);
  std::int64_t left = documents_with_tokens(files);
  if (left == 0)
    user_error("there are no tokens", files.front().path().string(), "give files that hold some");
  for (const TokenFile& file : files) {
    TokenReader reader(file);
    const auto bounds = file.bounds();
    for (std::size_t d = 0; d + 1 < bounds.size(); ++d) {
      if (bounds[d] == bounds[d + 1]) continue;
      // Only the last document may be cut.
      const DocumentPlace place = --left == 0 ? DocumentPlace::last : DocumentPlace::inside;
      importer.add({file, reader, bounds[d], bounds[d + 1]}, place);
      if (progress) progress(importer.report());
    }
  }
  importer.finish(tokenizer);
  return importer.report();
}

}  // namespace granule

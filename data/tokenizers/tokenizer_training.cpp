#include "data/tokenizers/tokenizer_training.hpp"

#include <algorithm>
#include <exception>
#include <limits>
#include <regex>
#include <string_view>
#include <unordered_map>

#include "core/error.hpp"

#ifdef GRANULE_WITH_SENTENCEPIECE
#include <sentencepiece_trainer.h>

namespace granule {
namespace {

// SentencePiece silently drops longer sentences (max_sentence_length).
constexpr std::size_t kMaxSentence = 4192;

// SentencePiece's own sign for text that it does not know. It drops every sentence that contains one.
constexpr std::string_view kReservedSign = "\u2585";

// The documents in the form that SentencePiece needs: lines without their ends, none too long.
class Sentences final : public sentencepiece::SentenceIterator {
 public:
  Sentences(TextSource& source, const std::function<void()>& on_document)
      : source_(source), on_document_(on_document) {
    Next();
  }
  [[nodiscard]] bool done() const override { return done_; }
  [[nodiscard]] const std::string& value() const override { return sentence_; }
  [[nodiscard]] sentencepiece::util::Status status() const override { return {}; }
  [[nodiscard]] std::exception_ptr failure() const { return failure_; }
  [[nodiscard]] std::int64_t signs_cut() const { return signs_cut_; }
  [[nodiscard]] std::int64_t text_bytes() const { return text_bytes_; }

  // An exception of the source must not pass through SentencePiece. It is kept and thrown afterwards.
  void Next() override {
    try {
      do {
        while (rest_.empty()) {
          if (!next_document()) return;
        }
        sentence_ = take_sentence();
      } while (sentence_.empty());
    } catch (...) {
      failure_ = std::current_exception();
      done_ = true;
    }
  }

 private:
  bool next_document() {
    const auto document = source_.next();
    done_ = !document;
    if (document) rest_ = document->text;
    text_bytes_ += std::ssize(rest_);
    if (document && on_document_) on_document_();
    return !done_;
  }
  std::string_view take_sentence() {
    std::string_view line = rest_.substr(0, rest_.find_first_of("\r\n"));
    if (const std::size_t sign = line.find(kReservedSign); sign != std::string_view::npos) {
      line = line.substr(0, sign);
      if (line.size() <= kMaxSentence) {
        ++signs_cut_;
        rest_.remove_prefix(sign + kReservedSign.size());
        return line;
      }
    }
    if (line.size() <= kMaxSentence) {
      rest_.remove_prefix(std::min(rest_.size(), line.size() + 1));
      return line;
    }
    std::size_t cut = line.rfind(' ', kMaxSentence);  // before a space, which begins the next word
    if (cut == std::string_view::npos || cut == 0) {
      cut = kMaxSentence;
      while ((static_cast<unsigned char>(line[cut]) & 0xC0U) == 0x80) --cut;  // not inside a character
    }
    rest_.remove_prefix(cut);
    return line.substr(0, cut);
  }

  TextSource& source_;
  const std::function<void()>& on_document_;
  std::string_view rest_;  // the rest of the document
  std::string sentence_;
  std::exception_ptr failure_;
  std::int64_t text_bytes_ = 0;
  std::int64_t signs_cut_ = 0;
  bool done_ = false;
};

[[noreturn]] void explain(const std::string& message, std::int64_t vocab_size) {
  const std::string where = fmt::format("--vocab-size {}", vocab_size);
  std::smatch match;
  if (std::regex_search(message, match, std::regex("value <= ([0-9]+)"))) {
    user_error("the text does not give that many pieces", where,
               fmt::format("use at most {}, or more text", match[1].str()));
  }
  if (std::regex_search(message, match, std::regex("required_chars. [0-9]+ vs ([0-9]+)"))) {
    user_error("too few pieces for the characters of the text", where,
               fmt::format("use at least {}", match[1].str()));
  }
  user_error(fmt::format("SentencePiece cannot train: {}", message), where, "check the text and the size");
}

}  // namespace

TrainedTokenizer train_tokenizer(TextSource& text, std::int64_t vocab_size,
                                 const std::function<void()>& on_document) {
  if (vocab_size <= 0 || vocab_size > std::numeric_limits<int>::max()) {
    user_error(fmt::format("a vocabulary of {} pieces", vocab_size), "--vocab-size",
               "use some thousands, such as 8192");
  }
  Sentences sentences(text, on_document);
  if (sentences.failure()) std::rethrow_exception(sentences.failure());
  if (sentences.done()) {
    user_error(
        fmt::format("there is no text to train on{}",
                    sentences.signs_cut() > 0 ? " but \u2585 (U+2585), which SentencePiece cannot take" : ""),
        text.describe(), "give files that hold text");
  }
  const std::unordered_map<std::string, std::string> settings{
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(vocab_size)},
      {"byte_fallback", "true"},
      {"split_digits", "true"},
      {"allow_whitespace_only_pieces", "true"},
      {"remove_extra_whitespaces", "false"},
      {"normalization_rule_name", "identity"},
      {"unk_id", "0"},
      {"bos_id", "1"},
      {"eos_id", "2"},
      {"pad_id", "-1"},
      {"minloglevel", "3"},
  };
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(settings, &sentences, &model);
  if (sentences.failure()) std::rethrow_exception(sentences.failure());
  if (!status.ok()) explain(status.ToString(), vocab_size);
  return {std::move(model), sentences.text_bytes(), sentences.signs_cut()};
}

}  // namespace granule

#else

namespace granule {

TrainedTokenizer train_tokenizer(TextSource&, std::int64_t, const std::function<void()>&) {
  user_error("this build of granule has no SentencePiece", "tokenizer train",
             "build with -DGRANULE_WITH_SENTENCEPIECE=ON");
}

}  // namespace granule

#endif

#include "data/bpe/normalizers/normalizer.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "data/bpe/normalizers/unicode_text.hpp"
#include "data/bpe/splitting/split_pattern.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {
namespace {

constexpr std::size_t kMostTimes = 100;  // NFKC makes 33 bytes of the 3 bytes of U+FDFA
constexpr std::size_t kAlwaysAllowed = std::size_t{1} << 20;

// A few replacements in a row could make any text of one letter.
void require_length(std::size_t bytes, const TextPart& part) {
  if (bytes <= part.most_bytes) return;
  throw EncodingError(
      fmt::format("the normalizer of the tokenizer makes more than {} bytes of it", part.most_bytes),
      "the text", "check the normalizer in the tokenizer.json");
}

class Form final : public NormalizerStep {
 public:
  explicit Form(NormalForm form) : form_(form) {}
  void apply(TextPart& part) override { part.text = in_normal_form(part.text, form_); }

 private:
  NormalForm form_;
};

class Lowercase final : public NormalizerStep {
 public:
  void apply(TextPart& part) override { part.text = in_small_letters(part.text); }
};

class StripAccents final : public NormalizerStep {
 public:
  void apply(TextPart& part) override { part.text = without_marks(part.text); }
};

class Strip final : public NormalizerStep {
 public:
  explicit Strip(const JsonField& field)
      : left_(field.at("strip_left").flag()), right_(field.at("strip_right").flag()) {}
  void apply(TextPart& part) override {
    if (right_) part.text.resize(part.text.size() - white_space_at_end(part.text));
    const std::size_t spaces = left_ ? white_space_at_start(part.text) : 0;
    part.text.erase(0, spaces);
    if (spaces > 0) part.starts_document = false;
  }

 private:
  bool left_, right_;
};

class Prepend final : public NormalizerStep {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(TextPart& part) override { part.text.insert(0, prefix_); }

 private:
  std::string prefix_;
};

class Replace final : public NormalizerStep {
 public:
  explicit Replace(const JsonField& field)
      : pattern_(read_pattern(field.at("pattern"))), content_(field.at("content").text()) {}
  void apply(TextPart& part) override {
    std::string made;
    std::size_t at = 0;
    while (at < part.text.size()) {
      const auto match = pattern_.find(part.text, at);
      if (!match) break;
      made.append(part.text, at, match->begin - at);
      made += content_;
      require_length(made.size(), part);
      at = match->end;
    }
    if (at == 0) return;
    made.append(part.text, at);
    part.text = std::move(made);
  }

 private:
  SplitPattern pattern_;
  std::string content_;
};

std::optional<NormalForm> form_of(std::string_view type) {
  if (type == "NFC") return NormalForm::nfc;
  if (type == "NFD") return NormalForm::nfd;
  if (type == "NFKC") return NormalForm::nfkc;
  if (type == "NFKD") return NormalForm::nfkd;
  return std::nullopt;
}

std::unique_ptr<NormalizerStep> step_of(const JsonField& field) {
  const std::string type = field.at("type").text();
  if (const auto form = form_of(type)) return std::make_unique<Form>(*form);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "StripAccents") return std::make_unique<StripAccents>();
  if (type == "Strip") return std::make_unique<Strip>(field);
  if (type == "Prepend") return std::make_unique<Prepend>(field.at("prepend").text());
  if (type == "Replace") return std::make_unique<Replace>(field);
  field.at("type").refuse(fmt::format("is {}, which changes text in a way that is not known here", type));
}

}  // namespace

Normalizer::Normalizer(const JsonField& field) {
  read(field);
}

void Normalizer::read(const JsonField& field) {
  const std::string type = field.at("type").text();
  if (type == "Sequence") {
    const JsonField all = field.at("normalizers");
    for (std::size_t i = 0; i < all.list_size(); ++i) read(all.element(i));
    return;
  }
  steps_.push_back(step_of(field));
  if (type != "Prepend") return;
  const std::string prefix = field.at("prepend").text();
  adds_space_ = prefix == " " || prefix == "\u2581";
}

void Normalizer::apply(TextPart& part) {
  part.most_bytes = std::max(kAlwaysAllowed, kMostTimes * part.text.size());
  for (const auto& step : steps_) {
    if (part.text.empty()) return;
    step->apply(part);
    require_length(part.text.size(), part);
  }
}

}  // namespace granule
